"""Is a second classifier over the answers of several worth it? Soft voting and stacking beside the best single one.

    python benchmarks/stacking.py STORE [--folds 5]

Every answer is out of fold: the first level is cross-validated in grouped folds, and the second level learns from those
answers in grouped folds of its own.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.linear_model import LogisticRegression

from featx.classifiers.calibration import fit_temperature, probabilities
from featx.classifiers.cross_validation import cross_validate
from featx.classifiers.spec import ClassifierSettings
from featx.labels.folds import grouped_folds
from featx.labels.training_set import training_set_of
from featx.metrics.significance import sign_flips
from featx.store import open_store

NAMES = ("logreg", "svm", "lda", "knn")


def main() -> None:
    """Print how many each is right on, and the paired test against the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--folds", type=int, default=5)
    given = parser.parse_args()
    training = training_set_of(open_store(given.store))
    labels, groups = training.labels[training.learn], training.groups
    truth = np.searchsorted(training.classes, labels)
    shares = []
    for name in NAMES:
        scores = cross_validate(training, ClassifierSettings(name), given.folds).scores
        shares.append(probabilities(scores, fit_temperature(scores, truth)))
    answers = dict(zip(NAMES, (share.argmax(axis=1) for share in shares), strict=True))
    answers["mean of all"] = np.mean(shares, axis=0).argmax(axis=1)
    answers["mean of logreg, svm and lda"] = np.mean(shares[:3], axis=0).argmax(axis=1)
    beside = np.log(np.maximum(np.concatenate(shares, axis=1), 1e-4))
    for strength in (0.001, 0.01):
        stacked = np.zeros(len(truth), dtype=int)
        for learn, score in grouped_folds(labels.tolist(), groups, given.folds, seed=1):
            second = LogisticRegression(C=strength, max_iter=200).fit(beside[learn], truth[learn])
            stacked[score] = second.predict(beside[score])
        answers[f"stacked, C {strength:g}"] = stacked
    first = answers[NAMES[0]] == truth
    for name, labels in answers.items():
        test = sign_flips(labels == truth, first, groups)
        print(
            f"{name:30}{100 * (labels == truth).mean():6.1f}   {100 * test.difference:+.1f} (p = {test.p:.2g})",
            flush=True,
        )


if __name__ == "__main__":
    main()
