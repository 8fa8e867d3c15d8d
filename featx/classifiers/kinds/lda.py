"""Linear discriminant analysis with shrinkage."""

from __future__ import annotations

from typing import Any

from featx.classifiers.kinds.linear import WEIGHTS
from featx.classifiers.spec import ClassifierSettings, ClassifierSpec, Grid


def _lda(settings: ClassifierSettings) -> Any:
    from featx.classifiers.solvers import ShrinkageLDA

    return ShrinkageLDA(settings.strength or 0.1)


LDA = ClassifierSpec(
    "lda",
    "the quickest to train",
    _lda,
    WEIGHTS,
    parallel_folds=True,
    strength_name="shrinkage",
    grid=Grid((0.05, 0.1, 0.2, 0.4), (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)),
    reductions=("none", 256, 128, 64),
)
