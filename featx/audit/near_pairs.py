"""Rows whose features point the same way: found tile by tile, joined into groups in memory linear in the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from featx.compute.graphs import connected_groups, strongest_links
from featx.compute.vectors import pairs_above

STEP = 2048
MOST_EDGES = 1_000_000

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def near_pairs(
    unit: np.ndarray, least: float, progress: Callable[[int], object] = lambda done: None
) -> Iterator[Pairs]:
    """Pairs of rows (i before j) with a cosine of at least `least`, some at a time, each with its exact cosine."""
    # Float32 products differ in the last digits with the place of a row; what counts is computed again.
    for i, j in pairs_above(unit, least - 1e-5, progress):
        yield _exact(unit, i, j, least)


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
        self._parts = [strongest_links(self.n, *(np.concatenate(part) for part in zip(*self._parts, strict=True)))]
        self._held = len(self._parts[0][0])

    def groups(self) -> list[tuple[list[int], float]]:
        """The rows of each group of two or more, with the weakest link that holds the group together."""
        if not self._held:
            return []
        self._thin()
        i, j, scores = self._parts[0]
        of = connected_groups(self.n, i, j)
        weakest: dict[int, float] = {}
        members: dict[int, set[int]] = {}
        for a, b, score in zip(i.tolist(), j.tolist(), scores.tolist(), strict=True):
            group = int(of[a])
            members.setdefault(group, set()).update((a, b))
            weakest[group] = min(score, weakest.get(group, 2.0))
        return [(sorted(rows), weakest[group]) for group, rows in members.items()]
