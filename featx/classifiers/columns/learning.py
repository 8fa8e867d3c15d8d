"""How columns become numbers, learned from the rows of one fold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from featx.backbones.sentences import FINGERPRINT, WIDTH
from featx.catalogue.own_columns import Value
from featx.classifiers.columns.cells import is_missing, number_in
from featx.classifiers.columns.encoders import (
    LARGEST,
    ChoiceEncoder,
    ColumnEncoder,
    NumberEncoder,
    TextEncoder,
    choice_of,
)
from featx.classifiers.columns.values import Columns, Kind, length_of
from featx.classifiers.columns.words import pieces_of
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

    def encode(self, values: Sequence[object]) -> np.ndarray:
        """A row of numbers for each text."""
        rows = np.zeros((len(values), WIDTH), dtype=np.float32)
        given = [i for i, value in enumerate(values) if not is_missing(value)]
        if given:
            rows[given] = meaning_rows([str(values[i]) for i in given])
        return np.hstack([self.pieces.encode(values), rows])


def learn_meanings(values: Sequence[Value], seed: int = 0) -> MeaningEncoder:
    """The pieces of these texts; what sentences mean was learned long before."""
    return MeaningEncoder(learn_texts(values, seed))


def learn_numbers(values: Sequence[Value]) -> NumberEncoder:
    """The quantiles of these numbers."""
    numbers = [number for value in values if (number := number_in(value)) is not None]
    if not numbers:
        return NumberEncoder(np.zeros(1))
    return NumberEncoder(np.unique(np.quantile(np.clip(numbers, -LARGEST, LARGEST), np.linspace(0, 1, STEPS + 1))))


def learn_choices(values: Sequence[Value]) -> ChoiceEncoder:
    """The words of these choices, the most frequent of very many."""
    seen = Counter(choice_of(value) for value in values if not is_missing(value))
    return ChoiceEncoder(sorted(sorted(seen, key=lambda choice: (-seen[choice], choice))[:CHOICES]))


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
