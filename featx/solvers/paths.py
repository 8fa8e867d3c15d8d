"""Out-of-fold scores for a whole grid of folds and strengths, sharing all the work that can be shared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from featx.solvers.descent import Memory, axes_of, minimise, turned
from featx.solvers.losses import Loss, Softmax, SquaredHinge, dots

KINDS = ("svm", "logreg", "rbf")
# At these 98 of 100 predictions or more are those of the exact minimum, where C is worth choosing.
TOLERANCES = {"svm": 1e-6, "logreg": 1e-3}
Fold = tuple[np.ndarray, np.ndarray]


def path_scores(
    kind: str,
    features: np.ndarray,
    labels: Sequence[Any] | np.ndarray,
    folds: Sequence[Fold],
    strengths: Sequence[float],
    **settings: Any,
) -> np.ndarray:
    """Decision scores by strength, row and class (`np.unique(labels)`); rows in no scored part hold NaN.

    `settings`: `tol`, `max_iter`. Classes a fold has not learned get a score below all others.
    """
    classes = len(np.unique(np.asarray(labels)))
    scores = np.full((len(strengths), len(features), classes), np.nan, dtype=np.float32)
    for (_, score), found in zip(folds, fold_paths(kind, features, labels, folds, strengths, **settings), strict=True):
        scores[:, score] = found
    return scores


def fold_paths(
    kind: str,
    features: np.ndarray,
    labels: Sequence[Any] | np.ndarray,
    folds: Sequence[Fold],
    strengths: Sequence[float],
    tol: float | None = None,
    max_iter: int = 300,
) -> Iterator[np.ndarray]:
    """For each fold its scores by strength, scored row and class. Strengths are solved from the smallest on."""
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    tol = TOLERANCES.get(kind, 0.0) if tol is None else tol
    names, truth = np.unique(np.asarray(labels), return_inverse=True)
    features = np.asarray(features, dtype=np.float32)
    axes = None
    for learn, score in folds:
        learn_x, score_x = standardised(features[learn], features[score])
        known, local = np.unique(truth[learn], return_inverse=True)
        if kind == "rbf":
            found = _rbf_path(learn_x, local, score_x, strengths)
        else:
            # Axes span everything while there are at least as many rows as columns; then one set does for all folds.
            if axes is None or len(learn) < features.shape[1]:
                axes = axes_of(learn_x)
            found = _linear_path(kind, turned(learn_x, axes), local, turned(score_x, axes), strengths, tol, max_iter)
        full = np.empty((len(strengths), len(score), len(names)), dtype=np.float32)
        full[...] = found.min(axis=(1, 2), keepdims=True, initial=0) - 10
        full[:, :, known] = found
        yield full


def standardised(learn: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both parts with the means and deviations of the first, as `StandardScaler` does."""
    middle = learn.mean(axis=0, dtype=np.float64)
    deviation = learn.std(axis=0, dtype=np.float64)
    # What varies less than float32 can tell from its mean is constant.
    deviation[deviation <= 1e-6 * np.abs(middle) + 1e-30] = 1
    shift, factor = middle.astype(np.float32), (1 / deviation).astype(np.float32)
    return (learn - shift) * factor, (score - shift) * factor


def _linear_path(
    kind: str,
    rows: np.ndarray,
    truth: np.ndarray,
    others: np.ndarray,
    strengths: Sequence[float],
    tol: float,
    max_iter: int,
) -> np.ndarray:
    """Scores for every strength, each solution being the start of the next."""
    classes = int(truth.max()) + 1
    loss: Loss = SquaredHinge.of(truth, classes, None) if kind == "svm" else Softmax(truth, classes, None)
    weights = loss.begin(rows.shape[1])
    memory = Memory()
    found: list[np.ndarray] = [np.empty(0)] * len(strengths)
    for place in np.argsort(strengths, kind="stable"):
        weights, _ = minimise(rows, loss, float(strengths[place]), weights, tol, max_iter, memory)
        raw = others @ weights.T
        # Half to each side, so that two classes' softmax is the logistic function.
        found[place] = np.hstack([-raw, raw]) * (0.5 if kind == "logreg" else 1) if classes == 2 else raw
    return np.stack(found)


def _rbf_path(learn: np.ndarray, truth: np.ndarray, score: np.ndarray, strengths: Sequence[float]) -> np.ndarray:
    """Scores of `SVC` with its defaults for every strength; the kernel is worked out once, not pair by pair."""
    from sklearn.svm import SVC

    gamma = 1.0 / (learn.shape[1] * (float(learn.var(dtype=np.float64)) or 1.0))
    kernel, others = _rbf(learn, learn, gamma), _rbf(score, learn, gamma)
    found = []
    for strength in strengths:
        raw = SVC(C=strength, kernel="precomputed").fit(kernel, truth).decision_function(others)
        found.append(np.column_stack([-raw, raw]) if raw.ndim == 1 else raw)
    return np.asarray(found, dtype=np.float32)


def _rbf(rows: np.ndarray, columns: np.ndarray, gamma: float) -> np.ndarray:
    products = (rows @ columns.T).astype(np.float64)
    products *= 2
    products -= dots(rows, rows)[:, None]
    products -= dots(columns, columns)[None, :]
    np.minimum(products, 0, out=products)
    products *= gamma
    kernel: np.ndarray = np.exp(products, out=products)
    return kernel
