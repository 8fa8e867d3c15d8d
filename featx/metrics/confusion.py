"""Which category is taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def confusion_counts(
    truth: Sequence[int] | np.ndarray, predicted: Sequence[int] | np.ndarray, classes: int
) -> np.ndarray:
    """How often each category (row) was taken for each (column); a truth of -1 is no category and is left out."""
    rows, columns = np.asarray(truth, dtype=int), np.asarray(predicted, dtype=int)
    known = rows >= 0
    return np.bincount(rows[known] * classes + columns[known], minlength=classes * classes).reshape(classes, classes)


def most_frequent_mistakes(matrix: np.ndarray) -> list[tuple[int, int] | None]:
    """For each category the one it is most often taken for, and how often; None where it never is."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    taken_for = wrong.argmax(axis=1)
    return [(int(j), int(wrong[i, j])) if wrong[i, j] else None for i, j in enumerate(taken_for)]
