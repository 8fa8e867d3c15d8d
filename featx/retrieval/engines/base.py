"""What every approximate engine does: keep directions under numbers, and name those nearest to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import runs

if TYPE_CHECKING:
    from featx.retrieval.condition_tree import Node

# The least number of candidates an engine proposes, and the most: comparing all rows is faster than more of them.
CANDIDATES, MOST_CANDIDATES = 64, 16_384
# So few rows that may answer are all compared, whatever the engine: that is exact, and faster.
FEW = 20_000

Keys = NDArray[np.uint64]


class VectorEngine(Protocol):
    """Directions under numbers, in a file, a folder or a server."""

    name: str
    # From hasty to thorough; the meaning of the numbers is the engine's own.
    efforts: tuple[int, ...]

    def __len__(self) -> int: ...

    def search(self, direction: NDArray[np.float32], k: int, effort: int, only: Node | None = None) -> Keys:
        """The numbers of probably the k nearest under a condition; more effort finds more of the true ones."""

    def understood(self, condition: Node) -> Node | None:
        """As much of a condition as `search` takes: what it leaves out would not meet the whole one either."""


class ChangeableEngine(VectorEngine, Protocol):
    """An engine in memory that takes in and forgets rows, and is written to a file as a whole."""

    def add(self, keys: Keys, directions: NDArray[np.float32], threads: int) -> None:
        """Take in rows of length 1 under numbers that are new."""

    def remove(self, keys: Keys) -> None:
        """Forget some numbers."""

    def save(self, path: Path) -> None:
        """Write all of it into a new file, without holding it twice."""


@dataclass(frozen=True)
class CandidateSource:
    """An engine over the photos of an index: which rows may be the most alike, and how many of the true ones it finds.

    `keys` are the numbers of photos in order, `rows` the rows of the index that show them. `recall` is measured without
    a condition, `towards` under one that keeps photos like the query, `away` under one that keeps photos unlike it.
    """

    engine: VectorEngine
    keys: Keys
    rows: NDArray[np.int64]
    recall: float
    effort: int
    towards: float | None = None
    away: float | None = None

    def __len__(self) -> int:
        return len(self.engine)

    @property
    def filtered(self) -> float | None:
        """The lower recall of the two under conditions; None where an older featx measured none."""
        return None if self.towards is None or self.away is None else min(self.towards, self.away)

    def candidates(self, direction: NDArray[np.floating], count: int, only: Node | None = None) -> NDArray[np.int64]:
        """The rows whose photos are probably the most alike one direction."""
        neighbours = self.engine.search(np.asarray(direction, dtype=np.float32), count, self.effort, only)
        starts = np.searchsorted(self.keys, neighbours, side="left")
        ends = np.searchsorted(self.keys, neighbours, side="right")
        return self.rows[runs(starts, ends)]

    def growing(
        self, directions: NDArray[np.floating], fewest: int, only: Node | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """Ever more candidates of several directions, until comparing all rows would be faster."""
        count = max(CANDIDATES, fewest)
        while count <= max(CANDIDATES, min(len(self.rows) // 16, MOST_CANDIDATES)):
            yield np.unique(np.concatenate([self.candidates(direction, count, only) for direction in directions]))
            count *= 4
