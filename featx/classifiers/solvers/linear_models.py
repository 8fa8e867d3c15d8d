"""The two linear classifiers as scikit-learn estimators."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from featx.classifiers.solvers.base import LinearClassifier, ProbabilisticMixin
from featx.classifiers.solvers.lbfgs import axes_of, minimise, turned
from featx.classifiers.solvers.losses import Loss, Softmax, SquaredHinge


class _Linear(LinearClassifier):
    """What the two have in common: the way to their weights and intercept."""

    # An intercept that costs nothing lets the features be centred without changing the answer.
    _free_intercept = False
    n_iter_: int

    def __init__(self, C: float = 1.0, class_weight: Any = None, max_iter: int = 300, tol: float = 1e-5) -> None:
        self.C = C
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol

    def axes_for(self, X: Any) -> np.ndarray:
        """What `fit` otherwise finds anew for each strength: the principal axes of the features."""
        x = np.asarray(X, dtype=np.float32)
        return axes_of(x - self._middle(x))

    def fit(self, X: Any, y: Any, start: Self | None = None, axes: np.ndarray | None = None) -> Self:
        """Train; `start` is a solution to begin from and `axes` those of `axes_for`, both for the same features."""
        x, truth = self._training_data(X, y)
        balance = self._balance(self.class_weight, truth)
        middle = self._middle(x)
        axes = axes_of(x - middle) if axes is None else axes
        rows = turned(x - middle, axes)
        loss = self._loss(truth, len(self.classes_), balance)
        begin = loss.begin(rows.shape[1])
        if start is not None and start.coef_.shape == (len(begin), x.shape[1]):
            begin[:, :-1], begin[:, -1] = start.coef_ @ axes, start.intercept_ + start.coef_ @ middle
        weights, self.n_iter_ = minimise(rows, loss, self.C, begin, self.tol, self.max_iter)
        self.coef_ = np.ascontiguousarray(weights[:, :-1] @ axes.T)
        self.intercept_ = weights[:, -1] - self.coef_ @ middle
        return self

    def _middle(self, x: np.ndarray) -> np.ndarray:
        return x.mean(axis=0, dtype=np.float64).astype(np.float32) if self._free_intercept else np.zeros_like(x[0])

    @staticmethod
    def _loss(truth: np.ndarray, classes: int, balance: np.ndarray | None) -> Loss:
        raise NotImplementedError


class LinearSVM(_Linear):
    """One against the rest with squared hinge loss: the objective of `LinearSVC`, its penalised intercept included."""

    @staticmethod
    def _loss(truth: np.ndarray, classes: int, balance: np.ndarray | None) -> Loss:
        return SquaredHinge.of(truth, classes, balance)


class Logistic(ProbabilisticMixin, _Linear):
    """Multinomial logistic regression: the objective of `LogisticRegression`."""

    _free_intercept = True

    @staticmethod
    def _loss(truth: np.ndarray, classes: int, balance: np.ndarray | None) -> Loss:
        return Softmax(truth, classes, balance)
