"""Linear discriminant analysis with shrinkage: one matrix product for all categories together."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class Discriminant(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What `LinearDiscriminantAnalysis(solver="lsqr")` finds; its covariances are shrunk by `shrinkage`."""

    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray

    def __init__(self, shrinkage: float = 0.1) -> None:
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Any) -> Self:
        """Train."""
        x, y = validate_data(self, X, y, dtype=np.float32)
        self.classes_, truth = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("a classifier needs at least two classes, and the data holds one")
        sizes = np.bincount(truth).astype(np.float64)
        sums = np.zeros((len(sizes), x.shape[1]))
        np.add.at(sums, truth, x)
        means = sums / sizes[:, None]
        centred = x - means.astype(np.float32)[truth]
        spread = (centred.T @ centred).astype(np.float64) / len(x)
        level = max(float(np.trace(spread)) / len(spread), 1e-30)
        # Numbers that never vary make the spread singular where nothing is shrunk.
        shrunk = (1 - self.shrinkage) * spread + max(self.shrinkage, 1e-9) * level * np.eye(len(spread))
        found = np.linalg.solve(shrunk, means.T).T
        offset = np.log(sizes / len(x)) - 0.5 * (means * found).sum(axis=1)
        if len(sizes) == 2:
            found, offset = found[1:] - found[:1], offset[1:] - offset[:1]
        self.coef_, self.intercept_ = found.astype(np.float32), offset.astype(np.float32)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """A score for every category; for two categories one number, positive for the second."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        scores: np.ndarray = x @ self.coef_.T + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> np.ndarray:
        """The category with the highest score."""
        scores = self.decision_function(X)
        best = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: np.ndarray = self.classes_[best]
        return labels

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities as the model gives them, not yet calibrated."""
        scores = self.decision_function(X)
        scores = np.column_stack([np.zeros_like(scores), scores]) if scores.ndim == 1 else scores
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        result: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
        return result
