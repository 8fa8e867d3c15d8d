"""What all classifiers share: validated training data, and answers from scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.classifiers.projections import linear_scores


class ClassifierBase(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that scores every category; with two categories, the lead of the second."""

    classes_: np.ndarray

    def predict(self, X: Any) -> np.ndarray:
        """The category with the highest score."""
        labels: np.ndarray = self.classes_[highest(self.decision_function(X))]
        return labels

    def decision_function(self, X: Any) -> np.ndarray:
        """A score for every category; with two categories a single one, positive for the second."""
        raise NotImplementedError

    def _training_data(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """The features, and the index of each row's category."""
        x, self.classes_, truth = numbered(self, X, y)
        return x, truth

    def _balance(self, weight: Any, truth: np.ndarray) -> np.ndarray | None:
        """The weight of each category; None where all weigh the same."""
        if weight is None:
            return None
        balance: np.ndarray = compute_class_weight(weight, classes=self.classes_, y=self.classes_[truth])
        return balance


def numbered(estimator: Any, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The features, the categories (at least two), and the index of each row's category."""
    x, y = validate_data(estimator, X, y, dtype=np.float32)
    names, truth = np.unique(y, return_inverse=True)
    if len(names) < 2:
        raise ValueError("a classifier needs at least two classes, and the data holds one")
    return x, names, truth


def highest(scores: np.ndarray) -> np.ndarray:
    """The index of the highest score; two categories share one score, as in scikit-learn."""
    best: np.ndarray = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
    return best


class LinearClassifier(ClassifierBase):
    """A trained linear classifier: a row of weights for each category, or a single row for two."""

    coef_: np.ndarray
    intercept_: np.ndarray

    def decision_function(self, X: Any) -> np.ndarray:
        """A score for every category; with two categories a single one, positive for the second."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        return linear_scores(x, self.coef_, self.intercept_)


class ProbabilisticMixin:
    """Probabilities by softmax, for a classifier whose scores are log probabilities up to a constant for each row."""

    def predict_proba(self: Any, X: Any) -> np.ndarray:
        """Probabilities before calibration."""
        scores = self.decision_function(X)
        scores = np.column_stack([np.zeros_like(scores), scores]) if scores.ndim == 1 else scores
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        result: np.ndarray = odds / odds.sum(axis=1, keepdims=True)
        return result
