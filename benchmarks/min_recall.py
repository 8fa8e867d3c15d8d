"""Thresholds for categories that must not be missed: what the folds promise, and what is kept on other products.

    python benchmarks/min_recall.py STORE.h5

Half of the products are learned from (`lda`); thresholds are chosen on their out-of-fold answers and applied to the
photos of the other half, for four draws and every category with enough products.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from featx.classifiers.calibration import fit_temperature, probabilities
from featx.classifiers.pipelines import scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.labels.training_set import TrainingSet, training_set_of
from featx.metrics.recall import recall_threshold
from featx.metrics.scores import ScoredAnswers
from featx.store import open_store

DRAWS, FOLDS, TARGETS = 4, 5, (0.9, 0.95, 0.98)
SETTINGS = ClassifierSettings("lda", reduce="none")


def main() -> None:
    """Measure and print."""
    training = training_set_of(open_store(sys.argv[1]))
    rows = [row for seed in range(DRAWS) for row in measured(training, seed)]
    for target in TARGETS:
        mine = np.array([row[1:] for row in rows if row[0] == target])
        promised, kept, alarms_promised, alarms = mine.mean(axis=0)
        print(
            f"{target:.0%} wanted, {len(mine)} thresholds: caught {promised:.1%} in folds, {kept:.1%} on the others "
            f"(worst {mine[:, 1].min():.1%}); false alarms {alarms_promised:.1%} and {alarms:.1%}"
        )


def measured(training: TrainingSet, seed: int) -> Iterator[tuple[float, float, float, float, float]]:
    """For each threshold of a draw: the target, recall promised and kept, false alarms promised and kept."""
    x, labels = training.store.features[training.learn], training.labels[training.learn]
    classes, groups = training.classes, training.groups
    truth = np.array([classes.index(label) for label in labels])
    random = np.random.default_rng(seed)
    here = random.integers(0, 2, groups.max() + 1)[groups] == 0
    fold = random.integers(0, FOLDS, groups.max() + 1)[groups]
    scores = np.zeros((len(x), len(classes)))
    for number in range(FOLDS):
        learn, score = here & (fold != number), here & (fold == number)
        scores[score] = scores_of(train_classifier(SETTINGS, x[learn], labels[learn]), x[score], classes)
    temperature = fit_temperature(scores[here], truth[here])
    folded = ScoredAnswers(truth[here], probabilities(scores[here], temperature), groups[here])
    others = scores_of(train_classifier(SETTINGS, x[here], labels[here]), x[~here], classes)
    shares = probabilities(others, temperature)
    for category in range(len(classes)):
        own = truth[~here] == category
        for target in TARGETS:
            chosen = recall_threshold([folded], category, target)
            if chosen is not None:
                flagged = shares[:, category] >= chosen.threshold
                alarms = chosen.false_alarms.value
                yield target, chosen.recall.value, flagged[own].mean(), alarms, flagged[~own].mean()


if __name__ == "__main__":
    main()
