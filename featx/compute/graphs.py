"""Rows that are linked: the groups they form, and the strongest links that hold these groups together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Links = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def connected_groups(n: int, i: NDArray[Any], j: NDArray[Any]) -> NDArray[np.int32]:
    """The group of each of n rows, where i and j are the linked pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(n, n)).tocsr()
    return np.asarray(connected_components(graph, directed=False)[1])


def strongest_links(n: int, i: NDArray[Any], j: NDArray[Any], scores: NDArray[Any]) -> Links:
    """The strongest links that still connect each group (scores up to 1), i before j."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    order = np.lexsort((-scores, j, i))
    i, j, scores = i[order], j[order], scores[order]
    # The same pair may be linked twice (same bytes and same look); a sparse matrix would add the two up.
    first = np.append(True, (np.diff(i) != 0) | (np.diff(j) != 0))
    # Before 1.15, SciPy's trees took 32-bit indices only.
    coordinates = (i[first].astype(np.int32), j[first].astype(np.int32))
    tree = minimum_spanning_tree(coo_array((3 - scores[first], coordinates), shape=(n, n)).tocsr()).tocoo()
    rows, columns = tree.coords
    return np.minimum(rows, columns), np.maximum(rows, columns), 3 - tree.data
