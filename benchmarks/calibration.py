"""What makes confidence honest: no temperature, one from grouped folds, or one from half of the held-out pictures.

    python benchmarks/calibration.py STORE.h5 [STORE.h5 ...]

Held-out pictures are the `val` and `test` rows; where there are none, every fifth product. They are cut in two halves
twenty times: one half may choose a temperature, the other is scored. Printed are the temperatures, and for each way the
expected calibration error and the log loss (mean of the twenty).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from classifiers_and_scaling import parts

from featx.classifiers.calibration import fit_temperature, probabilities
from featx.classifiers.pipelines import scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.classifiers.tuning import best, default_grid
from featx.labels.folds import grouped_folds, groups_of
from featx.metrics.scores import scores
from featx.store import open_store

DRAWS = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path)
    parser.add_argument("--clf", nargs="*", default=["svm", "logreg", "lda", "svm-rbf", "rf", "knn"])
    options = parser.parse_args()
    for path in options.stores:
        store = open_store(path)
        learn, held = parts(store)
        x, y = np.asarray(store.features), np.array([str(label) for label in store.labels])
        groups = groups_of([store.product_of(i) for i in learn], [store.digests[i] for i in learn], x[learn])
        cut = grouped_folds(list(y[learn]), groups, 5, 0)
        classes = sorted(set(y[learn].tolist()))
        truth, held_truth = np.searchsorted(classes, y[learn]), np.searchsorted(classes, y[held])
        for name in options.clf:
            recipe = best(default_grid(ClassifierSettings(name, threads=2)), x[learn], y[learn], cut[:1])
            folded = np.zeros((len(learn), len(classes)))
            for rows, score in cut:
                classifier = train_classifier(recipe, x[learn][rows], y[learn][rows])
                folded[score] = scores_of(classifier, x[learn][score], classes)
            held_scores = scores_of(train_classifier(recipe, x[learn], y[learn]), x[held], classes)
            from_folds = fit_temperature(folded, truth)
            errors: dict[str, list[tuple[float, float]]] = {"none": [], "folds": [], "held-out": []}
            for draw in range(DRAWS):
                half = np.random.default_rng(draw).random(len(held)) < 0.5
                from_half = fit_temperature(held_scores[half], held_truth[half])
                for way, temperature in (("none", 1.0), ("folds", from_folds), ("held-out", from_half)):
                    judged = scores(held_truth[~half], probabilities(held_scores[~half], temperature))
                    errors[way].append((judged["ece"], judged["log_loss"]))
            means = {way: np.mean(values, axis=0) for way, values in errors.items()}
            line = "   ".join(f"{way}: gap {gap:.3f} log loss {loss:.3f}" for way, (gap, loss) in means.items())
            print(f"{path.name}  {name:8} temperature {from_folds:.3f}   {line}", flush=True)


if __name__ == "__main__":
    main()
