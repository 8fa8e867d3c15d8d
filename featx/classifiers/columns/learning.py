"""How columns become numbers, learned from the rows of one fold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np

from featx.backbones.sentences import FINGERPRINT, WIDTH
from featx.catalogue.own_columns import Value
from featx.classifiers.columns.cells import is_missing, number_in
from featx.classifiers.columns.encoders import (
    LARGEST,
    TEXTS,
    ChoiceEncoder,
    ColumnEncoder,
    NumberEncoder,
    PieceCounts,
    PieceNumbers,
    TextEncoder,
    WeighedTexts,
    as_text,
    choice_of,
)
from featx.classifiers.columns.values import Columns, Kind, length_of
from featx.compute.threads import one_thread
from featx.text.meaning import meaning_rows

# The most pieces of words, and the numbers that a text becomes.
PIECES, DIRECTIONS = 20_000, 256
# A piece in a single text tells nothing of others.
LEAST = 2
# Rounds of the search for directions, and how many more are carried along.
ROUNDS, SPARE = 3, 16
# Directions of less than this share of the greatest are rounding, and so many texts show all that matter.
FLAT, MOST_TEXTS = 1e-6, 20_000
# The steps between quantiles that a number becomes, and the most words of a choice.
STEPS, CHOICES = 8, 500


def learn_texts(values: Sequence[Value], seed: int = 0) -> TextEncoder:
    """The pieces of these texts, their weights, and the directions in which the texts differ most."""
    numbers = PieceNumbers()
    texts = [text for value in values if (text := as_text(value))]
    counts = _joined([numbers.counts(texts[start : start + TEXTS]) for start in range(0, len(texts), TEXTS)])
    n, seen = len(texts), np.bincount(counts.numbers, minlength=len(numbers.others))
    common = sorted(
        (piece for piece, i in numbers.others.items() if seen[i] >= LEAST),
        key=lambda p: (-seen[numbers.others[p]], p),
    )
    pieces = sorted(common[:PIECES])
    kept = np.array([numbers.others[piece] for piece in pieces], dtype=np.intp)
    weights = np.array([log((1 + n) / (1 + int(often))) + 1 for often in seen[kept]], dtype=np.float32)
    bare = TextEncoder(pieces, weights, np.zeros((len(pieces), 0), dtype=np.float16), log((1 + n) / 2) + 1)
    place = np.full(len(seen), len(pieces))
    place[kept] = np.arange(len(kept))
    weighed = bare.weighed(replace(counts, numbers=place[counts.numbers]))
    return replace(bare, directions=_directions(weighed, len(pieces), seed))


def _joined(parts: Sequence[PieceCounts]) -> PieceCounts:
    """The counts of texts one after the other."""
    starts = np.cumsum([0, *(part.n for part in parts)])
    texts = [part.texts + start for part, start in zip(parts, starts[:-1], strict=True)]
    none = np.zeros(0, dtype=np.int64)
    columns = texts, [part.numbers for part in parts], [part.often for part in parts], [part.most for part in parts]
    return PieceCounts(int(starts[-1]), *(np.concatenate([none, *column]) for column in columns))


def _directions(weighed: WeighedTexts, pieces: int, seed: int) -> np.ndarray:
    """The leading right singular vectors of weighed texts, by a few rounds of subspace iteration."""
    from scipy.sparse import csr_array

    texts = csr_array((weighed.weights, weighed.numbers, weighed.ends), shape=(len(weighed.ends) - 1, pieces))
    texts = texts[np.flatnonzero(np.diff(weighed.ends))]
    if texts.shape[0] > MOST_TEXTS:
        texts = texts[np.linspace(0, texts.shape[0] - 1, MOST_TEXTS).astype(int)]
    width = min(DIRECTIONS, *texts.shape)
    if not width:
        return np.zeros((pieces, 0), dtype=np.float16)
    spread = min(width + SPARE, *texts.shape)
    side = np.random.default_rng(seed).standard_normal((pieces, spread)).astype(np.float32)
    across = texts.T.tocsr()
    with one_thread():
        for _ in range(ROUNDS):
            side = _orthonormal(across @ _orthonormal(texts @ side))
        seen = texts @ side
        _, turn = np.linalg.eigh((seen.T @ seen).astype(np.float64))
    # Half the precision, in memory as on disk: the directions take most of the space of a classifier.
    return np.ascontiguousarray((side @ turn[:, ::-1].astype(np.float32))[:, :width], dtype=np.float16)


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what some columns span, from their products: a fraction of the time of a QR."""
    lengths, turn = np.linalg.eigh((columns.T @ columns).astype(np.float64))
    kept = lengths > lengths[-1] * FLAT
    basis: np.ndarray = columns @ (turn[:, kept] / np.sqrt(lengths[kept])).astype(np.float32)
    return basis


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
