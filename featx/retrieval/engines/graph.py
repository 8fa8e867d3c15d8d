"""A graph of nearest neighbours, as a search asks it: which rows may be the most alike?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# How many photos a graph of neighbours is asked for, at least.
CANDIDATES = 64


@dataclass(frozen=True)
class GraphEngine:
    """An opened graph: candidates for a query, and how many of the true nearest are among them."""

    graph: Any
    keys: NDArray[np.uint64]
    rows: NDArray[np.int64]
    recall: float
    effort: int

    def __len__(self) -> int:
        return len(self.graph)

    def candidates(self, query: NDArray[Any], count: int) -> NDArray[np.int64]:
        """The rows whose photos are probably the most alike one direction."""
        self.graph.expansion_search = max(self.effort, count)
        found = np.asarray(self.graph.search(np.asarray(query, dtype=np.float32), count).keys, dtype=np.uint64)
        starts = np.searchsorted(self.keys, found, side="left")
        ends = np.searchsorted(self.keys, found, side="right")
        places = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
        return self.rows[np.concatenate(places)] if places else self.rows[:0]
