"""Linear discriminant analysis with shrinkage, in one matrix product for all categories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.linalg import solve_triangular
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.classifiers.projections import projected, shortened
from featx.classifiers.solvers.base import LinearClassifier, ProbabilisticMixin, numbered
from featx.classifiers.solvers.losses import dots
from featx.compute.threads import threads_for

BLOCK = 4096


class ShrinkageLDA(ProbabilisticMixin, LinearClassifier):
    """`LinearDiscriminantAnalysis(solver="lsqr")` with covariances shrunk by `shrinkage`."""

    def __init__(self, shrinkage: float = 0.1) -> None:
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Any) -> Self:
        """Train."""
        x, truth = self._training_data(X, y)
        with threads_for(x.size * x.shape[1]):
            span = _Span.of(x)
            sizes, means, spread = _within(span.rows, truth, self.shrinkage, x.shape[1])
            weights = np.linalg.solve(spread, means.T).T
        offset = np.log(sizes / len(x)) - 0.5 * (means * weights).sum(axis=1)
        weights = span.over_features(weights.T).T
        if len(sizes) == 2:
            weights, offset = weights[1:] - weights[:1], offset[1:] - offset[:1]
        self.coef_, self.intercept_ = weights.astype(np.float32), offset.astype(np.float32)
        return self


class LDAProjection(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Projection onto the directions that separate categories best, one fewer than there are categories.

    The same as `LinearDiscriminantAnalysis(solver="eigen").transform`, but only the directions are stored, which keeps
    a classifier's file small. With a `bound`, rows are shortened to less than length 1, long ones the most; a larger
    bound shortens less.
    """

    def __init__(self, shrinkage: float = 0.1, bound: float = 0.0) -> None:
        self.shrinkage = shrinkage
        self.bound = bound

    def fit(self, X: Any, y: Any) -> Self:
        """Compute the directions."""
        self._fit(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> np.ndarray:
        """Compute the directions, and project the rows."""
        return self._shortened(self._fit(X, y))

    def _fit(self, X: Any, y: Any) -> np.ndarray:
        x, _, truth = numbered(self, X, y)
        span = _Span.of(x)
        sizes, means, spread = _within(span.rows, truth, self.shrinkage, x.shape[1])
        self.mean_ = x.mean(axis=0, dtype=np.float64).astype(np.float32)
        root = np.linalg.cholesky(spread)
        between = (means - sizes @ means / len(x)) * np.sqrt(sizes / len(x))[:, None]
        axes, lengths, _ = np.linalg.svd(solve_triangular(root, between.T, lower=True), full_matrices=False)
        axes = axes[:, : len(sizes) - 1][:, lengths[: len(sizes) - 1] >= 1e-6 * lengths[0]]
        self.directions_ = span.over_features(solve_triangular(root, axes, lower=True, trans="T")).astype(np.float32)
        projected = self._projected(x)
        self.size_ = float(dots(projected, projected).mean())
        return projected

    def transform(self, X: Any) -> np.ndarray:
        """Rows projected onto the directions."""
        check_is_fitted(self)
        return self._shortened(self._projected(validate_data(self, X, dtype=np.float32, reset=False)))

    def _shortened(self, rows: np.ndarray) -> np.ndarray:
        return shortened(rows, self.bound, self.size_)

    def _projected(self, x: np.ndarray) -> np.ndarray:
        return projected(x, self.mean_, self.directions_)

    @property
    def _n_features_out(self) -> int:
        return int(self.directions_.shape[1])


@dataclass(frozen=True)
class _Span:
    """Rows as coordinates in the space they span, where that has far fewer dimensions than there are features.

    In every other dimension the shrunk covariance is one constant, so the result is the same, and a small catalogue
    needs no square matrices of thousands of features.
    """

    rows: np.ndarray
    basis: np.ndarray | None = None

    @classmethod
    def of(cls, x: np.ndarray) -> Self:
        if 2 * len(x) > x.shape[1]:
            return cls(x)
        basis, triangle = np.linalg.qr(x.T.astype(np.float64))
        return cls(triangle.T.astype(np.float32), basis)

    def over_features(self, columns: np.ndarray) -> np.ndarray:
        """Columns of coordinates as columns of features."""
        return columns if self.basis is None else self.basis @ columns


def _within(
    x: np.ndarray, truth: np.ndarray, shrinkage: float, n_features: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes and means of the categories, and the covariance within them, shrunk to the mean variance of a feature."""
    sizes = np.bincount(truth).astype(np.float64)
    members = csr_matrix(((1 / sizes[truth]).astype(np.float32), (truth, np.arange(len(x)))), (len(sizes), len(x)))
    short = np.asarray(members @ x)
    means = short.astype(np.float64)
    spread = np.zeros((x.shape[1], x.shape[1]))
    # Some rows at a time, so that the rows around their means need no room of their own.
    for start in range(0, len(x), BLOCK):
        centred = x[start : start + BLOCK] - short[truth[start : start + BLOCK]]
        spread += centred.T @ centred
    spread /= len(x)
    among = means - sizes @ means / len(x)
    between = float(sizes @ dots(among, among)) / len(x)
    # Constant features make the covariance singular without shrinkage; so does a single row in each category.
    level = max(float(np.trace(spread)), 1e-3 * between, 1e-30) / n_features
    spread *= 1 - shrinkage
    spread.flat[:: len(spread) + 1] += max(shrinkage, 1e-9) * level
    return sizes, means, spread
