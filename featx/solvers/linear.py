"""How weights and an intercept become answers, the same for every linear classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class Linear(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A trained linear classifier: one row of weights a category, or a single row for two."""

    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray

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


class Probable:
    """Probabilities of a classifier whose scores are logarithms of them, but for what each row adds to all."""

    def predict_proba(self: Any, X: Any) -> np.ndarray:
        """Probabilities as the model gives them, not yet calibrated."""
        scores = self.decision_function(X)
        scores = np.column_stack([np.zeros_like(scores), scores]) if scores.ndim == 1 else scores
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        result: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
        return result
