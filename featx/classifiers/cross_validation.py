"""Scores of every photo from a classifier trained without its product; each fold searches its own settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from featx.classifiers.coarsening import Coarsening
from featx.classifiers.pipelines import parallel_fits, scores_of, scores_of_views, train_on_views
from featx.classifiers.spec import ClassifierSettings
from featx.classifiers.tuning import best, default_grid, wide_grid
from featx.compute.threads import side_by_side
from featx.labels.folds import Fold, NestedFolds
from featx.labels.training_set import TrainingSet


@dataclass(frozen=True)
class FoldResults:
    """The outcome of cross-validation: scores of all rows, and the best settings for all of them together."""

    folds: list[Fold]
    scores: np.ndarray
    settings: ClassifierSettings
    # Where a classifier of finer categories answered.
    coarsening: Coarsening | None = None
    # Where the store has several views of each photo: the scores of all of them, averaged.
    averaged: np.ndarray | None = None


def cross_validate(
    training: TrainingSet,
    settings: ClassifierSettings,
    folds: int,
    *,
    tune: bool = False,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> FoldResults:
    """Choose settings and train in each fold, then choose settings for all rows."""
    views, y = training.store.all_views[training.learn], training.labels[training.learn]
    x = np.ascontiguousarray(views[:, 0])
    nested = training.nested_folds(folds, settings.seed)
    cut = nested.cut
    room = _room(x, nested) if tune or isinstance(settings.reduce, int) else 0
    if isinstance(settings.reduce, int):
        # Asking for more directions than there are is not worth an error.
        settings = replace(settings, reduce=min(settings.reduce, room))
    candidates = wide_grid(settings, room) if tune else default_grid(settings)
    search = _Search(candidates, 4 * len(cut) if tune else len(cut) + 1, progress)
    # Chosen on the training part alone: scored photos must not influence training. One fold of it, or three for a wide
    # search, is enough.
    choices = range(len(cut)) if len(candidates) > 1 else ()
    inner = {number: nested.inner(number)[: 3 if tune else 1] for number in choices}

    def fold_scores(number: int) -> tuple[np.ndarray, np.ndarray]:
        learn, _ = cut[number]
        return score_fold(
            search.best(x[learn], y[learn], inner.get(number, ())), views, y, cut[number], training.classes
        )

    scores = np.zeros((len(y), len(training.classes)))
    averaged = np.zeros_like(scores)
    results = side_by_side(fold_scores, range(len(cut)), parallel_fits(settings, views[:, : settings.views]))
    for (_, score), result in zip(cut, results, strict=True):
        scores[score], averaged[score] = result
    chosen = search.best(x, y, cut if tune else cut[:1])
    return FoldResults(cut, scores, chosen, averaged=averaged if views.shape[1] > 1 else None)


def score_fold(
    settings: ClassifierSettings, views: np.ndarray, y: np.ndarray, fold: Fold, classes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of one part of a fold from a classifier trained on the other: of the photos, and of all their views.

    The views of a photo are never on both sides.
    """
    learn, score = fold
    present = set(y[learn].tolist())
    if len(present) == 1:
        only = np.tile([float(label in present) for label in classes], (len(score), 1))
        return only, only
    pipeline = train_on_views(settings, views[learn], y[learn])
    scores = scores_of(pipeline, views[score, 0], classes)
    return scores, scores if views.shape[1] == 1 else scores_of_views(pipeline, views[score], classes)


class _Search:
    """The search for the best setting, in each fold and on all rows: the candidates, and its progress."""

    def __init__(
        self, candidates: Sequence[ClassifierSettings], total: int, progress: Callable[[int, int], object]
    ) -> None:
        self.candidates = candidates
        self.done, self.total, self.progress, self.lock = 0, total, progress, Lock()

    def best(self, x: np.ndarray, y: np.ndarray, inner: Sequence[Fold]) -> ClassifierSettings:
        """The best setting for these training rows."""
        if len(self.candidates) < 2:
            self.advance()
        return best(self.candidates, x, y, inner, self.advance)

    def advance(self) -> None:
        """Count a finished step."""
        with self.lock:
            self.done = min(self.done + 1, self.total)
            self.progress(self.done, self.total)


def _room(x: np.ndarray, nested: NestedFolds) -> int:
    """How many principal directions every fold can find."""
    sizes = [*map(int, x.shape)]
    for number, (learn, _) in enumerate(nested.cut):
        sizes += [len(learn), *(len(part) for part, _ in nested.inner(number))]
    return max(1, min(sizes))
