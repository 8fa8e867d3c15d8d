"""What classifiers of every kind begin and end with, and how weights become answers in linear ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted, validate_data


class ClassifierBase(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that scores every category, or for two categories by how much the second is ahead."""

    classes_: np.ndarray

    def predict(self, X: Any) -> np.ndarray:
        """The category with the highest score."""
        labels: np.ndarray = self.classes_[highest(self.decision_function(X))]
        return labels

    def decision_function(self, X: Any) -> np.ndarray:
        """A score for every category; for two categories one number, positive for the second."""
        raise NotImplementedError

    def _told(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """The features and the number of each row's category."""
        x, self.classes_, truth = numbered(self, X, y)
        return x, truth

    def _balance(self, weight: Any, truth: np.ndarray) -> np.ndarray | None:
        """What each category weighs, where they do not weigh the same."""
        if weight is None:
            return None
        balance: np.ndarray = compute_class_weight(weight, classes=self.classes_, y=self.classes_[truth])
        return balance


def numbered(estimator: Any, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The features, the categories, which there have to be two of, and the number of each row's category."""
    x, y = validate_data(estimator, X, y, dtype=np.float32)
    names, truth = np.unique(y, return_inverse=True)
    if len(names) < 2:
        raise ValueError("a classifier needs at least two classes, and the data holds one")
    return x, names, truth


def highest(scores: np.ndarray) -> np.ndarray:
    """The place of the highest score, where two categories share one number as scikit-learn has it."""
    best: np.ndarray = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
    return best


class LinearClassifier(ClassifierBase):
    """A trained linear classifier: one row of weights a category, or a single row for two."""

    coef_: np.ndarray
    intercept_: np.ndarray

    def decision_function(self, X: Any) -> np.ndarray:
        """A score for every category; for two categories one number, positive for the second."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        scores: np.ndarray = x @ self.coef_.T + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores


class ProbabilisticMixin:
    """Probabilities of a classifier whose scores are logarithms of them, but for what each row adds to all."""

    def predict_proba(self: Any, X: Any) -> np.ndarray:
        """Probabilities as the model gives them, not yet calibrated."""
        scores = self.decision_function(X)
        scores = np.column_stack([np.zeros_like(scores), scores]) if scores.ndim == 1 else scores
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        result: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
        return result
