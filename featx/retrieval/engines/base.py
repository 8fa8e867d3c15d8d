"""What every approximate engine does: keep directions under numbers, and name those nearest to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# The least number of candidates an engine proposes.
CANDIDATES = 64

Keys = NDArray[np.uint64]


class VectorEngine(Protocol):
    """Directions under numbers; a file for each engine, and `featx.retrieval.approximate` keeps one beside a store."""

    def __len__(self) -> int: ...

    def add(self, keys: Keys, directions: NDArray[np.float32], threads: int) -> None:
        """Take in rows of length 1 under numbers that are new."""

    def remove(self, keys: Keys) -> None:
        """Forget some numbers."""

    def search(self, direction: NDArray[np.float32], k: int, effort: int) -> Keys:
        """The numbers of probably the k nearest; more effort finds more of the true ones."""

    def to_bytes(self) -> bytes:
        """All of it, for a file."""


@dataclass(frozen=True)
class CandidateSource:
    """An engine over the photos of an index: which rows may be the most alike, and how many of the true ones it finds.

    `keys` are the numbers of photos in order, `rows` the rows of the index that show them.
    """

    engine: VectorEngine
    keys: Keys
    rows: NDArray[np.int64]
    recall: float
    effort: int

    def __len__(self) -> int:
        return len(self.engine)

    def candidates(self, direction: NDArray[np.floating], count: int) -> NDArray[np.int64]:
        """The rows whose photos are probably the most alike one direction."""
        neighbours = self.engine.search(np.asarray(direction, dtype=np.float32), count, max(self.effort, count))
        starts = np.searchsorted(self.keys, neighbours, side="left")
        ends = np.searchsorted(self.keys, neighbours, side="right")
        places = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
        return self.rows[np.concatenate(places)] if places else self.rows[:0]
