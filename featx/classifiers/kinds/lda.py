"""Linear discriminant analysis with shrinkage, on rows of nearly the same length."""

from __future__ import annotations

from typing import Any

from featx.classifiers.kinds.linear import WEIGHTS
from featx.classifiers.spec import SHRINKAGE, ClassifierSettings, ClassifierSpec, Grid

# Along the directions of LDA photos of one category vary alike, and how far apart rows lie is mostly how typical they
# are: photos from elsewhere lie nearer to the middle. So lengths are evened out, and little is left to be learned.
BOUND, WITHIN = 0.3, 0.5


def _lda(settings: ClassifierSettings) -> Any:
    from featx.classifiers.solvers import ShrinkageLDA

    return ShrinkageLDA(WITHIN if settings.reduction == "lda" else settings.strength or SHRINKAGE)


WIDE = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
LDA = ClassifierSpec(
    "lda",
    "the quickest to train, and the best on photos from elsewhere",
    _lda,
    WEIGHTS,
    reduction="lda",
    soft_bound=BOUND,
    shrinks_directions=True,
    parallel_folds=True,
    strength_name="shrinkage",
    grid=Grid((0.05, 0.1, 0.2, 0.4), WIDE),
    lda_grid=Grid((0.1, 0.2, 0.4), WIDE),
    reductions=("lda", "none", 256, 128, 64),
)
