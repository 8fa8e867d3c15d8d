"""An RBF kernel SVM: a Nyström approximation of the kernel's space, and the fast linear solver in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.linalg import eigh
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.classifiers.solvers.base import ClassifierBase
from featx.classifiers.solvers.lbfgs import minimise
from featx.classifiers.solvers.losses import SquaredHinge, dots

# More landmarks gained nothing, and the time for their eigenvectors grows with the cube.
LANDMARKS = 1500
# Eigenvalues below this share of the largest are noise of float32.
NEGLIGIBLE = 1e-5
BLOCK = 4096


@dataclass(frozen=True)
class NystroemSpace:
    """Rows in the kernel's space: their coordinates, and what it takes to compute those of other rows."""

    landmarks: np.ndarray
    gamma: float
    axes: np.ndarray
    rows: np.ndarray


class KernelSVM(ClassifierBase):
    """One-vs-rest, squared hinge loss, an RBF kernel `width` times as wide as scikit-learn's `scale`.

    `SVC` counts the one-vs-one duels that a category wins, which makes a poor confidence; here each has a margin.
    """

    weights_: np.ndarray

    def __init__(
        self,
        C: float = 10.0,
        width: float = 1.0,
        class_weight: Any = None,
        max_iter: int = 300,
        tol: float = 1e-5,
        random_state: int = 0,
    ) -> None:
        self.C = C
        self.width = width
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any, start: Self | None = None, space: NystroemSpace | None = None) -> Self:
        """Train; `space` is `space_of` the same rows if known, `start` a solution in it to start from."""
        x, truth = self._training_data(X, y)
        balance = self._balance(self.class_weight, truth)
        space = space_of(x, self.width, self.random_state) if space is None else space
        loss = SquaredHinge.of(truth, len(self.classes_), balance)
        begin = loss.begin(space.rows.shape[1]) if start is None else start.weights_
        self.weights_, self.n_iter_ = minimise(space.rows, loss, self.C, begin, self.tol, self.max_iter)
        self.landmarks_, self.gamma_ = space.landmarks, space.gamma
        self.coef_ = np.ascontiguousarray((space.axes @ self.weights_[:, :-1].T).astype(np.float32))
        self.intercept_ = self.weights_[:, -1]
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """A margin for every category; with two categories a single one, positive for the second."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        parts = [
            kernel(x[start : start + BLOCK], self.landmarks_, self.gamma_) @ self.coef_ + self.intercept_
            for start in range(0, max(len(x), 1), BLOCK)
        ]
        scores: np.ndarray = np.concatenate(parts)
        return scores[:, 0] if scores.shape[1] == 1 else scores


def space_of(x: np.ndarray, width: float, seed: int = 0, landmarks: int = LANDMARKS) -> NystroemSpace:
    """The kernel's space on its principal axes, spanned by all rows or by a random sample."""
    gamma = 1.0 / (x.shape[1] * (float(x.var(dtype=np.float64)) or 1.0) * width**2)
    sampled = x
    if len(x) > landmarks:
        sampled = x[np.sort(np.random.default_rng(seed).choice(len(x), landmarks, replace=False))]
    values, vectors = eigh(kernel(sampled, sampled, gamma), driver="evd", overwrite_a=True, check_finite=False)
    real = values > NEGLIGIBLE * values[-1]
    axes = vectors[:, real] / np.sqrt(values[real])
    rows = np.ones((len(x), axes.shape[1] + 1), dtype=np.float32)
    for start in range(0, len(x), BLOCK):
        rows[start : start + BLOCK, :-1] = kernel(x[start : start + BLOCK], sampled, gamma) @ axes
    return NystroemSpace(sampled, gamma, axes, rows)


def kernel(rows: np.ndarray, columns: np.ndarray, gamma: float) -> np.ndarray:
    """The RBF kernel: 1 for equal rows, less the farther they are from each other."""
    exponent = rows @ columns.T
    exponent *= 2
    exponent -= dots(rows, rows).astype(np.float32)[:, None]
    exponent -= dots(columns, columns).astype(np.float32)[None, :]
    np.minimum(exponent, 0, out=exponent)
    exponent *= np.float32(gamma)
    return np.asarray(np.exp(exponent, out=exponent))
