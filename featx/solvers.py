"""Linear classifiers trained for all categories at once: the objectives of scikit-learn, a fraction of its time.

scikit-learn's `LinearSVC` trains one category after the other, a coordinate at a time. Here all categories share each
pass over the features as one matrix product, and SciPy's L-BFGS takes the steps. `start` takes over an earlier
solution, so a path of strengths costs little more than its hardest member.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted, validate_data


class _Linear(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What the two have in common: weights, an intercept, and the way to them."""

    _intercept_penalty = 0.0

    def __init__(self, C: float = 1.0, class_weight: str | None = None, max_iter: int = 300, tol: float = 1e-7) -> None:
        self.C = C
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any, start: Self | None = None) -> Self:
        """Train; `start` is a solution to begin from, for the same features and categories."""
        x, y = validate_data(self, X, y, dtype=np.float32)
        self.coef_: np.ndarray
        self.intercept_: np.ndarray
        self.classes_, truth = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("a classifier needs at least two classes, and the data holds one")
        weights = compute_sample_weight(self.class_weight, y).astype(np.float32) if self.class_weight else None
        columns = 1 if len(self.classes_) == 2 else len(self.classes_)
        shape = (x.shape[1] + 1, columns)
        begin = np.zeros(shape)
        if start is not None and start.coef_.shape == (columns, x.shape[1]):
            begin[:-1], begin[-1] = start.coef_.T, start.intercept_
        penalty = 1.0 / (self.C * len(x))
        # In coordinates in which the loss curves alike in all directions, a dozen steps do what hundreds did.
        curvature = (self._curvature(len(self.classes_)) / len(x)) * (x.T @ x).astype(np.float64)
        # Single precision leaves tiny negative curvature behind; the way may be a little off, the goal is not.
        curvature[np.diag_indices_from(curvature)] += penalty + 1e-5 * np.trace(curvature) / len(curvature)
        lower = np.linalg.cholesky(curvature)
        spread = solve_triangular(lower, np.eye(len(lower)), lower=True).astype(np.float32).T
        even = x @ spread
        begin[:-1] = lower.T @ begin[:-1]

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            point = flat.reshape(shape).astype(np.float32)
            loss, slope = self._loss(even @ point[:-1] + point[-1], truth, weights)
            slope /= len(x)
            w = spread @ point[:-1]
            gradient = np.empty(shape)
            gradient[:-1] = even.T @ slope + penalty * (spread.T @ w)
            gradient[-1] = slope.sum(axis=0) + self._intercept_penalty * penalty * point[-1]
            size = np.einsum("ij,ij->", w, w, dtype=np.float64)
            size += self._intercept_penalty * np.einsum("i,i->", point[-1], point[-1], dtype=np.float64)
            return loss / len(x) + 0.5 * penalty * float(size), gradient.ravel()

        found = minimize(
            objective,
            begin.ravel(),
            jac=True,
            method="L-BFGS-B",
            # The features are float32, so a step below its precision is no step.
            options={"maxiter": self.max_iter, "maxcor": 10, "gtol": 0.0, "ftol": self.tol},
        )
        solution = found.x.reshape(shape)
        solution[:-1] = spread @ solution[:-1].astype(np.float32)
        self.coef_ = np.ascontiguousarray(solution[:-1].T.astype(np.float32))
        self.intercept_ = solution[-1].astype(np.float32)
        self.n_iter_ = int(found.nit)
        return self

    def _loss(self, scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
        raise NotImplementedError

    def _curvature(self, classes: int) -> float:
        """About how much the loss of one row curves; only the speed depends on it."""
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

    _intercept_penalty = 1.0

    def _curvature(self, classes: int) -> float:
        return 1.0

    def _loss(self, scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
        signs = np.full(scores.shape, -1, dtype=np.float32)
        if scores.shape[1] == 1:
            signs[:, 0] = 2 * truth - 1
        else:
            signs[np.arange(len(truth)), truth] = 1
        gap = np.maximum(1 - signs * scores, 0)
        weighted = gap
        if weights is not None:
            # As liblinear does it: of several categories, only the one in question is weighted against the rest.
            matters = np.where(signs > 0, weights[:, None], 1) if scores.shape[1] > 1 else weights[:, None]
            weighted = gap * matters
        return float(np.einsum("ij,ij->", weighted, gap, dtype=np.float64)), -2 * signs * weighted


class Logistic(_Linear):
    """Multinomial logistic regression: the objective of `LogisticRegression`."""

    def _curvature(self, classes: int) -> float:
        return 0.02 / classes

    def _loss(self, scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
        if scores.shape[1] == 1:
            scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
            loss, slope = self._softmax(scores, truth, weights)
            return loss, slope[:, 1:]
        return self._softmax(scores, truth, weights)

    @staticmethod
    def _softmax(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
        rows = np.arange(len(truth))
        scores -= scores.max(axis=1, keepdims=True)
        shares = np.exp(scores)
        total = shares.sum(axis=1)
        losses = np.log(total.astype(np.float64)) - scores[rows, truth]
        shares /= total[:, None]
        shares[rows, truth] -= 1
        if weights is not None:
            losses *= weights
            shares *= weights[:, None]
        return float(losses.sum()), shares

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities as the model gives them, not yet calibrated."""
        scores = self.decision_function(X)
        scores = np.column_stack([np.zeros_like(scores), scores]) if scores.ndim == 1 else scores
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        result: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
        return result
