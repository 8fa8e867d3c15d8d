"""Linear discriminant analysis with shrinkage: one matrix product for all categories together."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from featx.solvers.linear import Linear, Probable


class Discriminant(Probable, Linear):
    """What `LinearDiscriminantAnalysis(solver="lsqr")` finds; its covariances are shrunk by `shrinkage`."""

    def __init__(self, shrinkage: float = 0.1) -> None:
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Any) -> Self:
        """Train."""
        x, truth = self._told(X, y)
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
