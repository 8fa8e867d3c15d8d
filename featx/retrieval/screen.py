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
STEPS = (64, 128)
# Fewer numbers than these in all are compared in a few milliseconds; and narrow rows are soon read whole.
FEWEST, NARROWEST = 8_000_000, 256
# At most so many numbers are held, 400 MB of them.
MOST = 100_000_000
SAMPLE, ROUNDS, SPARE = 4096, 2, 16
# Squared lengths of parts are off by no more, in single precision.
ERROR = 2e-5


@dataclass(frozen=True)
class _Part:
    """Some numbers of every turned row, and what length is left after them."""

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

    def look(self, directions: Floats) -> Look:
        """A look at every row for some unit directions."""
        return Look(self, directions @ self.turn)


def _parts(numbers: Floats, steps: list[int], lengths: Floats) -> Iterator[_Part]:
    left = lengths
    for begin, end in pairwise([0, *steps]):
        # The first part is multiplied column by column, as a whole; of the others single rows are read.
        part = np.array(numbers[:, begin:end], order="C" if begin else "F")
        left = np.maximum(left - np.einsum("ij,ij->i", part, part), 0)
        yield _Part(part, _root(left))


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
    """The cosines of all rows with a query, as far as the first part knows them."""

    def __init__(self, screen: Screen, turned: Floats) -> None:
        """`turned` has the main numbers of each photo of the query, whose length is 1."""
        self._screen, self._turned = screen, turned
        self._known = [screen.parts[0].numbers @ photo[: screen.parts[0].numbers.shape[1]] for photo in turned]

    def likely(self, count: int, may: NDArray[np.bool_]) -> Rows:
        """So many rows that are probably the most similar of those that may answer."""
        known = np.where(may, np.maximum.reduce(self._known), -np.inf)
        rows = top_k(known[None], count)[0]
        return np.asarray(rows[may[rows]])

    def reaching(self, least: float, may: NDArray[np.bool_]) -> Rows:
        """Every row that may answer and may be so similar."""
        begin, rows, known = 0, np.flatnonzero(may), [photo[may] for photo in self._known]
        for number, part in enumerate(self._screen.parts):
            end = begin + part.numbers.shape[1]
            if number:
                known = [
                    sums + part.numbers[rows] @ photo[begin:end]
                    for sums, photo in zip(known, self._turned, strict=True)
                ]
            left = part.left[rows]
            bounds = [sums + left * _rest(photo[:end]) for sums, photo in zip(known, self._turned, strict=True)]
            kept = np.maximum.reduce(bounds) >= least
            begin, rows, known = end, rows[kept], [sums[kept] for sums in known]
        return rows


def _rest(photo: Floats) -> np.float32:
    """The length of a photo that its first numbers leave."""
    return np.float32(np.sqrt(max(1 - float(photo @ photo), 0) + ERROR))
