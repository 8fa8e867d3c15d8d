"""How far one category is ahead of another, as a sum over the numbers of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.answering import LINEAR
from featx.classifiers.coarsening import CoarsePipeline

Vector = NDArray[np.float64]
# Rows shorter than this are not brought to length 1, as in scikit-learn.
SHORTEST = float(10 * np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Margin:
    """The log-odds of a category against another at one row: `weights` times the row, the `columns` and the `rest`.

    Where a row is brought to length 1 on the way, the weights hold for this row and not for others.
    """

    weights: Vector
    rest: float
    columns: float = 0.0

    def of(self, row: NDArray[Any]) -> float:
        """The log-odds."""
        return float(self.weights @ np.asarray(row, dtype=np.float64)) + self.columns + self.rest

    def divided(self, temperature: float) -> Margin:
        """The margin of scores that are divided by a temperature."""
        return Margin(self.weights / temperature, self.rest / temperature, self.columns / temperature)


def linear_margin(
    pipeline: Any, classes: Sequence[str], row: NDArray[np.float32], winner: int, other: int
) -> Margin | None:
    """The margin between two scores of a linear pipeline at a row; None for other pipelines."""
    name, classifier = pipeline.steps[-1]
    # The score of a coarse category is a logarithm of a sum over finer ones.
    if name not in LINEAR.values() or isinstance(pipeline, CoarsePipeline):
        return None
    weights, rest = _difference(classifier, winner, other, list(map(str, classifier.classes_)), classes)
    # What each step before is given: its factors depend on the row.
    given, rows = [], row[None]
    for _, step in pipeline.steps[:-1]:
        given.append(rows)
        rows = step.transform(rows)
    for (step_name, step), before in zip(reversed(pipeline.steps[:-1]), reversed(given), strict=True):
        weights, more = STEPS[step_name](step, before, weights)
        rest += more
    return Margin(weights, rest)


def _difference(
    classifier: Any, winner: int, other: int, own: list[str], classes: Sequence[str]
) -> tuple[Vector, float]:
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
