"""Curved borders: an SVM with an RBF kernel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from featx.classifiers.spec import ClassifierSettings, ClassifierSpec, Grid, Predictions, numbers

if TYPE_CHECKING:
    import numpy as np


def _kernel_svm(settings: ClassifierSettings) -> Any:
    from featx.classifiers.solvers import KernelSVM

    return KernelSVM(
        settings.strength or 10.0,
        settings.width or 1.0,
        class_weight=settings.class_weight,
        random_state=settings.seed,
    )


def _predict_many(
    candidates: Sequence[ClassifierSettings], learn: np.ndarray, labels: np.ndarray, score: np.ndarray
) -> Predictions:
    """Each solution is the start of the next stronger one; the kernel of a width is computed once."""
    from featx.classifiers.solvers.kernel_svm import space_of
    from featx.compute.threads import still_wanted

    order = sorted(range(len(candidates)), key=lambda i: (candidates[i].width or 0, candidates[i].strength or 0))
    for width, indices in groupby(order, key=lambda index: candidates[index].width):
        solution, space = None, None
        for index in indices:
            still_wanted()
            estimator = candidates[index].spec.estimator(candidates[index])
            space = space or space_of(learn.astype("float32"), width or 1.0, candidates[index].seed)
            solution = estimator.fit(learn, labels, start=solution, space=space)
            yield index, solution.predict(score)


KERNEL_SVM = ClassifierSpec(
    "svm-rbf",
    "curved borders",
    _kernel_svm,
    {
        "landmarks_": numbers("landmarks", "in"),
        "gamma_": numbers(),
        "coef_": numbers("landmarks", "scores"),
        "intercept_": numbers("scores"),
    },
    aliases=("rbf",),
    compared=False,
    reduction="lda",
    soft_bound=1.0,
    class_weights=True,
    parallel_folds=True,
    grid=Grid((1.0, 10.0, 100.0), (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)),
    variations={"width": (1.0, 0.7, 1.4, 2.0, 2.8)},
    reductions=("lda", "none", 256, 128, 64),
    predict_many=_predict_many,
)
