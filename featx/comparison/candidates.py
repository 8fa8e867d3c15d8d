"""One classifier on one store: its answers for every fold and for the held-out pictures, and what they cost."""

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
from featx.labels.folds import Fold, grouped_folds, plain_folds

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
        """How it is told from the others."""
        return f"{self.store}/{self.clf}"


@dataclass
class CandidateResult:
    """What a contender says: probabilities for each scored part of each fold and for the held-out pictures."""

    contender: Candidate
    folds: list[np.ndarray] = field(default_factory=list)
    plain: list[np.ndarray] = field(default_factory=list)
    held: np.ndarray | None = None
    strength: float | None = None
    temperature: float = 1.0
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    bytes: int = 0


@dataclass(frozen=True)
class EvaluationPlan:
    """What every contender has to do: learn these labels, score these folds."""

    labels: np.ndarray
    groups: np.ndarray
    classes: list[str]
    repeats: list[list[Fold]]
    plain: list[Fold]
    seed: int
    held_truth: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    held_groups: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    cuts: dict[tuple[bytes, bool], list[Fold]] = field(default_factory=dict, repr=False)

    def inner(self, learn: np.ndarray, *, grouped: bool) -> list[Fold]:
        """The hold-out of what a fold learns from, on which a strength is chosen; cut once for every contender."""
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

    @property
    def truth(self) -> np.ndarray:
        """The class numbers of the labels."""
        return np.searchsorted(np.array(self.classes), self.labels)

    @property
    def folds(self) -> list[Fold]:
        """The folds of all repeats, one after the other."""
        return [fold for cut in self.repeats for fold in cut]


def set_task(labels: np.ndarray, groups: np.ndarray, folds: int, repeats: int, seed: int) -> EvaluationPlan:
    """Cut the folds once, for everyone; plain ones too where groups make a difference."""
    cuts = [grouped_folds(labels.tolist(), groups, folds, seed + repeat) for repeat in range(repeats)]
    differ = len(np.unique(groups)) < len(groups)
    plain = plain_folds(labels.tolist(), folds, seed) if differ else []
    return EvaluationPlan(labels, groups, sorted(set(labels.tolist())), [cut for cut in cuts if cut], plain, seed)


def answers_of(
    contender: Candidate,
    task: EvaluationPlan,
    features: np.ndarray,
    held: np.ndarray,
    *,
    plain: bool = True,
    progress: Callable[[], object] = lambda: None,
) -> CandidateResult:
    """Let a contender answer; the strength is chosen anew inside each fold, from what that fold learns from alone."""
    told = CandidateResult(contender)
    first: list[np.ndarray] = []
    for number, cut in enumerate(task.repeats):
        raw = []
        for scores in _each(contender, task, features, cut, grouped=True):
            raw.append(scores)
            progress()
        told.folds += _calibrated(raw, task, cut)
        first = raw if number == 0 else first
    if plain and task.plain:
        raw = list(_each(contender, task, features, task.plain, grouped=False))
        told.plain = _calibrated(raw, task, task.plain)
    if first:
        scored = np.concatenate([score for _, score in task.repeats[0]])
        told.temperature = fit_temperature(np.concatenate(first), task.truth[scored])
    _final(told, task, features, held)
    progress()
    return told


def _final(told: CandidateResult, task: EvaluationPlan, features: np.ndarray, held: np.ndarray) -> None:
    """Learn from everything that may be learned from, as `featx fit` does; answer for the held-out pictures."""
    recipe = told.contender.recipe
    begun = time.perf_counter()
    if recipe is None:
        raw = _frequencies(task.labels, len(held), task.classes)
    else:
        cut = task.repeats[0][:1] if task.repeats else []
        recipe = best(default_grid(recipe), features, task.labels, cut)
        told.strength = recipe.strength
        begun = time.perf_counter()
        pipeline = train_classifier(recipe, features, task.labels)
        told.fit_seconds = time.perf_counter() - begun
        asked = held if len(held) else features[:1000]
        begun = time.perf_counter()
        raw = scores_of(pipeline, asked, task.classes)
        told.predict_seconds = (time.perf_counter() - begun) / len(asked)
        # Measured, never kept: what is saved is written by `featx fit`, in a form that runs no code.
        told.bytes = len(pickle.dumps(pipeline, protocol=5))
    if len(held):
        told.held = cross_calibrate(raw, task.held_truth, task.held_groups, told.temperature)
        told.temperature = held_out_temperature(raw, task.held_truth, told.temperature)


def _each(
    contender: Candidate, task: EvaluationPlan, features: np.ndarray, cut: Sequence[Fold], *, grouped: bool
) -> Iterator[np.ndarray]:
    """What a contender says of the scored part of each fold."""
    recipe = contender.recipe
    several = [] if recipe is None else default_grid(recipe)
    # Cutting takes Python's lock, and is done before any fold begins.
    inner = [task.inner(learn, grouped=grouped) if len(several) > 1 else [] for learn, _ in cut]

    def raw(number: int) -> np.ndarray:
        learn, score = cut[number]
        labels = task.labels[learn]
        if not several or len(set(labels.tolist())) < 2:
            return _frequencies(labels, len(score), task.classes)
        x = features[learn]
        pipeline: Any = train_classifier(best(several, x, labels, inner[number]), x, labels)
        return scores_of(pipeline, features[score], task.classes)

    return side_by_side(raw, range(len(cut)), 1 if recipe is None else parallel_fits(recipe, features))


def _frequencies(labels: np.ndarray, n: int, classes: Sequence[str]) -> np.ndarray:
    """The answer of one who has not looked: each category as likely as it is common."""
    counts = np.array([(labels == label).sum() for label in classes], dtype=np.float64)
    return np.tile(np.log(np.maximum(counts, 1e-6) / max(len(labels), 1)), (n, 1))


def _calibrated(raw: Sequence[np.ndarray], task: EvaluationPlan, cut: Sequence[Fold]) -> list[np.ndarray]:
    """Probabilities of each fold, with a temperature that was chosen on the other folds."""
    truth = [task.truth[score] for _, score in cut]
    shares = []
    for i, scores in enumerate(raw):
        others = [j for j in range(len(raw)) if j != i]
        temperature = (
            fit_temperature(np.concatenate([raw[j] for j in others]), np.concatenate([truth[j] for j in others]))
            if others
            else 1.0
        )
        shares.append(probabilities(scores, temperature))
    return shares
