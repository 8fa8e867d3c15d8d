"""What a threshold of the folds keeps on held-out photos, and what is flagged of categories never learned.

    python benchmarks/promises.py STORE.h5 [STORE.h5 ...]

A store with `val` or `test` rows is scored on those; in another, every fifth product is held out. The classifier is
`svm` as `featx fit` trains it, its temperature from grouped folds. For the second table 20 categories, drawn at random,
are not learned (a quarter of them where there are fewer than 40).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from classifiers_and_scaling import parts

from featx.classifiers.calibration import fit_temperature, probabilities
from featx.classifiers.novelty import fit_novelty
from featx.classifiers.pipelines import scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.classifiers.tuning import best, default_grid
from featx.labels.folds import grouped_folds, groups_of
from featx.metrics.scores import wilson
from featx.metrics.selective import coverage_table
from featx.store import open_store

SHARES = (1.0, 0.9, 0.7, 0.5)
SURE = (0.3, 0.5, 0.7, 0.9)


def learned(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, queries: np.ndarray
) -> tuple[list[dict[str, float]], list[str], np.ndarray, np.ndarray]:
    """Coverage by the folds, the categories, shares for the photos asked, and which are unlike all learned."""
    classes = sorted(set(y.tolist()))
    cut = grouped_folds(y.tolist(), groups, 5, 0)
    recipe = best(default_grid(ClassifierSettings("svm")), x, y, cut[:1])
    folded = np.zeros((len(y), len(classes)))
    for rows, score in cut:
        folded[score] = scores_of(train_classifier(recipe, x[rows], y[rows]), x[score], classes)
    truth = np.searchsorted(classes, y)
    temperature = fit_temperature(folded, truth)
    table = coverage_table(probabilities(folded, temperature).max(axis=1), folded.argmax(axis=1) == truth, groups)
    shares = probabilities(scores_of(train_classifier(recipe, x, y), queries, classes), temperature)
    return table, classes, shares, fit_novelty(x, cut, 0).is_novel(queries)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path)
    options = parser.parse_args()
    for path in options.stores:
        store = open_store(path)
        x, y = np.asarray(store.features), np.array([str(label) for label in store.labels])
        learn, held = parts(store)
        groups = groups_of([store.product_of(i) for i in range(len(store))], store.digests, x)
        print(f"{path.name}: {len(learn):,} to learn from, {len(held):,} held out")
        table, classes, shares, _ = learned(x[learn], y[learn], groups[learn], x[held])
        right, sure = np.array(classes)[shares.argmax(axis=1)] == y[held], shares.max(axis=1)
        for row in table:
            if row["coverage"] in SHARES:
                there = sure >= row["threshold"] if row["coverage"] < 1 else np.ones(len(sure), bool)
                kept = wilson(int(right[there].sum()), int(there.sum()))
                print(
                    f"  surest {row['coverage']:4.0%}  promised {row['precision']:.1%}  answered {there.mean():4.0%}"
                    f"  right {kept.value:.1%}  ({kept.low:.1%} - {kept.high:.1%})"
                )
        names = sorted(set(y.tolist()))
        left = np.random.default_rng(0).permutation(names)[: 20 if len(names) >= 40 else len(names) // 4]
        new = np.isin(y, left)
        rows = learn[~new[learn]]
        _, _, shares, unlike = learned(x[rows], y[rows], groups[rows], x[held])
        known, never = ~new[held], new[held]
        print(f"  {len(left)} categories not learned: {known.sum()} photos of known ones, {never.sum()} of those")
        for limit in (0.0, *SURE):
            flagged = unlike | (shares.max(axis=1) < limit)
            what = f"or sure below {limit}" if limit else "unlike anything"
            print(
                f"  {what:18} known {flagged[known].mean():6.1%}  never seen {flagged[never].mean():6.1%}", flush=True
            )


if __name__ == "__main__":
    main()
