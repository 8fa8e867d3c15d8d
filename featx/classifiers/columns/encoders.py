"""Columns as numbers: texts by their pieces, numbers by their place, choices among a few words.

This file travels with a deployment, beside a Python that has no featx: what it imports travels along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from featx.classifiers.columns.cells import is_missing, number_in
from featx.classifiers.columns.words import pieces_of_word, weighed_words, words_of

# No number counts as larger: its distance to another one would have no size.
LARGEST = 1e300
# Texts are counted so many at a time, and the pieces of so many words remembered: shops use the same few again.
TEXTS, WORDS = 256, 1 << 16


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

    A piece that was never seen counts in the length of a text: the fewer are known, the less a text says. A piece
    counts once, as much as where it counts most: a brand on ten packs of a shelf says no more than on one. With
    `repeats`, as earlier classifiers learned, it counts by how often it is there.
    """

    pieces: Sequence[str]
    weights: np.ndarray
    directions: np.ndarray
    unseen: float
    repeats: bool = False

    @property
    def width(self) -> int:
        """How many numbers a text becomes."""
        return int(self.directions.shape[1])

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {piece: i for i, piece in enumerate(self.pieces)}

    def encode(self, values: Sequence[object]) -> np.ndarray:
        """A row of numbers for each text."""
        rows, numbers = np.zeros((len(values), self.width), dtype=np.float32), PieceNumbers(self._numbers)
        # Of many texts nearly all pieces are wanted, again and again.
        whole = self.directions.astype(np.float32) if len(values) > TEXTS else None
        for start in range(0, len(values), TEXTS):
            numbers = numbers if numbers.n_words < WORDS else PieceNumbers(self._numbers)
            texts = [as_text(value) for value in values[start : start + TEXTS]]
            weighed = self.weighed(numbers.counts(texts))
            for i in np.flatnonzero(np.diff(weighed.ends)).tolist():
                here = slice(weighed.ends[i], weighed.ends[i + 1])
                of_text = weighed.numbers[here]
                directions = self.directions[of_text].astype(np.float32) if whole is None else whole[of_text]
                rows[start + i] = weighed.weights[here] @ directions
        return rows

    def weighed(self, counts: PieceCounts) -> WeighedTexts:
        """The known pieces of some texts and their weights."""
        of_piece = np.append(self.weights, np.float32(self.unseen))
        known = counts.numbers < len(self.pieces)
        strengths = 1 + np.log(counts.often) if self.repeats else counts.most
        weights = strengths * of_piece[np.where(known, counts.numbers, -1)]
        lengths = np.sqrt(np.bincount(counts.texts, weights**2, counts.n))
        shares = (weights / lengths[counts.texts])[known].astype(np.float32)
        ends = np.cumsum(np.bincount(counts.texts[known], minlength=counts.n))
        return WeighedTexts(np.append(0, ends), counts.numbers[known], shares)


@dataclass(frozen=True)
class WeighedTexts:
    """The known pieces of several texts with their weights: those of text i lie between `ends[i]` and `ends[i + 1]`."""

    ends: np.ndarray
    numbers: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class PieceCounts:
    """How often each piece is in each of n texts, text by text, and the most that it counts; it goes by its number."""

    n: int
    texts: np.ndarray
    numbers: np.ndarray
    often: np.ndarray
    most: np.ndarray


def as_text(value: object) -> str:
    """A value as a text; one whose parts count unequally stays what it is."""
    return "" if is_missing(value) else value if isinstance(value, str) else str(value)


class PieceNumbers:
    """Numbers for pieces of words: those of a vocabulary, and the next ones for what comes beside it."""

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        self._known = known or {}
        self.others: dict[str, int] = {}
        self._of_word: dict[str, np.ndarray] = {}

    @property
    def n_words(self) -> int:
        """How many words it remembers."""
        return len(self._of_word)

    def counts(self, texts: Sequence[str]) -> PieceCounts:
        """How often each piece is in each of some texts, and how much it counts."""
        found = [
            (i, self._numbers_of(word), weight) for i, text in enumerate(texts) for word, weight in weighed_words(text)
        ]
        lengths = np.array([len(numbers) for _, numbers, _ in found], dtype=np.intp)
        weights = np.repeat(np.array([weight for _, _, weight in found], dtype=np.float64), lengths)
        n_pieces = len(self._known) + len(self.others) + 1
        keys = np.repeat(np.array([i for i, _, _ in found], dtype=np.int64), lengths) * n_pieces
        keys += np.concatenate([np.zeros(0, np.int64), *(numbers for _, numbers, _ in found)])
        if len(weights) and weights.min() < weights.max():
            # Of each piece of a text the heaviest comes first.
            order = np.lexsort((-weights, keys))
            keys, weights = keys[order], weights[order]
        keys, first, often = np.unique(keys, return_index=True, return_counts=True)
        return PieceCounts(len(texts), *np.divmod(keys, n_pieces), often, weights[first])

    def _numbers_of(self, word: str) -> np.ndarray:
        numbers = self._of_word.get(word)
        if numbers is None:
            known, others, first = self._known, self.others, len(self._known)
            numbers = np.array(
                [
                    others.setdefault(piece, first + len(others)) if (number := known.get(piece)) is None else number
                    for piece in pieces_of_word(word)
                ],
                dtype=np.int64,
            )
            self._of_word[word] = numbers
        return numbers


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
