"""One category against another, by any classifier, of a photo beside its columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.columns.fusion import Fusion, Way, certain, says_anything
from featx.classifiers.model import Classifier
from featx.classifiers.pipelines import scores_of
from featx.compute.vectors import inverse_lengths
from featx.explanation.margin import Margin, linear_margin

Vector = NDArray[np.float64]
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Question:
    """Why one category and not the other; `encoded` is the row of the photo's columns, empty where it has none."""

    model: Classifier
    winner: int
    other: int
    encoded: Rows

    def log_odds(self, rows: Rows, encoded: Rows | None = None) -> Vector:
        """How much likelier the category is than the other, for rows of features beside the photo's own columns.

        With `encoded`, each row has columns of its own.
        """
        scores = scores_of(self.model.pipeline, rows, self.model.classes)
        fusion = self.model.fusion
        if fusion is None:
            return self._difference(scores)
        answers = certain(scores, fusion.photo_temperature)
        beside = np.repeat(self.encoded[None], len(rows), axis=0) if encoded is None else encoded
        says = says_anything(beside)
        if says.any():
            answers[says] = fusion.fused(answers[says], rows[says], beside[says], self.model.classes)
            answers[says] /= fusion.temperature
        return self._difference(answers)

    def lost_without(self, row: Rows, encoded: Rows) -> Vector:
        """How much the log-odds fall where the columns are others, such as a text without one of its words.

        Where the columns answer by themselves, their answer hardly changes by one word once it is certain. Then their
        share is divided as their scores are, which have no such ceiling.
        """
        fusion, rows = self.model.fusion, np.repeat(row[None], len(encoded), axis=0)
        if fusion is None or fusion.way is not Way.AVERAGED:
            return self.log_odds(row[None]) - self.log_odds(rows, encoded)
        scores = scores_of(fusion.columns.pipeline, np.vstack([self.encoded[None], encoded]), self.model.classes)
        difference = scores[:, self.winner] - scores[:, self.other]
        share = self._columns_alone(fusion) / (self.model.temperature * fusion.temperature)
        lost: Vector = share * (difference[0] - difference[1:]) / (difference[0] or 1.0)
        return lost

    def _columns_alone(self, fusion: Fusion) -> float:
        answer = fusion.weight * fusion.columns.logs(self.encoded[None], self.model.classes)[0]
        return float(answer[self.winner] - answer[self.other])

    def _difference(self, scores: Vector) -> Vector:
        difference: Vector = (scores[:, self.winner] - scores[:, self.other]) / self.model.temperature
        return difference

    def margin(self, row: Rows) -> Margin | None:
        """The log-odds at a row as a sum over its numbers; None where no such sum is exact."""
        fusion = self.model.fusion
        if fusion is None:
            return self._linear(row, self.model.temperature)
        if not self.encoded.any():
            return self._linear(row, fusion.photo_temperature * self.model.temperature)
        if fusion.way is Way.JOINED:
            return self._joined(fusion, row)
        return self._averaged(fusion, row) if fusion.way is Way.AVERAGED else None

    def _linear(self, row: Rows, temperature: float) -> Margin | None:
        margin = linear_margin(self.model.pipeline, self.model.classes, row, self.winner, self.other)
        return None if margin is None else margin.divided(temperature)

    def _joined(self, fusion: Fusion, row: Rows) -> Margin | None:
        """The features at length 1 beside the columns, in one classifier."""
        beside = np.float32(fusion.weight) * self.encoded
        length = float(inverse_lengths(row[None])[0])
        whole = np.concatenate([row * np.float32(length), beside])
        margin = linear_margin(fusion.columns.pipeline, self.model.classes, whole, self.winner, self.other)
        if margin is None:
            return None
        columns = float(margin.weights[len(row) :] @ beside.astype(np.float64))
        joined = Margin(margin.weights[: len(row)] * length, margin.rest, columns)
        return joined.divided(fusion.temperature * self.model.temperature)

    def _averaged(self, fusion: Fusion, row: Rows) -> Margin | None:
        """The sum of two answers: that of the columns is one number."""
        temperature = fusion.temperature * self.model.temperature
        margin = self._linear(row, fusion.photo_temperature * temperature)
        if margin is None:
            return None
        return Margin(margin.weights, margin.rest, self._columns_alone(fusion) / temperature)
