"""The nearest photos vote: a nearer one weighs more, and no category is ruled out by not being among them."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.classifiers.solvers.base import ClassifierBase, ProbabilisticMixin
from featx.classifiers.solvers.losses import dots

# How fast a vote loses weight on the way from the photo itself to its farthest neighbour.
FADING = 8.0
# What a category has that is not among the neighbours: a part of the vote of the farthest of them.
FLOOR = 0.1
BLOCK = 1024


class SoftKNN(ProbabilisticMixin, ClassifierBase):
    """k nearest neighbours; for rows of unit length that is by cosine.

    Squared distances count relative to that of the k-th neighbour, so that it does not matter how close together a
    network puts all photos. The scores are logarithms of the votes, which one temperature makes honest.
    """

    def __init__(self, n_neighbors: int = 10) -> None:
        self.n_neighbors = n_neighbors

    def fit(self, X: Any, y: Any) -> Self:
        """Remember."""
        self.rows_, self.truth_ = self._told(X, y)
        self.sizes_ = dots(self.rows_, self.rows_).astype(np.float32)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Logarithms of the votes; for two categories by how much the second is ahead."""
        return self.scores_of(X, [self.n_neighbors])[0]

    def scores_of(self, X: Any, several: list[int]) -> list[np.ndarray]:
        """What `decision_function` says for several numbers of neighbours; the neighbours are looked up once."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        most = min(max(several), len(self.rows_))
        found: list[list[np.ndarray]] = [[] for _ in several]
        for start in range(0, max(len(x), 1), BLOCK):
            mine = x[start : start + BLOCK]
            apart = dots(mine, mine).astype(np.float32)[:, None] + self.sizes_ - 2 * (mine @ self.rows_.T)
            near = np.argpartition(apart, most - 1, axis=1)[:, :most]
            near = np.take_along_axis(near, np.argsort(np.take_along_axis(apart, near, 1), axis=1, kind="stable"), 1)
            far = np.clip(np.take_along_axis(apart, near, 1), 1e-9, None)
            for place, k in enumerate(several):
                found[place].append(self._votes(near[:, :k], far[:, :k]))
        scores = [np.concatenate(parts) for parts in found]
        return [one[:, 1] - one[:, 0] if len(self.classes_) == 2 else one for one in scores]

    def _votes(self, near: np.ndarray, far: np.ndarray) -> np.ndarray:
        weight = np.exp(-FADING * far / far[:, -1:])
        votes = np.zeros((len(near), len(self.classes_)))
        np.add.at(votes, (np.arange(len(near))[:, None], self.truth_[near]), weight)
        logarithms: np.ndarray = np.log(votes + FLOOR * weight[:, -1:])
        return logarithms
