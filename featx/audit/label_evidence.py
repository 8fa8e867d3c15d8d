"""The evidence against each label: classifiers that never saw its product, and neighbours of other products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from featx.classifiers.label_noise import LabelNoise, fit_label_noise, log_odds_of_error
from featx.classifiers.spec import ClassifierSettings
from featx.compute.vectors import nearest, nearest_of_each
from featx.metrics.scores import ScoredAnswers
from featx.store import Store

NEIGHBOURS = 10
# The fewest that say whether a photo is like anything else.
NEAREST = 5
# Chosen with benchmarks/label_noise.py; see docs/issues.md. Each classifier with its weight; neighbours
# count half. Together they rank better than the best of them alone.
CLASSIFIERS = ((ClassifierSettings("lda", 0.5, reduce="none"), 1.0), (ClassifierSettings("logreg", 1e-2), 1.0))
WEIGHT_OF_NEIGHBOURS = 0.5
# A neighbour counts by this power of its cosine.
NEARNESS = 8
# The share of the neighbours' vote that is spread evenly over all categories.
DOUBT_OF_NEIGHBOURS = 0.02
# Listed by default: more likely wrong than right.
SUSPECTED = 0.5
TINY = 1e-9


@dataclass(frozen=True)
class LabelEvidence:
    """The judgement of each label; `fair` where its category could be learned without it.

    The truth of `answers` is the label in doubt. The lower `margins`, the more speaks against a label, and `wrong` is
    the probability that it is wrong. `neighbour_labels` are those of the nearest photos, -1 for none.
    """

    classes: list[str]
    answers: ScoredAnswers
    neighbour_labels: np.ndarray
    fair: np.ndarray
    noise: LabelNoise
    margins: np.ndarray
    wrong: np.ndarray
    # What a tuned network learned from, where no network answers that never saw it.
    unheard: np.ndarray
    # How near the nearest other photos of these are, whatever their product.
    nearness: np.ndarray

    @property
    def looks_like(self) -> np.ndarray:
        """The most likely category of each photo other than its label."""
        others = self.answers.probabilities.copy()
        others[np.arange(len(others)), self.answers.truth] = -1
        return np.asarray(others.argmax(axis=1))


def judge(
    unit: np.ndarray,
    features: np.ndarray,
    labels: np.ndarray,
    store: Store,
    rows: np.ndarray,
    folds: int,
    seed: int,
    progress: Callable[[int], object] = lambda done: None,
) -> LabelEvidence:
    """The evidence for each row from what knows nothing of its product; `progress` counts folds and two more steps."""
    from featx.classifiers.calibration import probabilities
    from featx.labels.folds import groups_of
    from featx.labels.seen import fair_log_chances, seen_rows

    features = np.where(np.isfinite(features), features, 0)
    classes, own = np.unique(labels, return_inverse=True)
    groups = groups_of([store.product_of(i) for i in rows], [store.digests[i] for i in rows], features)
    progress(1)
    opinions, fair = _opinions(features, own, groups, len(classes), folds, seed, lambda done: progress(1 + done))
    neighbour_labels, neighbours, nearness = _neighbours(unit, own, groups, len(classes))
    progress(folds + 2)
    scores = sum(opinions, start=WEIGHT_OF_NEIGHBOURS * np.log(neighbours))
    scores = scores / (WEIGHT_OF_NEIGHBOURS + sum(weight for _, weight in CLASSIFIERS))
    # A tuned network may have learned a wrong label by heart, and would defend it; one that never saw it does not.
    unheard = seen_rows(store)[rows]
    answers_of_folds = fair_log_chances(store, rows, classes.tolist())
    if answers_of_folds is not None:
        heard = unheard & np.isfinite(answers_of_folds).all(axis=1)
        scores[heard], unheard = answers_of_folds[heard], unheard & ~heard
    fair &= ~unheard
    margins, wrong = np.full(len(rows), np.inf), np.zeros(len(rows))
    noise = LabelNoise(0.0, 0.5, 1.0)
    if fair.any():
        noise = fit_label_noise(scores[fair], own[fair])
        margins[fair], wrong[fair] = log_odds_of_error(scores[fair], own[fair], noise)
    answers = ScoredAnswers(own, probabilities(scores, 1.0), groups)
    return LabelEvidence(classes.tolist(), answers, neighbour_labels, fair, noise, margins, wrong, unheard, nearness)


def _opinions(
    features: np.ndarray,
    own: np.ndarray,
    groups: np.ndarray,
    classes: int,
    folds: int,
    seed: int,
    progress: Callable[[int], object],
) -> tuple[list[np.ndarray], np.ndarray]:
    """The weighted log probabilities that each classifier gives photos it knows nothing of; which rows are fair."""
    from featx.classifiers.calibration import fit_temperature, probabilities
    from featx.classifiers.pipelines import scores_of, train_classifier
    from featx.labels.folds import grouped_folds

    names = [str(number) for number in range(classes)]
    labels = np.array(names)[own]
    scores = [np.zeros((len(own), classes)) for _ in CLASSIFIERS]
    fair = np.zeros(len(own), dtype=bool)
    cut = grouped_folds(labels.tolist(), groups, min(folds, len(np.unique(groups))), seed)
    for done, (learn, score) in enumerate(cut, start=1):
        learned = np.bincount(own[learn], minlength=classes)
        if (learned > 0).sum() < 2:
            continue
        # Too few of a kind to learn it from: its photos would look wrong whatever they show.
        fair[score] = learned[own[score]] >= 3
        for (settings, _), held in zip(CLASSIFIERS, scores, strict=True):
            pipeline = train_classifier(replace(settings, seed=seed), features[learn], labels[learn])
            held[score] = scores_of(pipeline, features[score], names)
        progress(done)
    opinions = []
    for (_, weight), held in zip(CLASSIFIERS, scores, strict=True):
        temperature = fit_temperature(held[fair], own[fair]) if fair.any() else 1.0
        opinions.append(weight * np.log(probabilities(held, temperature) + TINY))
    return opinions, fair


def nearness_of(unit: np.ndarray) -> np.ndarray:
    """The mean cosine of each photo with the few nearest others."""
    itself = np.arange(len(unit))
    return _mean(nearest(unit, unit, _others(unit), (itself, itself))[1])


def _others(unit: np.ndarray) -> int:
    return max(1, min(NEAREST, len(unit) - 1))


def _mean(similar: np.ndarray) -> np.ndarray:
    return np.asarray(np.sort(similar, axis=1).mean(axis=1), dtype=np.float64)


def _neighbours(
    unit: np.ndarray, own: np.ndarray, groups: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The labels of the nearest photos of other products, the share of each category among them, none zero.

    And how near the nearest photos of any product are.
    """
    itself = np.arange(len(unit))
    asked = [(_others(unit), (itself, itself)), (NEIGHBOURS, (groups, groups))]
    (_, near), (indices, similar) = nearest_of_each(unit, unit, asked)
    labels = np.full((len(unit), NEIGHBOURS), -1)
    labels[:, : indices.shape[1]] = np.where(indices >= 0, own[indices], -1)
    counts = np.full((len(unit), classes), TINY)
    for rank in range(indices.shape[1]):
        rows = np.flatnonzero(indices[:, rank] >= 0)
        np.add.at(counts, (rows, own[indices[rows, rank]]), np.maximum(similar[rows, rank], 0) ** NEARNESS)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return labels, (1 - DOUBT_OF_NEIGHBOURS) * shares + DOUBT_OF_NEIGHBOURS / classes, _mean(near)
