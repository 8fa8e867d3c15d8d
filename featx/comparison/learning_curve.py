"""Accuracy against photos per category, and what doubling them would bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.comparison.document import Doubling, LearningPoint, MeanAndSpread
from featx.labels.folds import Fold

STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
DRAWS = 3


def learning_curve(
    recipe: ClassifierSettings,
    strength: float | None,
    features: np.ndarray,
    labels: np.ndarray,
    parts: Sequence[Fold],
    seed: int,
) -> list[LearningPoint]:
    """Accuracy after learning from at most k photos of each category, drawn at random, for growing k.

    `parts` are (rows to learn from, rows to score); the last point learns from all there is.
    """
    learn = parts[0][0]
    largest = int(np.unique(labels[learn], return_counts=True)[1].max())
    steps = [k for k in STEPS if k < 0.9 * largest] + [largest]
    curve = []
    for k in steps:
        accuracies, sizes = [], []
        # All there is cannot be drawn differently.
        draws = 1 if k == largest else max(1, DRAWS // len(parts))
        for number, (rows, score) in enumerate(parts):
            for draw in range(draws):
                random = np.random.default_rng((seed, number, draw))
                some = _at_most(labels[rows], k, random)
                chosen = rows[some]
                if len(set(labels[chosen].tolist())) < 2:
                    continue
                pipeline = train_classifier(replace(recipe, strength=strength), features[chosen], labels[chosen])
                accuracies.append(float((pipeline.predict(features[score]) == labels[score]).mean()))
                sizes.append(len(chosen))
        if accuracies:
            sd = float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else 0.0
            accuracy = MeanAndSpread(float(np.mean(accuracies)), sd)
            curve.append(LearningPoint(k, accuracy, round(float(np.mean(sizes)))))
    return curve


def _at_most(labels: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """Rows with at most k of each label."""
    order = random.permutation(len(labels))
    kept = []
    for label in np.unique(labels):
        kept += order[labels[order] == label][:k].tolist()
    return np.sort(np.array(kept, dtype=int))


def doubling(curve: Sequence[LearningPoint]) -> Doubling:
    """What twice as many labelled photos would bring, where the curve allows a guess; else why it does not.

    A power law through the last points; nothing is promised when they do not rise or do not lie on one.
    """
    if len(curve) < 4:
        return Doubling(None, "too few points to say what more photos would bring")
    sizes = np.array([point.n for point in curve[-4:]], dtype=np.float64)
    error = 1 - np.array([point.accuracy.mean if point.accuracy else np.nan for point in curve[-4:]])
    if (np.diff(error[-3:]) >= 0).any():
        return Doubling(None, "the curve is flat at its end: more photos of the same kind would bring little")
    slope, offset = np.polyfit(np.log(sizes), np.log(np.maximum(error, 1e-6)), 1)
    if np.abs(np.exp(offset + slope * np.log(sizes)) - error).max() > 0.03:
        return Doubling(None, "the curve is too rough to say what more photos would bring")
    gain = float(error[-1] * (1 - 2.0**slope))
    return Doubling(
        float(1 - error[-1] + gain), f"twice as many labelled photos would bring about {100 * gain:.1f} points"
    )
