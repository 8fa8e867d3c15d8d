"""Which category is taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def confusion_matrix(truth: np.ndarray, says: np.ndarray, n: int) -> np.ndarray:
    """How often each category (row) was taken for each (column)."""
    return np.bincount(truth * n + says, minlength=n * n).reshape(n, n)


def confusion_counts(truth: Sequence[int], says: Sequence[int], classes: int) -> np.ndarray:
    """How often each category (row) was taken for each (column)."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (np.asarray(truth, dtype=int), np.asarray(says, dtype=int)), 1)
    return matrix
