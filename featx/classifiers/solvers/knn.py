"""Soft k nearest neighbours: nearer ones weigh more, and absent categories keep a small probability."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.classifiers.solvers.base import ClassifierBase, ProbabilisticMixin
from featx.classifiers.solvers.losses import dots

# How fast the weight of a vote decays from distance 0 to the farthest neighbour.
DECAY = 8.0
# The vote of a category that is not among the neighbours, as a share of the farthest neighbour's vote.
FLOOR = 0.1
# So many rows are compared with all others at a time: what is made of their distances takes five times the room.
BLOCK = 256


class SoftKNN(ProbabilisticMixin, ClassifierBase):
    """k nearest neighbours; for rows of unit length, by cosine.

    Squared distances count relative to that of the k-th neighbour, so that the overall scale of the features does not
    matter. The scores are the logarithms of the votes, ready to be calibrated by a temperature.
    """

    def __init__(self, n_neighbors: int = 10) -> None:
        self.n_neighbors = n_neighbors

    def fit(self, X: Any, y: Any) -> Self:
        """Remember the rows."""
        self.rows_, self.truth_ = self._training_data(X, y)
        self.sizes_ = dots(self.rows_, self.rows_).astype(np.float32)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Logarithms of the votes; with two categories, the lead of the second."""
        return self.scores_of(X, [self.n_neighbors])[0]

    def scores_of(self, X: Any, counts: list[int]) -> list[np.ndarray]:
        """The `decision_function` for several numbers of neighbours, from one search."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        most = min(max(counts), len(self.rows_))
        votes: list[list[np.ndarray]] = [[] for _ in counts]
        for start in range(0, max(len(x), 1), BLOCK):
            rows = x[start : start + BLOCK]
            squared = dots(rows, rows).astype(np.float32)[:, None] + self.sizes_ - 2 * (rows @ self.rows_.T)
            near = np.argpartition(squared, most - 1, axis=1)[:, :most]
            near = np.take_along_axis(near, np.argsort(np.take_along_axis(squared, near, 1), axis=1, kind="stable"), 1)
            distances = np.clip(np.take_along_axis(squared, near, 1), 1e-9, None)
            for parts, k in zip(votes, counts, strict=True):
                parts.append(self._votes(near[:, :k], distances[:, :k]))
        scores = [np.concatenate(parts) for parts in votes]
        return [pair[:, 1] - pair[:, 0] for pair in scores] if len(self.classes_) == 2 else scores

    def _votes(self, near: np.ndarray, distances: np.ndarray) -> np.ndarray:
        weight = np.exp(-DECAY * distances / distances[:, -1:])
        votes = np.zeros((len(near), len(self.classes_)))
        np.add.at(votes, (np.arange(len(near))[:, None], self.truth_[near]), weight)
        logarithms: np.ndarray = np.log(votes + FLOOR * weight[:, -1:])
        return logarithms
