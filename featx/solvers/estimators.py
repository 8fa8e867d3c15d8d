"""The two linear classifiers as scikit-learn estimators."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.solvers.descent import axes_of, minimise, turned
from featx.solvers.losses import Loss, Softmax, SquaredHinge


class _Linear(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What the two have in common: weights, an intercept, and the way to them."""

    # An intercept that costs nothing lets the features be centred without changing the answer.
    _free_intercept = False
    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray
    n_iter_: int

    def __init__(self, C: float = 1.0, class_weight: Any = None, max_iter: int = 300, tol: float = 1e-5) -> None:
        self.C = C
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any, start: Self | None = None) -> Self:
        """Train; `start` is a solution to begin from, for the same features and categories."""
        x, y = validate_data(self, X, y, dtype=np.float32)
        self.classes_, truth = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("a classifier needs at least two classes, and the data holds one")
        balance = None
        if self.class_weight is not None:
            balance = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        middle = x.mean(axis=0, dtype=np.float64).astype(np.float32) if self._free_intercept else np.zeros_like(x[0])
        axes = axes_of(x - middle)
        rows = turned(x - middle, axes)
        loss = self._loss(truth, len(self.classes_), balance)
        begin = loss.begin(rows.shape[1])
        if start is not None and start.coef_.shape == (len(begin), x.shape[1]):
            begin[:, :-1], begin[:, -1] = start.coef_ @ axes, start.intercept_ + start.coef_ @ middle
        found, self.n_iter_ = minimise(rows, loss, self.C, begin, self.tol, self.max_iter)
        self.coef_ = np.ascontiguousarray(found[:, :-1] @ axes.T)
        self.intercept_ = found[:, -1] - self.coef_ @ middle
        return self

    @staticmethod
    def _loss(truth: np.ndarray, classes: int, balance: np.ndarray | None) -> Loss:
        raise NotImplementedError

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


class LinearSVM(_Linear):
    """One against the rest with squared hinge loss: the objective of `LinearSVC`, its penalised intercept included."""

    @staticmethod
    def _loss(truth: np.ndarray, classes: int, balance: np.ndarray | None) -> Loss:
        return SquaredHinge.of(truth, classes, balance)


class Logistic(_Linear):
    """Multinomial logistic regression: the objective of `LogisticRegression`."""

    _free_intercept = True

    @staticmethod
    def _loss(truth: np.ndarray, classes: int, balance: np.ndarray | None) -> Loss:
        return Softmax(truth, classes, balance)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities as the model gives them, not yet calibrated."""
        scores = self.decision_function(X)
        scores = np.column_stack([np.zeros_like(scores), scores]) if scores.ndim == 1 else scores
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        result: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
        return result
