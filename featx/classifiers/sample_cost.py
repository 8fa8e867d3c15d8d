"""What a classifier loses by learning from some of the products only: a learning curve of two points, drawn on."""

from __future__ import annotations

from math import log2

import numpy as np

from featx.classifiers.card import SampleRecord
from featx.classifiers.cross_validation import FoldResults
from featx.classifiers.pipelines import scores_of_views, train_on_views
from featx.labels.training_set import TrainingSet, drawn_products


def cost_of_sample(training: TrainingSet, results: FoldResults, photos: int, seed: int) -> SampleRecord:
    """The accuracy in the folds with half of the drawn products and with all, and a guess for those left out."""
    labels, groups = training.labels[training.learn], training.groups
    n = len({training.store.product_of(i) for i in training.learn.tolist()})
    half = drawn_products(groups, labels, len(np.unique(groups)) // 2, seed)
    right_of_half, right = _right(training, results, half), _right_of_all(training, results)
    scored = training.scored_rows(len(results.folds))
    with_half, with_all = (float(some[scored].mean()) if scored.any() else 0.0 for some in (right_of_half, right))
    guess = _guess(with_half, with_all, training.known_products / n)
    return SampleRecord(
        products=n, of=training.known_products, photos_of=photos, with_half=round(with_half, 4),
        with_all=round(with_all, 4), guess=None if guess is None else round(guess, 4),
    )  # fmt: skip


def _right(training: TrainingSet, results: FoldResults, half: np.ndarray) -> np.ndarray:
    """Which photos classifiers name correctly that learn from half of the products of their folds."""
    views, labels = training.store.all_views[training.learn], training.labels[training.learn]
    classes = np.array(training.classes)
    right = np.zeros(len(labels), dtype=bool)
    for learn, score in results.folds:
        some = learn[half[learn]]
        pipeline = train_on_views(results.settings, views[some], labels[some])
        answers = scores_of_views(pipeline, views[score], training.classes).argmax(axis=1)
        right[score] = classes[answers] == labels[score]
    return right


def _right_of_all(training: TrainingSet, results: FoldResults) -> np.ndarray:
    answers: np.ndarray = np.array(training.classes)[results.scores.argmax(axis=1)]
    right: np.ndarray = answers == training.labels[training.learn]
    return right


def _guess(with_half: float, with_all: float, times: float) -> float | None:
    """The accuracy with so many times the products, if each doubling helps as the last did; None where it did not."""
    if not with_half < with_all < 1:
        return None
    kept: float = ((1 - with_all) / (1 - with_half)) ** log2(times)
    return 1 - (1 - with_all) * kept
