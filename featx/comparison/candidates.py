"""One classifier on one store: its answers for every fold and for the held-out photos, and their cost."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from featx.classifiers.calibration import cross_calibrate, fit_temperature, held_out_temperature, probabilities
from featx.classifiers.pipelines import parallel_fits, scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.classifiers.tuning import best, default_grid
from featx.compute.threads import side_by_side
from featx.labels.folds import Fold, foldable_categories, grouped_folds, plain_folds

MOST_FREQUENT = "most-frequent"


@dataclass(frozen=True)
class Candidate:
    """A classifier's name, the store it sees, and whether it is there as a baseline."""

    store: str
    clf: str
    baseline: bool
    recipe: ClassifierSettings | None

    @property
    def name(self) -> str:
        """The store and the classifier."""
        return f"{self.store}/{self.clf}"


@dataclass
class CandidateResult:
    """The answers of a candidate: scores for the scored part of each fold and for the held-out photos, uncalibrated.

    `fold_temperatures` were chosen without the fold that they are for. `temperature` is the one that a saved classifier
    would have, `cv_temperature` the one that the folds alone give.
    """

    candidate: Candidate
    folds: list[np.ndarray] = field(default_factory=list)
    fold_temperatures: list[float] = field(default_factory=list)
    plain: list[np.ndarray] = field(default_factory=list)
    held: np.ndarray | None = None
    strength: float | None = None
    cv_temperature: float = 1.0
    temperature: float = 1.0
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    bytes: int = 0

    @property
    def fold_probabilities(self) -> Iterator[np.ndarray]:
        """Probabilities of each fold, calibrated on the other folds."""
        pairs = zip(self.folds, self.fold_temperatures, strict=True)
        return (probabilities(scores, temperature) for scores, temperature in pairs)

    def held_probabilities(self, plan: EvaluationPlan) -> np.ndarray:
        """Probabilities of the held-out photos, each half of the products calibrated on the other half."""
        assert self.held is not None
        return cross_calibrate(self.held, plan.held_truth, plan.held_groups, self.cv_temperature)


@dataclass(frozen=True)
class EvaluationPlan:
    """What every candidate does: learn these labels, score these folds."""

    labels: np.ndarray
    groups: np.ndarray
    classes: list[str]
    repeats: list[list[Fold]]
    plain: list[Fold]
    seed: int
    held_truth: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    held_groups: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    foldable: list[str] = field(default_factory=list)
    # Photos that are learned from and never scored; empty: none.
    seen: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    cuts: dict[tuple[bytes, bool], list[Fold]] = field(default_factory=dict, repr=False)

    def inner(self, learn: np.ndarray, *, grouped: bool) -> list[Fold]:
        """The part of a fold's training rows on which a strength is chosen; split once for all candidates."""
        key = (learn.tobytes(), grouped)
        if key not in self.cuts:
            labels = self.labels[learn].tolist()
            cut = (
                grouped_folds(labels, self.groups[learn], 5, self.seed)
                if grouped
                else plain_folds(labels, 5, self.seed)
            )
            self.cuts[key] = cut[:1]
        return self.cuts[key]

    def unseen(self, rows: np.ndarray) -> np.ndarray:
        """Which of these rows may be scored: no tuned network has seen them."""
        return ~self.seen[rows] if len(self.seen) else np.ones(len(rows), dtype=bool)

    @property
    def truth(self) -> np.ndarray:
        """The class numbers of the labels."""
        return np.searchsorted(np.array(self.classes), self.labels)

    @property
    def folds(self) -> list[Fold]:
        """The folds of all repeats, one after the other."""
        return [fold for cut in self.repeats for fold in cut]


def make_plan(labels: np.ndarray, groups: np.ndarray, folds: int, repeats: int, seed: int) -> EvaluationPlan:
    """Cut the folds once, for every candidate; plain ones too where groups make a difference."""
    cuts = [grouped_folds(labels.tolist(), groups, folds, seed + repeat) for repeat in range(repeats)]
    differ = len(np.unique(groups)) < len(groups)
    plain = plain_folds(labels.tolist(), folds, seed) if differ else []
    classes = sorted(set(labels.tolist()))
    foldable = foldable_categories(labels, groups, folds)
    return EvaluationPlan(labels, groups, classes, [cut for cut in cuts if cut], plain, seed, foldable=foldable)


