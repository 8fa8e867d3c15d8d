"""Which classifier suits these features: each candidate answers for every photo in the same grouped folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from featx.classifiers.cross_validation import FoldResults, cross_validate
from featx.classifiers.kinds import CLASSIFIERS
from featx.classifiers.spec import ClassifierSettings
from featx.labels.folds import foldable_categories
from featx.labels.training_set import TrainingSet

# What `--clf` calls the search.
BEST = "best"
# The first one wins a tie, so that a name changes only where another classifier is right more often.
CANDIDATES = ("svm", "logreg", "lda", "knn")
# Beyond so many photos the slower candidates take minutes, and the quick ones are as good.
MANY, QUICK = 20_000, ("svm", "lda")


@dataclass(frozen=True)
class Trial:
    """A candidate and how many of the scored photos it got right."""

    name: str
    correct: int
    n: int

    @property
    def accuracy(self) -> float:
        """The share it got right; 0 where no photo could be scored."""
        return self.correct / self.n if self.n else 0.0


def candidates_for(n: int, *, class_weight: bool = False) -> list[str]:
    """The classifiers to try on so many photos."""
    names = CANDIDATES if n <= MANY else QUICK
    return [name for name in names if CLASSIFIERS[name].class_weights or not class_weight]


def choose(
    training: TrainingSet,
    settings: ClassifierSettings,
    names: Sequence[str],
    folds: int,
    *,
    tune: bool = False,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[FoldResults, list[Trial]]:
    """Cross-validate each candidate; the results of the one that is right most often, and the trials of all."""
    scored = _scored_rows(training, folds)
    if not scored.any():  # with nothing to decide on
        names = names[:1]
    results: list[FoldResults] = []
    trials: list[Trial] = []
    for number, name in enumerate(names):
        result = cross_validate(
            training, replace(settings, name=name), folds, tune=tune, progress=_part_of(progress, number, len(names))
        )
        results.append(result)
        trials.append(Trial(name, _correct(training, result, scored), int(scored.sum())))
    best = max(range(len(names)), key=lambda i: trials[i].correct)
    return results[best], trials


def _scored_rows(training: TrainingSet, folds: int) -> np.ndarray:
    labels = training.labels[training.learn]
    return np.isin(labels, foldable_categories(labels, training.groups, folds))


def _correct(training: TrainingSet, result: FoldResults, scored: np.ndarray) -> int:
    predicted = np.array(training.classes)[result.scores.argmax(axis=1)]
    return int((predicted == training.labels[training.learn])[scored].sum())


def _part_of(progress: Callable[[int, int], object], number: int, parts: int) -> Callable[[int, int], object]:
    """The progress of one of several parts, as progress of the whole."""
    return lambda done, total: progress(number * total + done, parts * total)
