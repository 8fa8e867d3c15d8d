"""Rows to scores and along directions: the same lines for scikit-learn's steps and for saved classifiers without it."""

from __future__ import annotations

import numpy as np


def linear_scores(x: np.ndarray, weights: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """The scores of rows by weights; one number for two categories."""
    scores: np.ndarray = x @ weights.T + intercept
    return scores[:, 0] if scores.shape[1] == 1 else scores


def projected(x: np.ndarray, mean: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Rows along directions, seen from their mean."""
    rows: np.ndarray = x @ directions
    rows -= mean @ directions
    return rows


def shortened(rows: np.ndarray, bound: float, size: float) -> np.ndarray:
    """Rows shortened until none is longer than one, long ones more than short ones; unchanged without a bound."""
    if not bound:
        return rows
    squares = np.asarray(np.vecdot(rows, rows), dtype=np.float64)
    shorter: np.ndarray = rows / np.sqrt(squares + bound * size + 1e-30)[:, None].astype(np.float32)
    return shorter
