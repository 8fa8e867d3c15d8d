"""The nearest category centre, as scikit-learn has it."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from sklearn.neighbors import NearestCentroid


class Centroid(NearestCentroid):  # type: ignore[misc]
    """`NearestCentroid` without its warning about features that are equal within every category."""

    def fit(self, X: Any, y: Any) -> Self:
        """Train."""
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.filterwarnings("ignore", "self.within_class_std_dev_")
            super().fit(X, y)
        return self
