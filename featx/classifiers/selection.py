"""Which classifier suits these features: each candidate answers for every photo in the same grouped folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from featx.classifiers.card import Card
from featx.classifiers.coarsening import Coarsening
from featx.classifiers.cross_validation import FoldResults, cross_validate
from featx.classifiers.kinds import CLASSIFIERS
from featx.classifiers.spec import ClassifierSettings
from featx.labels.training_set import TrainingSet
from featx.metrics.significance import clearly_best
from featx.views.quantities import percent

# What `--clf` calls the search.
BEST = "best"
# The first one is kept unless another is clearly better. On photos from elsewhere it was the best most of the time
# (docs/fit.md), and folds of one shop show differences that do not last there.
CANDIDATES = ("lda", "logreg", "svm", "knn")
# Between the name of a classifier and the number of views whose answers are averaged.
AVERAGED = ", averaged over "
# Beyond so many photos the slower candidates take minutes.
MANY, QUICK = 20_000, ("lda", "svm")


@dataclass(frozen=True)
class Trial:
    """A candidate and how many of the scored photos it got right; `p` compares it with the one that it had to beat."""

    name: str
    correct: int
    n: int
    p: float | None
    chosen: bool


@dataclass(frozen=True)
class _Candidate:
    """The cross-validation of a candidate, and which of the scored photos it got right."""

    name: str
    results: FoldResults
    correct: np.ndarray


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
    """Cross-validate each candidate: the results of the one to train, and the trials of all.

    A candidate replaces the first one only if a paired test over products says that it is better. So does the same
    classifier on finer categories, where there are any.
    """
    scored = training.scored_rows(folds)
    if not scored.any():  # with nothing to decide on
        result = cross_validate(training, replace(settings, name=names[0]), folds, tune=tune, progress=progress)
        return result, []
    groups = training.groups[scored]
    tried: list[_Candidate] = []
    for number, name in enumerate(names):
        part = _part_of(progress, number, len(names))
        result = cross_validate(training, replace(settings, name=name), folds, tune=tune, progress=part)
        tried.append(_Candidate(name, result, _correct(training, result, scored)))
    index, p_values = clearly_best([candidate.correct for candidate in tried], groups)
    search = _Search(groups, tried, [None, *p_values], tried[index])
    settings = replace(search.best.results.settings, strength=None)
    if training.store.views > 1:
        result = cross_validate(training, replace(settings, views=training.store.views), folds, tune=tune)
        search.challenge(f"{search.best.name} from {training.store.views} views", result, training, scored)
        assert search.best.results.averaged is not None
        averaged = replace(search.best.results, scores=search.best.results.averaged)
        # For `predict --views`, which takes as many times as long.
        search.look_at(f"{search.best.name}{AVERAGED}{training.store.views}", averaged, training, scored)
    if training.finer is not None:
        result = _from_finer(training, search.best.results.settings, folds, tune)
        name = f"{search.best.name} on {len(set(training.finer[training.learn])):,} finer categories"
        search.challenge(name, result, training, scored)
    return search.best.results, search.trials


@dataclass
class _Search:
    """The candidates so far, how each did against the one it challenged, and the best of them."""

    groups: np.ndarray
    tried: list[_Candidate]
    p_values: list[float | None]
    best: _Candidate

    @property
    def trials(self) -> list[Trial]:
        """The candidates as the card lists them."""
        return [
            Trial(candidate.name, int(candidate.correct.sum()), len(candidate.correct), p, candidate is self.best)
            for candidate, p in zip(self.tried, self.p_values, strict=True)
        ]

    def challenge(self, name: str, results: FoldResults, training: TrainingSet, scored: np.ndarray) -> None:
        """Try one more, which becomes the best where it is clearly better."""
        if self.look_at(name, results, training, scored):
            self.best = self.tried[-1]

    def look_at(self, name: str, results: FoldResults, training: TrainingSet, scored: np.ndarray) -> bool:
        """Try one more; returns whether it is clearly better than the best."""
        self.tried.append(_Candidate(name, results, _correct(training, results, scored)))
        index, (p,) = clearly_best([self.best.correct, self.tried[-1].correct], self.groups)
        self.p_values.append(p)
        return bool(index)


def gain_of_views(card: Card) -> str:
    """What averaging over views changed in the folds of `fit`, in words."""
    averaged = [trial for trial in card.tried if AVERAGED in trial.name]
    alone = next((trial for trial in card.tried if averaged and averaged[0].name.startswith(f"{trial.name},")), None)
    if alone is None:
        return "what it changes was not measured; `featx extract --views N` and `featx fit` measure it"
    before, after = (percent(trial.correct / trial.n) for trial in (alone, averaged[0]))
    return f"{before} right without, {after} with, in the folds of fit ({averaged[0].name.rpartition(' ')[2]} views)"


def _from_finer(training: TrainingSet, settings: ClassifierSettings, folds: int, tune: bool) -> FoldResults:
    """The results of a classifier of finer categories, whose probabilities are summed."""
    assert training.finer is not None
    finer = training.finer[training.learn]
    coarsening = Coarsening.of(finer.tolist(), training.labels[training.learn].tolist())
    below = replace(training, labels=training.finer, finer=None)
    results = cross_validate(below, replace(settings, strength=None), folds, tune=tune)
    coarsening = coarsening.calibrated(results.scores, np.searchsorted(coarsening.finer, finer))
    return replace(results, scores=coarsening.scores(results.scores), coarsening=coarsening)


def _correct(training: TrainingSet, result: FoldResults, scored: np.ndarray) -> np.ndarray:
    predicted = np.array(training.classes)[result.scores.argmax(axis=1)]
    correct: np.ndarray = (predicted == training.labels[training.learn])[scored]
    return correct


def _part_of(progress: Callable[[int, int], object], number: int, parts: int) -> Callable[[int, int], object]:
    """The progress of one of several parts, as progress of the whole."""
    return lambda done, total: progress(number * total + done, parts * total)
