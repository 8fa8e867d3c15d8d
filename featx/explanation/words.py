"""The words of a photo's columns that speak for its category, or for the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.catalogue.own_columns import Value
from featx.classifiers.columns.cells import is_missing
from featx.classifiers.columns.values import Kind, full_columns
from featx.classifiers.columns.words import words_of
from featx.classifiers.model import Classifier
from featx.explanation.question import Question

# Of a longer text, the first different words are tried.
MOST_WORDS = 100
# Weaker words move no probability by a percentage point.
LEAST = 0.02

Columns = Mapping[str, Sequence[Value]]


@dataclass(frozen=True)
class WordShare:
    """A word of a column, and how much the log-odds would fall without it."""

    column: str
    word: str
    log_odds: float


def encoded_columns(model: Classifier, columns: Columns) -> NDArray[np.float32]:
    """The columns of one photo as a row of numbers; empty for a classifier that wants none."""
    if model.fusion is None:
        return np.zeros(0, dtype=np.float32)
    row: NDArray[np.float32] = model.fusion.encoder.encode(full_columns(columns, model.wants, 1))[0]
    return row


def words_of_photo(question: Question, row: NDArray[np.float32], columns: Columns) -> list[WordShare]:
    """What would be lost without each word of the texts; the most first, words that hardly count left out."""
    if question.model.fusion is None or not question.encoded.any():
        return []
    without = _without_each_word(question.model, columns)
    if not without:
        return []
    encoder = question.model.fusion.encoder
    encoded = np.vstack([encoder.encode({**columns, column: [text]}) for column, _, text in without])
    lost = question.lost_without(row, encoded)
    shares = [WordShare(column, word, float(loss)) for (column, word, _), loss in zip(without, lost, strict=True)]
    return sorted((share for share in shares if abs(share.log_odds) >= LEAST), key=lambda share: -share.log_odds)


def _without_each_word(model: Classifier, columns: Columns) -> list[tuple[str, str, str]]:
    """For each word of each text its column, the word, and the text without it."""
    assert model.fusion is not None
    texts = [name for name, kind in model.fusion.encoder.kinds.items() if kind is Kind.TEXT]
    result = []
    for name in texts:
        value = columns.get(name, [None])[0]
        words = [] if is_missing(value) else words_of(str(value))
        for word in list(dict.fromkeys(words))[:MOST_WORDS]:
            result.append((name, word, " ".join(other for other in words if other != word)))
    return result
