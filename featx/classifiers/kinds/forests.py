"""Forests: random forest and extremely randomised trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featx.classifiers.spec import ClassifierSettings, ClassifierSpec, Grid, Predictions, numbers, whole_numbers

if TYPE_CHECKING:
    import numpy as np

TREES = 300
# Which of two forests is better shows with fewer trees, too.
SEARCH_TREES = 100


def _random_forest(settings: ClassifierSettings) -> Any:
    return _forest(settings, extra=False)


def _extra_trees(settings: ClassifierSettings) -> Any:
    return _forest(settings, extra=True)


def _forest(settings: ClassifierSettings, extra: bool) -> Any:
    from featx.classifiers.solvers import Forest

    # A forest tries the square root of how many numbers there are, or so many times that, for each split.
    return Forest(
        TREES,
        extra=extra,
        max_features="sqrt" if settings.tried is None else settings.tried,
        max_depth=settings.depth,
        min_samples_leaf=int(settings.strength or 1),
        class_weight=settings.class_weight,
        random_state=settings.seed,
        n_jobs=settings.threads,
    )


def _fault(forest: Any, width: int) -> str | None:
    from featx.classifiers.solvers.forest import fault

    return fault(forest, width)


def _predict_many(
    candidates: Sequence[ClassifierSettings], learn: np.ndarray, labels: np.ndarray, score: np.ndarray
) -> Predictions:
    from featx.compute.threads import still_wanted

    for index, candidate in enumerate(candidates):
        still_wanted()
        forest = candidate.spec.estimator(candidate).set_params(n_estimators=SEARCH_TREES)
        yield index, forest.fit(learn, labels).predict(score)


_COMMON: dict[str, Any] = {
    "arrays": {
        "root_": whole_numbers("trees and one"),
        "feature_": whole_numbers("nodes"),
        "threshold_": numbers("nodes"),
        "left_": whole_numbers("nodes"),
        "right_": whole_numbers("nodes"),
        "start_": whole_numbers("nodes and one"),
        "category_": whole_numbers("shares"),
        "share_": numbers("shares"),
    },
    "fault": _fault,
    "scaling": "none",
    "reduction": "lda",
    "class_weights": True,
    "strength_name": "smallest leaf",
    "grid": Grid(wide=(1, 2, 5)),
    "variations": {"tried": (None, 0.1, 0.2), "depth": (None, 8, 16)},
    "reductions": ("lda", "none"),
    "predict_many": _predict_many,
}
RANDOM_FOREST = ClassifierSpec("rf", "a random forest", _random_forest, aliases=("forest", "random-forest"), **_COMMON)
EXTRA_TREES = ClassifierSpec("extra-trees", "a forest of random splits", _extra_trees, compared=False, **_COMMON)
