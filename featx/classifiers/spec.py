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
Scaling = Literal["unit", "standard", "none"]


# How far the covariances behind the directions of LDA are shrunk, where nothing says otherwise.
SHRINKAGE = 0.1


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
    # How many views of each photo are learned from: the photo alone, or flips and crops of it too.
    views: int = 1
    # How rows are scaled, where not as usual for this classifier.
    scaled: Scaling | None = None

    @property
    def spec(self) -> ClassifierSpec:
        """The record of this classifier."""
        return CLASSIFIERS[self.name]

    @property
    def reduction(self) -> Reduction:
        """A number of principal directions, `lda` or `none`; by default, what usually does best."""
        return self.reduce or self.spec.reduction

    @property
    def scaling(self) -> Scaling:
        """How rows are scaled without LDA."""
        return self.scaled or self.spec.scaling

    @property
    def directions(self) -> tuple[Reduction, float]:
        """The reduction, and how far the covariances are shrunk if it is `lda`."""
        shrinks = self.spec.shrinks_directions and self.reduction == "lda"
        return self.reduction, (self.strength if shrinks and self.strength else SHRINKAGE)

    def for_card(self) -> dict[str, Any]:
        """Every setting that makes a difference, under its public name."""
        always: dict[str, Any] = {self.spec.strength_name: self.strength, "seed": self.seed}
        others = {
            "class_weight": self.class_weight,
            "resample": self.resample,
            "reduce": self.reduction if self.reduction != "none" or self.reduce else None,
            "kernel width": self.width,
            "depth": self.depth,
            "numbers tried": self.tried,
            "views": self.views if self.views > 1 else None,
        }
        return always | {name: value for name, value in others.items() if value}


@dataclass(frozen=True)
class Grid:
    """Strengths to try: a few by default, many with `--tune`."""

    default: tuple[float, ...] = ()
    wide: tuple[float, ...] = ()


@dataclass(frozen=True)
class SavedArray:
    """A fitted array of a pipeline step as stored: the names of its lengths, and whether it holds whole numbers.

    `in` and `out` are the columns a step takes and gives, `classes` the categories, `scores` the rows of weights (one
    for two categories). Any other length is free, but the same wherever its name stands.
    """

    lengths: tuple[str, ...] = ()
    whole: bool = False


def numbers(*lengths: str) -> SavedArray:
    """An array of real numbers; a scalar without lengths."""
    return SavedArray(lengths)


def whole_numbers(*lengths: str) -> SavedArray:
    """An array of whole numbers."""
    return SavedArray(lengths, whole=True)


def no_fault(step: Any, width: int) -> str | None:
    """The check of a step whose arrays need no more than the right shapes."""
    return None


# Predictions of several candidates for the same rows, each with the index of its candidate.
Predictions = Iterator[tuple[int, "np.ndarray"]]
PredictMany = Callable[[Sequence[ClassifierSettings], "np.ndarray", "np.ndarray", "np.ndarray"], Predictions]


@dataclass(frozen=True)
class ClassifierSpec:
    """Everything featx knows of a classifier."""

    name: str
    summary: str
    # The untrained last step of the pipeline.
    estimator: Callable[[ClassifierSettings], Any]
    # The fitted arrays, all of which are saved; the rest of the step follows from the settings.
    arrays: Mapping[str, SavedArray]
    # The fault of arrays from a file whose shapes and types are right.
    fault: Callable[[Any, int], str | None] = no_fault
    aliases: tuple[str, ...] = ()
    # Whether `featx compare` runs it by default.
    compared: bool = True
    # How rows are scaled without LDA; before LDA, rows always have unit length.
    scaling: Scaling = "unit"
    # `lda` for those that do better in the few directions that separate the categories (figures in docs/fit.md).
    reduction: Reduction = "none"
    # Outlying rows draw borders astray; LDA then normalises lengths softly (see `LDAProjection`).
    soft_bound: float = 0.0
    # Whether the strength is how far the covariances behind the directions are shrunk, and not the last step's.
    shrinks_directions: bool = False
    class_weights: bool = False
    # Forests use every core themselves; folds in parallel would only wait.
    parallel_folds: bool = False
    strength_name: str = "C"
    grid: Grid = Grid()
    # Softly normalised rows are shorter, and their weights larger.
    lda_grid: Grid | None = None
    # Other settings that `--tune` varies, outermost first. The first value of each is the default and wins ties.
    variations: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    reductions: tuple[Reduction, ...] = ()
    # Trains several candidates on the same rows, computing shared parts once.
    predict_many: PredictMany | None = None

    def strengths(self, reduction: Reduction) -> Grid:
        """The strengths to try in a reduction."""
        return self.lda_grid if reduction == "lda" and self.lda_grid is not None else self.grid


# The classifiers there are, by name; `kinds/` registers its own when the package is imported.
CLASSIFIERS: dict[str, ClassifierSpec] = {}


def register(spec: ClassifierSpec) -> None:
    """Make a classifier known to every command, under its name and its aliases."""
    CLASSIFIERS[spec.name] = spec


def known_reduction(requested: Reduction | None) -> Reduction | None:
    """`lda`, `none`, a number of principal directions, or nothing requested."""
    if requested is None or requested in ("lda", "none"):
        return requested
    text = str(requested)
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 10**9 and len(text) < 20):
        raise FeatxError("bad-flag", f"no reduction called `{text}`", "use `lda`, `none`, or a number of directions")
    return int(text)
