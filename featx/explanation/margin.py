"""How far one category is ahead of another, as a sum over the numbers of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.answering import LINEAR
from featx.classifiers.model import Classifier
from featx.classifiers.pipelines import scores_of

Vector = NDArray[np.float64]
# Rows shorter than this are not brought to length 1, as in scikit-learn.
SHORTEST = float(10 * np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Margin:
    """The log-odds of a category against another at one row: `weights` times the row, plus the `rest`.

    Where a row is brought to length 1 on the way, the weights hold for this row and not for others.
    """

    weights: Vector
    rest: float

    def of(self, row: NDArray[Any]) -> float:
        """The log-odds."""
        return float(self.weights @ np.asarray(row, dtype=np.float64)) + self.rest


def log_odds(model: Classifier, rows: NDArray[np.float32], winner: int, other: int) -> Vector:
    """The log-odds of one category against another for some rows, by any classifier."""
    scores = scores_of(model.pipeline, rows, model.classes) / model.temperature
    difference: Vector = scores[:, winner] - scores[:, other]
    return difference


def linear_margin(model: Classifier, row: NDArray[np.float32], winner: int, other: int) -> Margin | None:
    """The margin of a linear classifier at a row; None for other classifiers."""
    name, classifier = model.pipeline.steps[-1]
    if name not in LINEAR.values():
        return None
    weights, rest = _difference(classifier, winner, other, list(map(str, classifier.classes_)), model.classes)
    # What each step before is given: its factors depend on the row.
    given, rows = [], row[None]
    for _, step in model.pipeline.steps[:-1]:
        given.append(rows)
        rows = step.transform(rows)
    for (step_name, step), before in zip(reversed(model.pipeline.steps[:-1]), reversed(given), strict=True):
        weights, more = STEPS[step_name](step, before, weights)
        rest += more
    return Margin(weights / model.temperature, rest / model.temperature)


def _difference(classifier: Any, winner: int, other: int, own: list[str], classes: list[str]) -> tuple[Vector, float]:
    coef, intercept = (
        np.asarray(classifier.coef_, np.float64),
        np.asarray(classifier.intercept_, np.float64).reshape(-1),
    )
    a, b = own.index(classes[winner]), own.index(classes[other])
    if len(coef) == 1:
        # One row of weights for two categories: the scores are its value and the negative of it.
        sign = 2.0 if a > b else -2.0
        return sign * coef[0], float(sign * intercept[0])
    return coef[a] - coef[b], float(intercept[a] - intercept[b])


def _unit_length(step: Any, rows: NDArray[Any], weights: Vector) -> tuple[Vector, float]:
    length = float(np.sqrt(np.vecdot(rows[0], rows[0])))
    return weights / (length if length >= SHORTEST else 1.0), 0.0


def _standard_scale(step: Any, rows: NDArray[Any], weights: Vector) -> tuple[Vector, float]:
    scaled = weights / np.asarray(step.scale_, dtype=np.float64)
    return scaled, -float(scaled @ np.asarray(step.mean_, dtype=np.float64))


def _projection(step: Any, rows: NDArray[Any], weights: Vector) -> tuple[Vector, float]:
    """`LDAProjection`; with a bound, long rows are shortened."""
    directions = np.asarray(step.directions_, dtype=np.float64)
    mean = np.asarray(step.mean_, dtype=np.float64)
    factor = 1.0
    if step.bound:
        plain = (np.asarray(rows[0], dtype=np.float64) - mean) @ directions
        factor = 1 / float(np.sqrt(plain @ plain + step.bound * step.size_ + 1e-30))
    turned = factor * (directions @ weights)
    return turned, -float(mean @ turned)


def _principal_directions(step: Any, rows: NDArray[Any], weights: Vector) -> tuple[Vector, float]:
    turned = np.asarray(step.components_, dtype=np.float64).T @ weights
    return turned, -float(np.asarray(step.mean_, dtype=np.float64) @ turned)


# By the names that steps have in a pipeline: weights after a step, and the step's row, to weights before it.
STEPS: Mapping[str, Callable[[Any, NDArray[Any], Vector], tuple[Vector, float]]] = {
    "normalizer": _unit_length,
    "standardscaler": _standard_scale,
    "ldaprojection": _projection,
    "pca": _principal_directions,
}
