"""What featx does not offer, measured beside what it does: ridge, perceptrons, boosting, oversampling.

    python benchmarks/more_classifiers.py STORE.h5 [STORE.h5 ...]

A store with `val` or `test` rows is scored on those; in another every fifth product is held out, and 2 x 5 grouped
folds are scored too, each candidate in pairs with `svm`. Settings are chosen on a grouped hold-out of what is learned.
Oversampling repeats pictures of rare categories at random until all are as frequent, in what is learned from alone.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from classifiers_and_scaling import parts
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.svm import SVC

from featx.classifiers.pipelines import oversample
from featx.classifiers.solvers import LDAProjection, LinearSVM, Logistic, ShrinkageLDA
from featx.labels.folds import grouped_folds, groups_of
from featx.metrics.significance import corrected_t
from featx.store import open_store

Makers = list[Callable[[], Any]]
OVER = ", oversampled"


def turned(make: Callable[[float], Any], values: tuple[float, ...], bound: float = 0.0) -> Makers:
    """One pipeline for each value, in the directions that tell categories apart."""
    return [
        lambda value=value: make_pipeline(Normalizer(), LDAProjection(bound=bound), make(value)) for value in values
    ]


def perceptron(alpha: float, **options: Any) -> Any:
    """One hidden layer."""
    return MLPClassifier(256, alpha=alpha, random_state=0, **options)


C_SVM, C_LOGREG, DRAWN_IN = (0.1, 1.0, 10.0, 100.0), (1e-3, 1e-2, 1e-1, 1.0), 1.0
CANDIDATES: dict[str, Makers] = {
    "svm": turned(lambda c: LinearSVM(C=c), C_SVM, DRAWN_IN),
    "svm, balanced": turned(lambda c: LinearSVM(C=c, class_weight="balanced"), C_SVM, DRAWN_IN),
    "svm" + OVER: turned(lambda c: LinearSVM(C=c), C_SVM, DRAWN_IN),
    "logreg": turned(lambda c: Logistic(C=c), C_LOGREG),
    "logreg, balanced": turned(lambda c: Logistic(C=c, class_weight="balanced"), C_LOGREG),
    "logreg" + OVER: turned(lambda c: Logistic(C=c), C_LOGREG),
    "lda": [lambda s=s: make_pipeline(Normalizer(), ShrinkageLDA(s)) for s in (0.05, 0.1, 0.2, 0.4)],
    "ridge": turned(lambda a: RidgeClassifier(alpha=a), (1e0, 1e1, 1e2, 1e3)),
    "rbf, unit length": [lambda c=c: make_pipeline(Normalizer(), SVC(C=c)) for c in (1, 10, 100)],
    "rbf, directions": turned(lambda c: SVC(C=c), (1, 10, 100), DRAWN_IN),
    "perceptron": turned(lambda a: perceptron(a, max_iter=60), (1.0, 10.0)),
    "perceptron, early": turned(lambda a: perceptron(a, early_stopping=True), (1e-4, 1.0)),
    "boosting": turned(lambda _: HistGradientBoostingClassifier(max_iter=40, random_state=0), (0.0,)),
}
NOT_IN_FOLDS = ("boosting",)


def answers(
    name: str, x: np.ndarray, y: np.ndarray, groups: np.ndarray, queries: np.ndarray
) -> tuple[np.ndarray, float]:
    """What a candidate says after learning from x and y, and how long its last training took."""

    def learned(make: Callable[[], Any], rows: np.ndarray) -> Any:
        used = rows[oversample(y[rows])] if name.endswith(OVER) else rows
        return make().fit(x[used], y[used])

    makers = CANDIDATES[name]
    best = makers[0]
    if len(makers) > 1:
        learn, check = grouped_folds(list(y), groups, 5, 0)[0]
        best = makers[int(np.argmax([learned(make, learn).score(x[check], y[check]) for make in makers]))]
    begun = time.perf_counter()
    trained = learned(best, np.arange(len(y)))
    return trained.predict(queries), time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path)
    parser.add_argument("--clf", nargs="*", default=list(CANDIDATES))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for path in options.stores:
        store = open_store(path)
        x, y = np.asarray(store.features), np.array([str(label) for label in store.labels])
        products = np.array([store.product_of(i) for i in range(len(store))])
        digests = np.array(store.digests)
        learn, held = parts(store)
        groups = groups_of(products[learn], digests[learn], x[learn])
        print(f"{path.name}: {len(learn):,} to learn from, {len(held):,} held out", flush=True)
        for name in options.clf:
            says, seconds = answers(name, x[learn], y[learn], groups, x[held])
            right, balanced = (says == y[held]).mean(), balanced_accuracy_score(y[held], says)
            print(f"  {name:20} {100 * right:5.1f} %  balanced {100 * balanced:5.1f} %  {seconds:5.1f} s", flush=True)
        if any(split in ("val", "test") for split in store.splits):
            continue
        groups = groups_of(products, digests, x)
        folds = [fold for seed in (0, 1) for fold in grouped_folds(list(y), groups, 5, seed)]
        ratio = float(np.mean([len(score) / len(rows) for rows, score in folds]))
        accuracies: dict[str, np.ndarray] = {}
        for name in [name for name in options.clf if name not in NOT_IN_FOLDS]:
            scores = []
            for rows, score in folds:
                says, _ = answers(name, x[rows], y[rows], groups[rows], x[score])
                scores.append(((says == y[score]).mean(), balanced_accuracy_score(y[score], says)))
            accuracies[name] = np.array(scores)
            mean = 100 * accuracies[name].mean(axis=0)
            print(f"  {name:20} folds {mean[0]:5.1f} %  balanced {mean[1]:5.1f} %", end="", flush=True)
            for place, what in enumerate(("", " balanced")):
                test = corrected_t(accuracies[name][:, place] - accuracies[options.clf[0]][:, place], ratio)
                print(f"  {100 * test.difference:+.1f}{what}, p = {test.p:.3f}", end="")
            print(flush=True)


if __name__ == "__main__":
    main()