def run_candidate(
    candidate: Candidate,
    plan: EvaluationPlan,
    features: np.ndarray,
    held: np.ndarray,
    *,
    plain: bool = True,
    progress: Callable[[], object] = lambda: None,
) -> CandidateResult:
    """Score a candidate; the strength is chosen inside each fold, from its training rows alone."""
    result = CandidateResult(candidate)
    first: list[np.ndarray] = []
    for number, cut in enumerate(plan.repeats):
        raw = []
        for scores in _each(candidate, plan, features, cut, grouped=True):
            raw.append(scores)
            progress()
        result.folds += raw
        result.fold_temperatures += _fold_temperatures(raw, plan, cut)
        first = raw if number == 0 else first
    if plain and plan.plain:
        result.plain = list(_each(candidate, plan, features, plan.plain, grouped=False))
    if first:
        result.cv_temperature = _temperature(first, plan, plan.repeats[0])
    _final(result, plan, features, held)
    progress()
    return result


def _final(result: CandidateResult, plan: EvaluationPlan, features: np.ndarray, held: np.ndarray) -> None:
    """Train on all training rows, as `featx fit` does, and answer for the held-out photos."""
    recipe = result.candidate.recipe
    begun = time.perf_counter()
    if recipe is None:
        raw = _frequencies(plan.labels, len(held), plan.classes)
    else:
        cut = plan.repeats[0][:1] if plan.repeats else []
        recipe = best(default_grid(recipe), features, plan.labels, cut)
        result.strength = recipe.strength
        begun = time.perf_counter()
        pipeline = train_classifier(recipe, features, plan.labels)
        result.fit_seconds = time.perf_counter() - begun
        rows = held if len(held) else features[:1000]
        begun = time.perf_counter()
        raw = scores_of(pipeline, rows, plan.classes)
        result.predict_seconds = (time.perf_counter() - begun) / len(rows)
        # Only for its size: `featx fit` saves classifiers in a format that cannot run code.
        result.bytes = len(pickle.dumps(pipeline, protocol=5))
    result.temperature = result.cv_temperature
    if len(held):
        result.held = raw
        result.temperature = held_out_temperature(raw, plan.held_truth, result.cv_temperature)


def _each(
    candidate: Candidate, plan: EvaluationPlan, features: np.ndarray, cut: Sequence[Fold], *, grouped: bool
) -> Iterator[np.ndarray]:
    """The scores of a candidate for the scored part of each fold."""
    recipe = candidate.recipe
    several = [] if recipe is None else default_grid(recipe)
    # Cutting takes Python's lock, and is done before any fold begins.
    inner = [plan.inner(learn, grouped=grouped) if len(several) > 1 else [] for learn, _ in cut]

    def raw(number: int) -> np.ndarray:
        learn, score = cut[number]
        labels = plan.labels[learn]
        if not several or len(set(labels.tolist())) < 2:
            return _frequencies(labels, len(score), plan.classes)
        x = features[learn]
        pipeline: Any = train_classifier(best(several, x, labels, inner[number]), x, labels)
        return scores_of(pipeline, features[score], plan.classes)

    return side_by_side(raw, range(len(cut)), 1 if recipe is None else parallel_fits(recipe, features))


def _frequencies(labels: np.ndarray, n: int, classes: Sequence[str]) -> np.ndarray:
    """The answer without looking at the photo: each category as probable as it is frequent."""
    counts = np.array([(labels == label).sum() for label in classes], dtype=np.float64)
    return np.tile(np.log(np.maximum(counts, 1e-6) / max(len(labels), 1)), (n, 1))


def _fold_temperatures(raw: Sequence[np.ndarray], plan: EvaluationPlan, cut: Sequence[Fold]) -> list[float]:
    """For each fold a temperature that was chosen on the other folds."""
    truth = [plan.truth[score] for _, score in cut]
    temperatures = []
    for i in range(len(raw)):
        others = [j for j in range(len(raw)) if j != i]
        temperatures.append(
            fit_temperature(np.concatenate([raw[j] for j in others]), np.concatenate([truth[j] for j in others]))
            if others
            else 1.0
        )
    return temperatures


def _temperature(raw: Sequence[np.ndarray], plan: EvaluationPlan, cut: Sequence[Fold]) -> float:
    """The temperature that `featx fit` would choose: on the categories that are scored."""
    scored = np.concatenate([score for _, score in cut])
    counted = np.isin(plan.labels[scored], plan.foldable)
    if not counted.any():
        return 1.0
    return fit_temperature(np.concatenate(raw)[counted], plan.truth[scored][counted])
