"""Categories from features, scored on photos that only judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.backbones.tuned_card import Answer, Reached
from featx.classifiers.fit import fit
from featx.classifiers.model import Classifier
from featx.classifiers.solvers import ShrinkageLDA
from featx.compute.memory import freed_at_once
from featx.compute.vectors import unit_rows
from featx.finetuning.judgement.division import Photos
from featx.finetuning.judgement.lookalikes import NEAREST, look_alikes
from featx.finetuning.options import TuneOptions
from featx.labels.folds import grouped_folds
from featx.metrics.scores import share_by_group
from featx.metrics.significance import PairedTest, sign_flips
from featx.store import Store

LDA = "lda"
# How far a discriminant analysis may shrink its covariances: the more dimensions for a photo, the further.
SHRINKAGES, FOLDS = (0.1, 0.2, 0.4), 3


@dataclass(frozen=True)
class Judgement:
    """Which of the judging photos, and of those that only test, a classifier gets right."""

    classifier: str
    judged: NDArray[np.bool_]
    tested: NDArray[np.bool_]
    # By the other measure, which decides nothing: look-alikes beside categories, or categories beside look-alikes.
    beside: Judgement | None = None
    # The category that each judging photo was given, where categories judge.
    answers: NDArray[np.str_] | None = None

    @property
    def categories(self) -> NDArray[np.str_] | None:
        """The category that each judging photo was given, by whichever measure."""
        return self.answers if self.answers is not None or self.beside is None else self.beside.answers

    def reached(self, photos: Photos) -> Reached:
        """The share of the judging photos, with its interval."""
        return reached_by(self.classifier, self.judged, photos.groups[photos.judge])

    def reached_in_test(self, photos: Photos) -> Reached | None:
        """The share of the photos that only test; None where there are none."""
        return reached_by(self.classifier, self.tested, photos.groups[photos.test]) if len(photos.test) else None


@freed_at_once()
def suited_shrinkage(photos: Photos, seed: int) -> float:
    """The shrinkage that suits the frozen features of the photos to learn from, in folds of their products.

    Tuned features have seen these photos and can choose none, but are of the same photos and as wide.
    """
    rows, labels = unit_rows(photos.store.features, photos.learn), photos.labels[photos.learn]
    right = dict.fromkeys(SHRINKAGES, 0)
    for learn, score in grouped_folds(labels.tolist(), photos.kept_together, FOLDS, seed):
        if len(set(labels[learn].tolist())) > 1:
            for shrinkage in SHRINKAGES:
                lda = ShrinkageLDA(shrinkage).fit(rows[learn], labels[learn])
                right[shrinkage] += int((lda.predict(rows[score]) == labels[score]).sum())
    return max(SHRINKAGES, key=lambda shrinkage: right[shrinkage])


def judged_frozen(photos: Photos, options: TuneOptions) -> Judgement:
    """The network as it was: by the best classifier, or by its look-alikes where these are what is tuned for.

    The analysis that judges every other way may judge it too, or a way would seem better by its classifier alone.
    """
    fitted, analysed = judged_as_fitted(photos, options.seed), judged_by_lda(photos, photos.store)
    best = analysed if analysed.judged.sum() > fitted.judged.sum() else fitted
    return _by_both(best, judged_by_neighbours(photos, photos.store), options)


def judged_tuned(photos: Photos, store: Store, options: TuneOptions) -> Judgement:
    """Features of a tuned network: by a discriminant analysis, or by look-alikes where these are what is tuned for."""
    return _by_both(judged_by_lda(photos, store), judged_by_neighbours(photos, store), options)


@freed_at_once()
def judged_by_neighbours(photos: Photos, store: Store) -> Judgement:
    """Whether the most similar photo of another product is of the same category."""
    rows = np.asarray(store.features)

    def right(queries: NDArray[np.intp], among: NDArray[np.intp]) -> NDArray[np.bool_]:
        return look_alikes(rows, photos.labels, photos.groups, queries, among).right

    known = np.concatenate([photos.learn, photos.judge])
    return Judgement(NEAREST, right(photos.judge, known), right(photos.test, np.concatenate([known, photos.test])))


def _by_both(categories: Judgement, alike: Judgement, options: TuneOptions) -> Judgement:
    first, second = (alike, categories) if options.for_look_alikes else (categories, alike)
    return replace(first, beside=second)


@freed_at_once()
def judged_as_fitted(photos: Photos, seed: int) -> Judgement:
    """The best classifier that `featx fit` finds for the features as they are."""
    # One fold after the other: side by side they take several times the memory.
    model: Classifier = fit(photos.store, seed=seed, choose_blocks=False, threads=1)

    def answers(rows: NDArray[np.intp]) -> NDArray[np.str_]:
        return np.asarray(model.predict(photos.store.features[rows]) if len(rows) else [], dtype=str)

    return _judgement(model.name, photos, answers)


@freed_at_once()
def judged_by_lda(photos: Photos, store: Store, more: Iterable[NDArray[np.float32]] = (), views: int = 0) -> Judgement:
    """A discriminant analysis of features that may have seen the photos it learns from; no other choice is made.

    `more` are rows of so many other `views` of the photos that are learned from.
    """
    n = len(photos.learn)
    if views:
        # Filled one view after the other: all of them twice would take hundreds of megabytes.
        learned = np.empty((n * (1 + views), store.width), dtype=np.float32)
        learned[:n] = unit_rows(store.features, photos.learn)
    else:
        learned = unit_rows(store.features, photos.learn)
    for number, view in enumerate(more, start=1):
        learned[n * number : n * (number + 1)] = unit_rows(view)
    lda = ShrinkageLDA(photos.shrinkage).fit(learned, np.tile(photos.labels[photos.learn], 1 + views))

    def answers(chosen: NDArray[np.intp]) -> NDArray[np.str_]:
        return np.asarray(lda.predict(unit_rows(store.features, chosen)) if len(chosen) else [], dtype=str)

    return _judgement(LDA, photos, answers)


def _judgement(classifier: str, photos: Photos, answers: Callable[[NDArray[np.intp]], NDArray[np.str_]]) -> Judgement:
    said = answers(photos.judge)
    right = said == photos.labels[photos.judge], answers(photos.test) == photos.labels[photos.test]
    return Judgement(classifier, *right, answers=said)


def answers_of(photos: Photos, before: Judgement, after: Judgement) -> list[Answer]:
    """What was said of each judging photo, for the card; nothing where only look-alikes were judged."""
    if before.categories is None or after.categories is None:
        return []
    numbers = {label: number for number, label in enumerate(photos.categories)}
    rows = zip(photos.judge, before.categories, after.categories, strict=True)
    return [
        Answer(photos.digests[i], *(numbers.get(str(label), -1) for label in (photos.labels[i], old, new)))
        for i, old, new in rows
    ]


def reached_beside(photos: Photos, before: Judgement, after: Judgement) -> tuple[Reached, Reached] | None:
    """Both judgements by the measure that decides nothing."""
    if before.beside is None or after.beside is None:
        return None
    return before.beside.reached(photos), after.beside.reached(photos)


def paired(photos: Photos, before: Judgement, after: Judgement) -> PairedTest:
    """The gain on the judging photos, whole products at a time."""
    return sign_flips(after.judged, before.judged, photos.groups[photos.judge])


def paired_in_test(photos: Photos, before: Judgement, after: Judgement) -> PairedTest:
    """The gain on the photos that only test, whole products at a time."""
    return sign_flips(after.tested, before.tested, photos.groups[photos.test])


def standard_error(photos: Photos, before: Judgement, after: Judgement) -> float:
    """That of the gain, whole products at a time."""
    difference = after.judged.astype(float) - before.judged.astype(float)
    _, member = np.unique(photos.groups[photos.judge], return_inverse=True)
    sums, sizes = np.bincount(member, difference), np.bincount(member)
    residuals = sums - sizes * difference.mean()
    return float(np.sqrt((residuals**2).sum()) / len(difference))


def reached_by(classifier: str, right: NDArray[np.bool_], groups: NDArray[np.intp]) -> Reached:
    """A share of right answers, whole products at a time."""
    share = share_by_group(right, groups)
    return Reached(round(share.value, 6), round(share.low, 6), round(share.high, 6), share.n, classifier)
