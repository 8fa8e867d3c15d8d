"""The nearest photos vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featx.classifiers.spec import ClassifierSettings, ClassifierSpec, Grid, Predictions, numbers, whole_numbers

if TYPE_CHECKING:
    import numpy as np

NEIGHBOURS = 10


def _knn(settings: ClassifierSettings) -> Any:
    from featx.classifiers.solvers import SoftKNN

    return SoftKNN(_k(settings))


def _k(settings: ClassifierSettings) -> int:
    return int(settings.strength or NEIGHBOURS)


def _predict_many(
    candidates: Sequence[ClassifierSettings], learn: np.ndarray, labels: np.ndarray, score: np.ndarray
) -> Predictions:
    """The neighbours are looked up once, for the candidate that asks most of them."""
    from featx.classifiers.solvers.base import highest

    voters = _knn(candidates[0]).fit(learn, labels)
    several = voters.scores_of(score, [_k(candidate) for candidate in candidates])
    for index, scores in enumerate(several):
        yield index, voters.classes_[highest(scores)]


def _fault(voters: Any, width: int) -> str | None:
    if voters.n_neighbors < 1 or not len(voters.rows_):
        return "it has no neighbours to ask"
    if voters.truth_.min() < 0 or voters.truth_.max() >= len(voters.classes_):
        return "its neighbours are of categories it does not have"
    return None


KNN = ClassifierSpec(
    "knn",
    "the nearest photos vote",
    _knn,
    {"rows_": numbers("rows", "in"), "truth_": whole_numbers("rows"), "sizes_": numbers("rows")},
    _fault,
    reduction="lda",
    parallel_folds=True,
    strength_name="neighbours",
    grid=Grid(wide=(NEIGHBOURS, 1, 3, 5, 20, 50)),
    reductions=("lda", "none", 256, 128, 64),
    predict_many=_predict_many,
)
