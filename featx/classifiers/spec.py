"""The shape of a classifier's record, and the settings of one training. The records themselves are in `kinds/`.

This module and the records import no scikit-learn: `featx --help` and TAB read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from featx.errors import FeatxError

if TYPE_CHECKING:
    import numpy as np

Reduction = int | str


@dataclass(frozen=True)
class ClassifierSettings:
    """Which classifier to train, and how."""

    name: str = "svm"
    strength: float | None = None
    class_weight: str | None = None
    reduce: Reduction | None = None
    seed: int = 0
    threads: int = -1
    width: float | None = None
    depth: int | None = None
    tried: float | None = None
    resample: bool = False

    @property
    def spec(self) -> ClassifierSpec:
        """The record of this classifier."""
        from featx.classifiers.kinds import CLASSIFIERS

        return CLASSIFIERS[self.name]

    @property
    def reduction(self) -> Reduction:
        """A number of principal directions, `lda` or `none`; unless requested, what usually does best."""
        return self.reduce or self.spec.reduction

    def for_card(self) -> dict[str, Any]:
        """Everything that makes another classifier, under the names that people read."""
        always: dict[str, Any] = {self.spec.strength_name: self.strength, "seed": self.seed}
        others = {
            "class_weight": self.class_weight,
            "resample": self.resample,
            "reduce": self.reduction if self.reduction != "none" or self.reduce else None,
            "kernel width": self.width,
            "depth": self.depth,
            "numbers tried": self.tried,
        }
        return always | {name: value for name, value in others.items() if value}


@dataclass(frozen=True)
class Grid:
    """Strengths to try: a few without being asked, many with `--tune`."""

    default: tuple[float, ...] = ()
    wide: tuple[float, ...] = ()


@dataclass(frozen=True)
class SavedArray:
    """A fitted array of a pipeline's step as it is kept on disk: what its lengths are called, and whether it counts.

    `in` and `out` are the columns a step takes and gives, `classes` the categories, `scores` the rows of weights (one
    for two categories). Any other length is free, but the same wherever its name stands.
    """

    lengths: tuple[str, ...] = ()
    whole: bool = False


def numbers(*lengths: str) -> SavedArray:
    """An array of real numbers; without lengths a single one."""
    return SavedArray(lengths)


def whole_numbers(*lengths: str) -> SavedArray:
    """An array of whole numbers."""
    return SavedArray(lengths, whole=True)


def no_fault(step: Any, width: int) -> str | None:
    """The check of a step whose arrays are right as soon as their shapes are."""
    return None


# Predictions of several candidates that see the same rows, each with its index among the candidates.
Predictions = Iterator[tuple[int, "np.ndarray"]]
PredictMany = Callable[[Sequence[ClassifierSettings], "np.ndarray", "np.ndarray", "np.ndarray"], Predictions]


@dataclass(frozen=True)
class ClassifierSpec:
    """All that featx knows of one classifier."""

    name: str
    summary: str
    # The untrained last step of the pipeline.
    estimator: Callable[[ClassifierSettings], Any]
    # What training finds, all of which is saved; the rest of the step follows from the settings.
    arrays: Mapping[str, SavedArray]
    # What is wrong with arrays from a file, once their shapes and types are right.
    fault: Callable[[Any, int], str | None] = no_fault
    aliases: tuple[str, ...] = ()
    # Whether `featx compare` runs it unasked.
    compared: bool = True
    # How rows are scaled where LDA does not come first; in LDA's directions they always have unit length before.
    scaling: Literal["unit", "standard", "none"] = "unit"
    # `lda` for those that do better in the few directions that separate the categories (docs/fit.md says by how much).
    reduction: Reduction = "none"
    # One against the rest is thrown by rows that lie far out; LDA then normalises lengths softly (see `LDAProjection`).
    soft_bound: float = 0.0
    class_weights: bool = False
    # Forests use every core themselves, and other folds beside them would only wait.
    parallel_folds: bool = False
    strength_name: str = "C"
    grid: Grid = Grid()
    # Softly normalised rows are shorter, and their weights larger.
    lda_grid: Grid | None = None
    # What else `--tune` varies, outermost first. The first value of each is the default and wins a tie.
    variations: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    reductions: tuple[Reduction, ...] = ()
    # Trains several candidates on the same rows and computes what they share once.
    predict_many: PredictMany | None = None

    def strengths(self, reduction: Reduction) -> Grid:
        """The strengths to try in a reduction."""
        return self.lda_grid if reduction == "lda" and self.lda_grid is not None else self.grid


def known_reduction(requested: Reduction | None) -> Reduction | None:
    """`lda`, `none`, a number of principal directions, or nothing requested."""
    if requested is None or requested in ("lda", "none"):
        return requested
    text = str(requested)
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 10**9 and len(text) < 20):
        raise FeatxError("bad-flag", f"no reduction called `{text}`", "use `lda`, `none`, or a number of directions")
    return int(text)
