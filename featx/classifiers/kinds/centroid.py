"""The nearest category centre: a baseline."""

from __future__ import annotations

from typing import Any

from featx.classifiers.spec import ClassifierSettings, ClassifierSpec, numbers


def _centroid(settings: ClassifierSettings) -> Any:
    from featx.classifiers.solvers import Centroid

    return Centroid()


CENTROID = ClassifierSpec(
    "centroid",
    "the nearest category centre",
    _centroid,
    {
        "centroids_": numbers("classes", "in"),
        "class_prior_": numbers("classes"),
        "within_class_std_dev_": numbers("in"),
    },
    compared=False,
)
