"""A look at a few numbers of every row shows of most rows that they cannot be among the answers.

The rows are turned so that their first numbers hold most of their length. A cosine is the sum over these and over the
others, and the others add no more than the length that is left of the row times that of the query (Cauchy-Schwarz). A
row that stays below the answers even so is not read: the answers are those of a look at every row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import BLOCK, top_k
from featx.retrieval.rows import IndexRows

Rows = NDArray[np.intp]
Floats = NDArray[np.float32]
# The numbers that are looked at first, of every row, and then, of the rows that are left.
STEPS = (32, 64, 128)
# Fewer numbers than these in all are compared in a few milliseconds; and narrow rows are soon read whole.
FEWEST, NARROWEST = 8_000_000, 256
# At most so many numbers are held, 400 MB of them.
MOST = 100_000_000
SAMPLE, ROUNDS, SPARE = 4096, 2, 16
# The likely rows are the best of so many times as many, which the first numbers alone propose.
CHOSEN_FROM = 4
# Squared lengths of parts are off by no more, in single precision.
ERROR = 2e-5


@dataclass(frozen=True)
class _Part:
    """Some columns of every turned row, and what length is left after them."""

    columns: slice
    numbers: Floats
    left: Floats


@dataclass(frozen=True)
class Screen:
    """The first numbers of all rows of an index, in parts."""

    turn: Floats
    parts: tuple[_Part, ...]

    @classmethod
    def of(cls, rows: IndexRows) -> Screen | None:
        """The screen of an index; None where reading all of its rows is as fast."""
        n, width = rows.features.shape
        steps = [step for step in STEPS if n * step <= MOST]
        if n * width < FEWEST or width < NARROWEST or not steps:
            return None
        turn = _main_directions(rows, steps[-1])
        numbers = np.empty((n, steps[-1]), dtype=np.float32)
        for start in range(0, n, BLOCK):
            part = slice(start, start + BLOCK)
            numbers[part] = rows.unit_rows(part) @ turn
        # A row without a direction has nothing left either.
        return cls(turn, tuple(_parts(numbers, steps, (rows.scale != 0).astype(np.float32))))

    def look(self, directions: Floats, may: NDArray[np.bool_]) -> Look:
        """A look at every row that may answer, for some unit directions."""
        return Look(self, directions @ self.turn, may)


def _parts(numbers: Floats, steps: list[int], lengths: Floats) -> Iterator[_Part]:
    left = lengths
    for begin, end in pairwise([0, *steps]):
        # The first part is multiplied column by column, as a whole; of the others single rows are read.
        part = np.array(numbers[:, begin:end], order="C" if begin else "F")
        left = np.maximum(left - np.einsum("ij,ij->i", part, part), 0)
        yield _Part(slice(begin, end), part, _root(left))


def _root(squares: Floats) -> Floats:
    lengths: Floats = np.sqrt(squares + np.float32(ERROR))
    return lengths


def _main_directions(rows: IndexRows, count: int) -> Floats:
    """Directions at right angles that hold most of the rows, from some of these; always the same for the same rows."""
    some = np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(np.intp))
    unit = rows.unit_rows(some)
    directions = np.random.default_rng(0).normal(size=(unit.shape[1], count + SPARE)).astype(np.float32)
    for _ in range(ROUNDS):
        directions = np.linalg.qr(unit.T @ (unit @ directions))[0]
    _, _, turn = np.linalg.svd(unit @ directions, full_matrices=False)
    return np.ascontiguousarray(directions @ turn[:count].T, dtype=np.float32)


class Look:
    """The cosines of the rows that may answer with a query, as far as the first part knows them."""

    def __init__(self, screen: Screen, turned: Floats, may: NDArray[np.bool_]) -> None:
        """`turned` has the main numbers of each photo of the query, whose length is 1."""
        self._turned = turned
        self._first, *self._others = screen.parts
        self._known = [self._first.numbers @ photo[self._first.columns] for photo in turned]
        barred = np.flatnonzero(~may)
        for known in self._known:
            known[barred] = -np.inf

    def likely(self, count: int) -> Rows:
        """So many rows that are probably the most similar of those that may answer."""
        known = _largest(self._known)
        rows = top_k(known[None], CHOSEN_FROM * count)[0]
        rows = rows[known[rows] > -np.inf]
        sums = [known[rows] for known in self._known]
        for part in self._others:
            sums = self._with(part, rows, sums)
        return np.asarray(rows[top_k(_largest(sums)[None], count)[0]])

    def reaching(self, least: float) -> Rows:
        """Every row that may answer and may be so similar."""
        rows = np.flatnonzero(self._bounds(self._first, self._first.left, self._known) >= least)
        sums = [known[rows] for known in self._known]
        for part in self._others:
            sums = self._with(part, rows, sums)
            kept = self._bounds(part, part.left[rows], sums) >= least
            rows, sums = rows[kept], [known[kept] for known in sums]
        return rows

    def _with(self, part: _Part, rows: Rows, sums: list[Floats]) -> list[Floats]:
        """The sums of some rows, with those over one more part."""
        numbers = part.numbers[rows]
        return [known + numbers @ photo[part.columns] for known, photo in zip(sums, self._turned, strict=True)]

    def _bounds(self, part: _Part, left: Floats, sums: list[Floats]) -> Floats:
        """What the cosine of each row is at most, after a part."""
        rest = [_rest(photo[: part.columns.stop]) for photo in self._turned]
        return _largest([known + left * length for known, length in zip(sums, rest, strict=True)])


def _largest(values: list[Floats]) -> Floats:
    """The largest value of each row; of a single photo without a copy."""
    return values[0] if len(values) == 1 else np.maximum.reduce(values)


def _rest(photo: Floats) -> np.float32:
    """The length of a photo that its first numbers leave."""
    return np.float32(np.sqrt(max(1 - float(photo @ photo), 0) + ERROR))
