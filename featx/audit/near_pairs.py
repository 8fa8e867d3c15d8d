"""Rows whose features point the same way: found tile by tile, joined into groups in memory linear in the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from featx.compute.vectors import pairs_above

STEP = 2048
MOST_EDGES = 1_000_000

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def near_pairs(
    unit: np.ndarray, least: float, progress: Callable[[int], object] = lambda done: None
) -> Iterator[Pairs]:
    """Pairs of rows (i before j) with a cosine of at least `least`, tile by tile, each with its exact cosine."""
    # Float32 products differ in the last digits with the place of a row; what counts is computed again.
    for i, j in pairs_above(unit, least - 1e-5, progress):
        for start in range(0, len(i), MOST_EDGES):
            part = slice(start, start + MOST_EDGES)
            yield _exact(unit, i[part], j[part], least)


def _exact(unit: np.ndarray, i: np.ndarray, j: np.ndarray, least: float) -> Pairs:
    scores = np.empty(len(i))
    for start in range(0, len(i), STEP):
        part = slice(start, start + STEP)
        scores[part] = np.einsum("ij,ij->i", unit[i[part]].astype(np.float64), unit[j[part]].astype(np.float64))
    # Two rows of length one in float32 may have a cosine a hair above one.
    scores = np.clip(np.round(scores, 6), -1, 1)
    good = scores >= round(least, 6)
    return i[good], j[good], scores[good]


class Forest:
    """Groups of rows that are linked; only the strongest links that hold each group together are kept."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._parts: list[Pairs] = []
        self._held = 0

    def link(self, i: np.ndarray, j: np.ndarray, scores: np.ndarray) -> None:
        """Take in links; memory stays linear in the rows however many there are."""
        self._parts.append((i, j, scores))
        self._held += len(i)
        if self._held > max(MOST_EDGES, 4 * self.n):
            self._thin()

    def _thin(self) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import minimum_spanning_tree

        i, j, scores = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = np.lexsort((-scores, j, i))
        i, j, scores = i[order], j[order], scores[order]
        # The same pair may be linked twice (same bytes and same look); a sparse matrix would add the two up.
        first = np.append(True, (np.diff(i) != 0) | (np.diff(j) != 0))
        # Before 1.15, SciPy's trees knew no other indices than 32 bits.
        places = (i[first].astype(np.int32), j[first].astype(np.int32))
        tree = minimum_spanning_tree(coo_array((3 - scores[first], places), shape=(self.n, self.n)).tocsr())
        kept = tree.tocoo()
        rows, columns = kept.coords
        self._parts = [(np.minimum(rows, columns), np.maximum(rows, columns), 3 - kept.data)]
        self._held = len(rows)

    def groups(self) -> list[tuple[list[int], float]]:
        """The rows of each group of two or more, with the weakest link that holds the group together."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if not self._held:
            return []
        self._thin()
        i, j, scores = self._parts[0]
        graph = coo_array((np.ones(len(i)), (i, j)), shape=(self.n, self.n)).tocsr()
        of = connected_components(graph, directed=False)[1]
        weakest: dict[int, float] = {}
        members: dict[int, set[int]] = {}
        for a, b, score in zip(i.tolist(), j.tolist(), scores.tolist(), strict=True):
            group = int(of[a])
            members.setdefault(group, set()).update((a, b))
            weakest[group] = min(score, weakest.get(group, 2.0))
        return [(sorted(rows), weakest[group]) for group, rows in members.items()]
