"""Linear discriminant analysis with shrinkage, in one matrix product for all categories."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.linalg import solve, solve_triangular
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.classifiers.projections import projected, shortened
from featx.classifiers.solvers.base import LinearClassifier, ProbabilisticMixin, numbered
from featx.classifiers.solvers.losses import dots
from featx.compute.threads import threads_for

BLOCK = 4096
# With less shrinkage, single features are too small beside the products of rows to be computed from them.
LEAST = 1e-3


class ShrinkageLDA(ProbabilisticMixin, LinearClassifier):
    """`LinearDiscriminantAnalysis(solver="lsqr")` with covariances shrunk by `shrinkage`."""

    def __init__(self, shrinkage: float = 0.1) -> None:
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Any) -> Self:
        """Train."""
        x, truth = self._training_data(X, y)
        with threads_for(x.size * x.shape[1]):
            sizes, means, weighed = _weighed_means(x, truth, self.shrinkage)
        weights = weighed.T
        offset = np.log(sizes / len(x)) - 0.5 * (means * weights).sum(axis=1)
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
        self.mean_ = x.mean(axis=0, dtype=np.float64).astype(np.float32)
        few = int(truth.max()) < x.shape[1]
        self.directions_ = (_directions if few else _directions_of_many)(x, truth, self.shrinkage).astype(np.float32)
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


def _directions(x: np.ndarray, truth: np.ndarray, shrinkage: float) -> np.ndarray:
    """The directions in which categories differ most, one to a column, by as many numbers as there are categories."""
    sizes, means, weighed = _weighed_means(x, truth, shrinkage)
    shares = sizes / len(x)
    # From means to how far each lies from the mean of all, by the root of its category's share.
    apart = np.sqrt(shares)[:, None] * (np.eye(len(sizes)) - shares)
    strengths, axes = np.linalg.eigh(apart @ (means @ weighed) @ apart.T)
    # The strongest first; of rows that are all alike one direction is left, of no length.
    strengths, axes = np.maximum(strengths[: -len(sizes) : -1], 1e-30), axes[:, : -len(sizes) : -1]
    kept = strengths >= 1e-10 * strengths[0]
    return np.asarray(weighed @ (apart.T @ axes[:, kept] / np.sqrt(strengths[kept])))


def _directions_of_many(x: np.ndarray, truth: np.ndarray, shrinkage: float) -> np.ndarray:
    """The same where there are more categories than features."""
    sizes, _, means = _categories(x, truth)
    root = np.linalg.cholesky(_covariance(x, truth, sizes, means, shrinkage))
    between = (means - sizes @ means / len(x)) * np.sqrt(sizes / len(x))[:, None]
    axes, lengths, _ = np.linalg.svd(solve_triangular(root, between.T, lower=True), full_matrices=False)
    return np.asarray(solve_triangular(root, axes[:, lengths >= 1e-5 * lengths[0]], lower=True, trans="T"))


def _weighed_means(x: np.ndarray, truth: np.ndarray, shrinkage: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes and means of the categories, and the means times the inverse of the covariance, one to a column.

    The covariance is that within categories, shrunk to the mean variance of a feature.
    """
    sizes, averages, means = _categories(x, truth)
    if len(x) < x.shape[1] and shrinkage >= LEAST:
        return sizes, means, _weighed_by_rows(x, truth, sizes, averages, means, shrinkage)
    covariance = _covariance(x, truth, sizes, means, shrinkage)
    return sizes, means, solve(covariance, means.T, assume_a="pos", overwrite_a=True, check_finite=False)


def _categories(x: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, Any, np.ndarray]:
    """The sizes of the categories, what averages the rows of each, and their means."""
    sizes = np.bincount(truth).astype(np.float64)
    averages = csr_matrix(((1 / sizes[truth]).astype(np.float32), (truth, np.arange(len(x)))), (len(sizes), len(x)))
    return sizes, averages, np.asarray(averages @ x).astype(np.float64)


def _shares(total: float, x: np.ndarray, sizes: np.ndarray, means: np.ndarray, shrinkage: float) -> tuple[float, float]:
    """How much the products of rows count in the shrunk covariance, and what every feature has besides.

    Constant features make the covariance singular without shrinkage; so does a single row in each category.
    """
    among = means - sizes @ means / len(x)
    least = 1e-3 * float(sizes @ dots(among, among)) / len(x)
    level = max(total / len(x), least, 1e-30) / x.shape[1]
    return (1 - shrinkage) / len(x), max(shrinkage, 1e-9) * level


def _covariance(x: np.ndarray, truth: np.ndarray, sizes: np.ndarray, means: np.ndarray, shrinkage: float) -> np.ndarray:
    spread, short = np.zeros((x.shape[1], x.shape[1])), means.astype(np.float32)
    # Some rows at a time, so that the rows around their means need no room of their own.
    for start in range(0, len(x), BLOCK):
        centred = x[start : start + BLOCK] - short[truth[start : start + BLOCK]]
        spread += centred.T @ centred
    count, added = _shares(float(np.trace(spread)), x, sizes, means, shrinkage)
    spread *= count
    spread.flat[:: len(spread) + 1] += added
    return spread


def _weighed_by_rows(
    x: np.ndarray, truth: np.ndarray, sizes: np.ndarray, averages: Any, means: np.ndarray, shrinkage: float
) -> np.ndarray:
    """The means times the inverse of the covariance by the products of rows, which are fewer than the features.

    What the inverse makes of a mean is a sum of rows: that mean itself, and rows around the means of their categories,
    which take away what varies within these.
    """
    rows = x.astype(np.float64)
    products = rows @ rows.T
    products -= (averages @ products)[truth]
    with_means = products @ averages.T
    products -= with_means[:, truth]
    count, added = _shares(float(np.trace(products)), x, sizes, means, shrinkage)
    products *= count
    products.flat[:: len(products) + 1] += added
    less = solve(products, count * with_means, assume_a="pos", overwrite_a=True, check_finite=False)
    return np.asarray((means - less.T @ rows) / added).T
