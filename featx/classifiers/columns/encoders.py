"""Columns as numbers for a classifier, learned from the rows of one fold: texts, numbers, and choices among a few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any, Protocol

import numpy as np

from featx.backbones.sentences import FINGERPRINT, WIDTH
from featx.catalogue.own_columns import Value
from featx.classifiers.columns.values import Columns, Kind, is_missing, length_of, number_in
from featx.classifiers.columns.words import pieces_of, words_of
from featx.compute.threads import one_thread
from featx.text.meaning import meaning_rows

# The most pieces of words, and the numbers that a text becomes.
PIECES, DIRECTIONS = 20_000, 256
# A piece in a single text tells nothing of others.
LEAST = 2
# Rounds of the search for directions, and how many more are carried along.
ROUNDS, SPARE = 3, 16
# The steps between quantiles that a number becomes, and the most words of a choice.
STEPS, CHOICES = 8, 500


class ColumnEncoder(Protocol):
    """A column as numbers; a row without a value becomes zeros."""

    @property
    def width(self) -> int:
        """How many numbers a value becomes."""

    def encode(self, values: Sequence[Value]) -> np.ndarray:
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

    def encode(self, values: Sequence[Value]) -> np.ndarray:
        """A row of numbers for each text."""
        rows = np.zeros((len(values), self.width), dtype=np.float32)
        for i, value in enumerate(values):
            indices, weights = self.weighed(value)
            if len(indices):
                rows[i] = weights @ self.directions[indices].astype(np.float32)
        return rows

    def weighed(self, value: Value) -> tuple[np.ndarray, np.ndarray]:
        """The known pieces of a text and their weights."""
        counts = Counter() if is_missing(value) else Counter(pieces_of(str(value)))
        known = {number: n for piece, n in counts.items() if (number := self._numbers.get(piece)) is not None}
        unseen = sum((1 + log(n)) ** 2 for piece, n in counts.items() if piece not in self._numbers)
        indices = np.fromiter(known, dtype=np.intp, count=len(known))
        often = np.fromiter(known.values(), dtype=np.float64, count=len(known))
        weights = (1 + np.log(often)) * self.weights[indices] if known else often
        length = np.sqrt((weights**2).sum() + unseen * self.unseen**2)
        return indices, (weights / (length or 1.0)).astype(np.float32)


def learn_texts(values: Sequence[Value], seed: int = 0) -> TextEncoder:
    """The pieces of these texts, their weights, and the directions in which the texts differ most."""
    texts = [set(pieces_of(str(value))) for value in values if not is_missing(value)]
    seen = Counter(piece for pieces in texts for piece in pieces)
    common = sorted((piece for piece, n in seen.items() if n >= LEAST), key=lambda piece: (-seen[piece], piece))
    pieces = sorted(common[:PIECES])
    n = len(texts)
    weights = np.array([log((1 + n) / (1 + seen[piece])) + 1 for piece in pieces], dtype=np.float32)
    unseen = log((1 + n) / 2) + 1
    bare = TextEncoder(pieces, weights, np.zeros((len(pieces), 0), dtype=np.float16), unseen)
    return TextEncoder(pieces, weights, _directions(bare, values, seed), unseen)


def _directions(encoder: TextEncoder, values: Sequence[Value], seed: int) -> np.ndarray:
    """The leading right singular vectors of weighed texts, by a few rounds of subspace iteration."""
    from scipy.sparse import csr_array

    rows = [encoder.weighed(value) for value in values]
    rows = [row for row in rows if len(row[0])]
    width = min(DIRECTIONS, len(rows), len(encoder.pieces))
    if not width:
        return np.zeros((len(encoder.pieces), 0), dtype=np.float16)
    ends = np.cumsum([0, *(len(indices) for indices, _ in rows)])
    cells = np.concatenate([weights for _, weights in rows]), np.concatenate([indices for indices, _ in rows]), ends
    texts = csr_array(cells, shape=(len(rows), len(encoder.pieces)))
    spread = min(width + SPARE, *texts.shape)
    side = np.random.default_rng(seed).standard_normal((texts.shape[1], spread)).astype(np.float32)
    with one_thread():
        for _ in range(ROUNDS):
            side = np.linalg.qr(texts.T @ np.linalg.qr(texts @ side)[0])[0]
        _, _, turn = np.linalg.svd(texts @ side, full_matrices=False)
    # Half the precision, in memory as on disk: the directions take most of the space of a classifier.
    return np.ascontiguousarray((side @ turn.T)[:, :width], dtype=np.float16)


@dataclass(frozen=True)
class MeaningEncoder:
    """Texts by their pieces of words, and by their meaning beside these."""

    pieces: TextEncoder
    fingerprint: str = FINGERPRINT

    @property
    def width(self) -> int:
        """How many numbers a text becomes."""
        return self.pieces.width + WIDTH

    def encode(self, values: Sequence[Value]) -> np.ndarray:
        """A row of numbers for each text."""
        rows = np.zeros((len(values), WIDTH), dtype=np.float32)
        given = [i for i, value in enumerate(values) if not is_missing(value)]
        if given:
            rows[given] = meaning_rows([str(values[i]) for i in given])
        return np.hstack([self.pieces.encode(values), rows])


def learn_meanings(values: Sequence[Value], seed: int = 0) -> MeaningEncoder:
    """The pieces of these texts; what sentences mean was learned long before."""
    return MeaningEncoder(learn_texts(values, seed))


@dataclass(frozen=True)
class NumberEncoder:
    """A number by where it lies among the quantiles of those learned from: one far outside counts like the last."""

    knots: np.ndarray

    @property
    def width(self) -> int:
        """A step between each two quantiles, and one that says that there is a number."""
        return len(self.knots)

    def encode(self, values: Sequence[Value]) -> np.ndarray:
        """A row of steps from 0 to 1 for each number."""
        numbers = [number_in(value) for value in values]
        given = np.array([number is not None for number in numbers])
        rows = np.zeros((len(values), self.width), dtype=np.float32)
        if given.any():
            x = np.clip(np.array([number for number in numbers if number is not None]), -1e300, 1e300)[:, None]
            low, high = self.knots[:-1], self.knots[1:]
            rows[given] = np.hstack([np.clip((x - low) / (high - low), 0, 1) - 0.5, np.ones_like(x)])
        return rows / np.float32(np.sqrt(self.width))


def learn_numbers(values: Sequence[Value]) -> NumberEncoder:
    """The quantiles of these numbers."""
    numbers = [number for value in values if (number := number_in(value)) is not None]
    if not numbers:
        return NumberEncoder(np.zeros(1))
    return NumberEncoder(np.unique(np.quantile(np.clip(numbers, -1e300, 1e300), np.linspace(0, 1, STEPS + 1))))


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

    def encode(self, values: Sequence[Value]) -> np.ndarray:
        """A 1 for the word of each row."""
        rows = np.zeros((len(values), self.width), dtype=np.float32)
        for i, value in enumerate(values):
            number = None if is_missing(value) else self._numbers.get(_choice(value))
            if number is not None:
                rows[i, number] = 1
        return rows


def learn_choices(values: Sequence[Value]) -> ChoiceEncoder:
    """The words of these choices, the most frequent of very many."""
    seen = Counter(_choice(value) for value in values if not is_missing(value))
    return ChoiceEncoder(sorted(sorted(seen, key=lambda choice: (-seen[choice], choice))[:CHOICES]))


def _choice(value: Value) -> str:
    return " ".join(words_of(str(value))) or str(value).strip()


LEARN: Mapping[Kind, Any] = {
    Kind.TEXT: learn_texts,
    Kind.MEANING: learn_meanings,
    Kind.NUMBER: learn_numbers,
    Kind.CHOICE: learn_choices,
}


@dataclass(frozen=True)
class ColumnsEncoder:
    """Several columns as one row of numbers; a row in which all of them are missing says nothing."""

    kinds: Mapping[str, Kind]
    encoders: Mapping[str, ColumnEncoder]

    @property
    def width(self) -> int:
        """How many numbers the columns of a row become."""
        return sum(encoder.width for encoder in self.encoders.values())

    def encode(self, columns: Columns) -> np.ndarray:
        """A row of numbers for each row; columns that are not there are missing."""
        n = length_of(columns)
        parts = [encoder.encode(columns.get(name, [None] * n)) for name, encoder in self.encoders.items()]
        return np.hstack([*parts, np.zeros((n, 0))]).astype(np.float32)


def learn_columns(columns: Columns, kinds: Mapping[str, Kind]) -> ColumnsEncoder:
    """How to write these columns as numbers, from the rows to learn from."""
    return ColumnsEncoder(kinds, {name: LEARN[kind](columns[name]) for name, kind in kinds.items()})
