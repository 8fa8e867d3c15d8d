"""Columns as numbers: texts by their pieces, numbers by their place, choices among a few words.

This file travels with a deployment, beside a Python that has no featx: what it imports travels along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Protocol

import numpy as np

from featx.classifiers.columns.cells import is_missing, number_in
from featx.classifiers.columns.words import pieces_of, words_of

# No number counts as larger: its distance to another one would have no size.
LARGEST = 1e300


class ColumnEncoder(Protocol):
    """A column as numbers; a row without a value becomes zeros."""

    @property
    def width(self) -> int:
        """How many numbers a value becomes."""

    def encode(self, values: Sequence[object]) -> np.ndarray:
        """A row of numbers for each value."""


@dataclass(frozen=True)
class TextEncoder:
    """Texts by their pieces of words: weighed by how rare they are, seen along the directions in which texts differ.

    A piece that was never seen counts in the length of a text: the fewer are known, the less a text says.
    """

    pieces: Sequence[str]
    weights: np.ndarray
    directions: np.ndarray
    unseen: float

    @property
    def width(self) -> int:
        """How many numbers a text becomes."""
        return int(self.directions.shape[1])

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {piece: i for i, piece in enumerate(self.pieces)}

    def encode(self, values: Sequence[object]) -> np.ndarray:
        """A row of numbers for each text."""
        rows = np.zeros((len(values), self.width), dtype=np.float32)
        for i, value in enumerate(values):
            indices, weights = self.weighed(value)
            if len(indices):
                rows[i] = weights @ self.directions[indices].astype(np.float32)
        return rows

    def weighed(self, value: object) -> tuple[np.ndarray, np.ndarray]:
        """The known pieces of a text and their weights."""
        counts = Counter() if is_missing(value) else Counter(pieces_of(str(value)))
        known = {number: n for piece, n in counts.items() if (number := self._numbers.get(piece)) is not None}
        unseen = sum((1 + log(n)) ** 2 for piece, n in counts.items() if piece not in self._numbers)
        indices = np.fromiter(known, dtype=np.intp, count=len(known))
        often = np.fromiter(known.values(), dtype=np.float64, count=len(known))
        weights = (1 + np.log(often)) * self.weights[indices] if known else often
        length = np.sqrt((weights**2).sum() + unseen * self.unseen**2)
        return indices, (weights / (length or 1.0)).astype(np.float32)


@dataclass(frozen=True)
class NumberEncoder:
    """A number by where it lies among the quantiles of those learned from: one far outside counts like the last."""

    knots: np.ndarray

    @property
    def width(self) -> int:
        """A step between each two quantiles, and one that says that there is a number."""
        return len(self.knots)

    def encode(self, values: Sequence[object]) -> np.ndarray:
        """A row of steps from 0 to 1 for each number."""
        numbers = [number_in(value) for value in values]
        given = np.array([number is not None for number in numbers])
        rows = np.zeros((len(values), self.width), dtype=np.float32)
        if given.any():
            x = np.clip(np.array([number for number in numbers if number is not None]), -LARGEST, LARGEST)[:, None]
            low, high = self.knots[:-1], self.knots[1:]
            rows[given] = np.hstack([np.clip((x - low) / (high - low), 0, 1) - 0.5, np.ones_like(x)])
        return rows / np.float32(np.sqrt(self.width))


@dataclass(frozen=True)
class ChoiceEncoder:
    """A choice among a few words; one that was never seen is like none."""

    choices: Sequence[str]

    @property
    def width(self) -> int:
        """A number for each word."""
        return len(self.choices)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {choice: i for i, choice in enumerate(self.choices)}

    def encode(self, values: Sequence[object]) -> np.ndarray:
        """A 1 for the word of each row."""
        rows = np.zeros((len(values), self.width), dtype=np.float32)
        for i, value in enumerate(values):
            number = None if is_missing(value) else self._numbers.get(choice_of(value))
            if number is not None:
                rows[i, number] = 1
        return rows


def choice_of(value: object) -> str:
    """A choice without capitals, accents and marks."""
    return " ".join(words_of(str(value))) or str(value).strip()
