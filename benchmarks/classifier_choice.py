"""The quick classifiers on held-out photos of a store, or of several side by side; in folds, and in unlike halves.

    featx extract PHOTOS -b builtin -s builtin.h5; featx extract PHOTOS -b efficientnet_lite2 -s lite2.h5
    python benchmarks/classifier_choice.py builtin.h5 lite2.h5 [--folds] [--halves]

Blocks of several stores have unit length. Settings are chosen on a grouped hold-out of what may be learned from. With
`--halves` each category of all photos is parted in two by how they look, and each half is answered by what was learned
from the other: photos from elsewhere look different too.
"""

from __future__ import annotations

import argparse
from itertools import combinations

import numpy as np
from text_variants import halves

from featx.classifiers.calibration import fit_temperature, probabilities
from featx.classifiers.pipelines import scores_of, train_classifier
from featx.classifiers.selection import CANDIDATES
from featx.classifiers.spec import ClassifierSettings
from featx.classifiers.tuning import best, default_grid
from featx.compute.vectors import unit_rows
from featx.labels.folds import grouped_folds
from featx.labels.training_set import training_set_of
from featx.store import Store, open_store


def joined(stores: list[Store]) -> np.ndarray:
    """The features of several stores of the same photos, in the order of the first."""
    blocks = []
    for store in stores:
        index = {name: i for i, name in enumerate(store.ids)}
        blocks.append(unit_rows(np.asarray(store.features))[[index[name] for name in stores[0].ids]])
    return np.concatenate(blocks, axis=1).astype(np.float32)


def chosen(name: str, x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> ClassifierSettings:
    """The settings of a classifier that suit these rows."""
    return best(default_grid(ClassifierSettings(name)), x, y, grouped_folds(y.tolist(), groups, 5, 0)[:1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+")
    parser.add_argument("--folds", action="store_true", help="also five grouped folds, alone and averaged")
    parser.add_argument("--halves", action="store_true", help="also halves of each category that look different")
    arguments = parser.parse_args()
    stores = [open_store(path) for path in arguments.stores]
    training, features = training_set_of(stores[0]), joined(stores)
    x, y = features[training.learn], training.labels[training.learn]
    held = training.held
    for name in CANDIDATES if len(held) else ():
        pipeline = train_classifier(chosen(name, x, y, training.groups), x, y)
        print(
            f"{name:8s} {(pipeline.predict(features[held.rows]) == held.truth).mean():6.1%} of {len(held):,} held-out"
        )
    if arguments.folds:
        in_folds(x, y, training.groups, training.classes)
    if arguments.halves:
        in_halves(features, np.array(stores[0].labels, dtype=str))


def in_folds(x: np.ndarray, y: np.ndarray, groups: np.ndarray, classes: list[str]) -> None:
    """Print how often each classifier is right in folds, and each average of several."""
    truth = np.searchsorted(classes, y)
    logs = {}
    for name in CANDIDATES:
        scores = np.zeros((len(y), len(classes)))
        for learn, score in grouped_folds(y.tolist(), groups, 5, 0):
            settings = chosen(name, x[learn], y[learn], groups[learn])
            scores[score] = scores_of(train_classifier(settings, x[learn], y[learn]), x[score], classes)
        logs[name] = np.log(probabilities(scores, fit_temperature(scores, truth)) + 1e-12)
    for size in range(1, len(CANDIDATES) + 1):
        for names in combinations(CANDIDATES, size):
            total = np.sum([logs[name] for name in names], axis=0)
            print(f"{' + '.join(names):30s} {(total.argmax(axis=1) == truth).mean():6.1%} in folds")


def in_halves(x: np.ndarray, y: np.ndarray) -> None:
    """Print how often each classifier is right about the half of a category that it did not learn."""
    parts = halves(x, y)
    for name in CANDIDATES:
        right = 0
        for learn, score in parts:
            settings = chosen(name, x[learn], y[learn], np.arange(len(learn)))
            right += int((train_classifier(settings, x[learn], y[learn]).predict(x[score]) == y[score]).sum())
        print(f"{name:8s} {right / len(y):6.1%} of {len(y):,} by the other half", flush=True)


if __name__ == "__main__":
    main()
