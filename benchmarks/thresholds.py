"""One threshold for all categories, or one for each: what is promised, and what is kept on products not chosen on.

    python benchmarks/thresholds.py STORE.h5 [STORE.h5 ...]

Out-of-fold answers of a linear SVM (C 0.01); thresholds are chosen on four fifths of the products and kept on the
last, five times, for five draws. "wrong beyond" is the share of answers that would have to be right for every category
to keep the promise; a category is "broken" when its interval lies wholly below it (with at least ten answers).

    python benchmarks/thresholds.py --pictures 50 100 150 300 600 -- STORE.h5 ...

chooses on so many pictures drawn at random, and keeps on all others, sixty times: the share answered, the share of that
which is right, the same in the worst tenth of the draws, and how often the interval that was told (from products not
chosen on) meets the one of the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from featx.classifiers.calibration import fit_temperature, probabilities
from featx.classifiers.pipelines import scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.classifiers.thresholds import choose, table_of, yield_on
from featx.labels.folds import grouped_folds
from featx.labels.training_set import training_set_of
from featx.metrics.scores import wilson
from featx.metrics.selective import TARGETS, min_products_for
from featx.store import open_store

DRAWS, PARTS, ENOUGH = 5, 5, 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path)
    parser.add_argument("--pictures", nargs="*", type=int, help="choose on so many only")
    options = parser.parse_args()
    for path in options.stores:
        lesson = training_set_of(open_store(path))
        x, y, classes = lesson.store.features[lesson.learn], lesson.labels[lesson.learn], lesson.classes
        scores = np.zeros((len(y), len(classes)))
        for learn, score in grouped_folds(y, lesson.groups, 5, 0):
            scores[score] = scores_of(
                train_classifier(ClassifierSettings("svm", 1.0), x[learn], y[learn]), x[score], classes
            )
        truth = np.searchsorted(classes, y)
        shares = probabilities(scores, fit_temperature(scores, truth))
        sure, says = shares.max(axis=1), shares.argmax(axis=1)
        right = says == truth
        print(f"{path.name}: {len(y):,} pictures, {len(classes)} categories")
        for n in options.pictures or ():
            few(n, sure, says, right, classes)
        for target in () if options.pictures else TARGETS:
            for each in (False, True):
                rows = []
                for draw in range(DRAWS):
                    random = np.random.default_rng(draw)
                    part = random.integers(0, PARTS, int(lesson.groups.max()) + 1)[lesson.groups]
                    stands = np.zeros(len(y), dtype=bool)
                    for number in range(PARTS):
                        mine, others = part == number, part != number
                        thresholds = choose(target, sure[others], says[others], right[others], classes)
                        common = 2.0 if thresholds.everywhere is None else thresholds.everywhere
                        limits = np.array([thresholds.of(label) if each else common for label in classes])
                        stands[mine] = sure[mine] >= limits[says[mine]]
                    answered = [np.flatnonzero(stands & (says == number)) for number in range(len(classes))]
                    counts = [(int(right[rows].sum()), len(rows)) for rows in answered if len(rows) >= ENOUGH]
                    beyond = sum(max(0.0, target * n - hits) for hits, n in counts) / max(int(stands.sum()), 1)
                    broken = sum(wilson(hits, n).high < target for hits, n in counts)
                    rows.append((stands.mean(), right[stands].mean(), beyond, broken))
                a, r, b, k = np.mean(rows, axis=0)
                name = "one for each" if each else "one for all "
                print(f"  {target:.0%} {name}  answered {a:.1%}  right {r:.1%}  wrong beyond {b:.1%}  broken {k:.1f}")


def few(n: int, sure: np.ndarray, says: np.ndarray, right: np.ndarray, classes: list[str]) -> None:
    """What thresholds chosen on n pictures keep on all others."""
    for target in (share for share in TARGETS if n >= min_products_for(share)):
        answered, precise, met = [], [], []
        for draw in range(60):
            order = np.random.default_rng(draw).permutation(len(sure))
            mine, others = order[:n], order[n:]
            (row,) = (
                entry
                for entry in table_of(sure[mine], says[mine], right[mine], classes, np.arange(n))
                if entry["target"] == target
            )
            kept = yield_on(row, sure[others], says[others], right[others], classes)
            answered.append(kept.n / len(others))
            if kept.n and row["n"]:
                precise.append(kept.value)
                met.append(kept.high >= row["low"] and kept.low <= row["high"])
        worst = np.quantile(precise, 0.1)
        line = f"answered {np.mean(answered):.0%}  right {np.mean(precise):.1%}  worst tenth {worst:.1%}"
        print(f"  {n:4} pictures, {target:.0%}  {line}  intervals meet {np.mean(met):.0%}", flush=True)


if __name__ == "__main__":
    main()
