"""Straight borders: a linear SVM and logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featx.classifiers.spec import ClassifierSettings, ClassifierSpec, Grid, Predictions, numbers

if TYPE_CHECKING:
    import numpy as np


def _svm(settings: ClassifierSettings) -> Any:
    from featx.classifiers.solvers import LinearSVM

    return LinearSVM(C=settings.strength or 1.0, class_weight=settings.class_weight)


def _logistic(settings: ClassifierSettings) -> Any:
    from featx.classifiers.solvers import Logistic

    return Logistic(C=settings.strength or 1e-2, class_weight=settings.class_weight)


def _predict_many(
    candidates: Sequence[ClassifierSettings], learn: np.ndarray, labels: np.ndarray, score: np.ndarray
) -> Predictions:
    """Each solution is the start of the next stronger one; the axes of the rows are computed once."""
    from featx.compute.threads import still_wanted

    solution, axes = None, None
    for index in sorted(range(len(candidates)), key=lambda index: candidates[index].strength or 0):
        still_wanted()
        estimator = candidates[index].spec.estimator(candidates[index])
        axes = estimator.axes_for(learn) if axes is None else axes
        solution = estimator.fit(learn, labels, start=solution, axes=axes)
        yield index, solution.predict(score)


def _powers(low: int, high: int) -> tuple[float, ...]:
    """Powers of ten in half steps."""
    return tuple(10.0 ** (half / 2) for half in range(2 * low, 2 * high + 1))


WEIGHTS = {"coef_": numbers("scores", "in"), "intercept_": numbers("scores")}
# The best C differs by orders of magnitude between backbones, so it is searched, not assumed.
SVM = ClassifierSpec(
    "svm",
    "straight borders, one category against the rest",
    _svm,
    WEIGHTS,
    aliases=("linear-svm",),
    scaling="standard",
    reduction="lda",
    soft_bound=1.0,
    class_weights=True,
    parallel_folds=True,
    grid=Grid((1e-4, 1e-3, 1e-2, 1e-1), _powers(-6, 2)),
    lda_grid=Grid((0.1, 1.0, 10.0, 100.0), _powers(-3, 5)),
    reductions=("lda", "none", 256, 128, 64),
    predict_many=_predict_many,
)
LOGISTIC_REGRESSION = ClassifierSpec(
    "logreg",
    "straight borders, all categories at once",
    _logistic,
    WEIGHTS,
    aliases=("lr",),
    scaling="standard",
    reduction="lda",
    class_weights=True,
    parallel_folds=True,
    grid=Grid((1e-3, 1e-2, 1e-1, 1.0), _powers(-5, 3)),
    reductions=("lda", "none", 256, 128, 64),
    predict_many=_predict_many,
)
