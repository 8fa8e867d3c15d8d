"""Which classifier and which scaling suit frozen features: held-out accuracy on stores that have a held-out part.

    python benchmarks/classifiers_and_scaling.py STORE.h5 [STORE.h5 ...]

A store with `val` or `test` rows is scored on those; in another, every fifth product is held out. C and its like are
chosen on a grouped hold-out of the training part, as `featx fit` does.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.svm import SVC

from featx.classifiers.solvers import LDAProjection, LinearSVM, Logistic, SoftKNN
from featx.labels.folds import grouped_folds, groups_of
from featx.store import Store, open_store


def signed_root(x: np.ndarray) -> np.ndarray:
    """Square roots that keep their sign: they tame heavy tails."""
    return np.sign(x) * np.sqrt(np.abs(x))


SCALINGS: dict[str, Callable[[], list[Any]]] = {
    "as they are": list,
    "unit length": lambda: [Normalizer()],
    "square root": lambda: [FunctionTransformer(signed_root)],
    "standardise": lambda: [StandardScaler()],
    "square root, standardise": lambda: [FunctionTransformer(signed_root), StandardScaler()],
    "whiten to 256": lambda: [PCA(256, whiten=True, random_state=0)],
    "standardise, directions": lambda: [StandardScaler(), LDAProjection()],
    "unit length, directions": lambda: [Normalizer(), LDAProjection()],
    "the same, drawn in": lambda: [Normalizer(), LDAProjection(bound=1.0)],
}
THOROUGH = ("svm", "logreg", "svm, rbf", "knn", "lda")
FOR_ALL = ("as they are", "standardise", "unit length", "unit length, directions")
Made = list[tuple[str, Any]]


def classifiers(scaling: list[Any]) -> dict[str, Made]:
    """Every classifier with the few settings that are tried for it."""

    def each(values: tuple[float, ...], make: Callable[[float], Any]) -> Made:
        return [(f"{value:g}", make_pipeline(*scaling, make(value))) for value in values]

    return {
        "svm": each((1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100), lambda c: LinearSVM(C=c)),
        "svm, rbf": each((1, 10, 100), lambda c: SVC(C=c)),
        "logreg": each((1e-4, 1e-3, 1e-2, 1e-1, 1, 10), lambda c: Logistic(C=c)),
        "ridge": each((1e2, 1e3, 1e4, 1e5), lambda a: RidgeClassifier(alpha=a)),
        "lda": each((0.05, 0.1, 0.2, 0.4, 0.6), lambda s: LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s)),
        "knn": each((1, 5), lambda k: KNeighborsClassifier(int(k), weights="distance")),
        "knn, ours": [("", make_pipeline(*scaling, SoftKNN()))],
        "centroid": [("", make_pipeline(*scaling, NearestCentroid()))],
        "rf": [("", make_pipeline(*scaling, RandomForestClassifier(300, n_jobs=2, random_state=0)))],
        "extra-trees": [("", make_pipeline(*scaling, ExtraTreesClassifier(300, n_jobs=2, random_state=0)))],
        "mlp": each((1e-4, 1.0), lambda a: MLPClassifier(256, alpha=a, early_stopping=True, random_state=0)),
    }


def parts(store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and rows to score."""
    held = np.array([split in ("val", "test") for split in store.splits])
    if not held.any():
        products = [store.product_of(i) for i in range(len(store))]
        held = groups_of(products, store.digests, store.features) % 5 == 0
    return np.flatnonzero(~held), np.flatnonzero(held)


def score(made: Made, x: np.ndarray, y: np.ndarray, groups: np.ndarray, xt: np.ndarray, yt: np.ndarray) -> str:
    """Held-out accuracy in per cent and the seconds it took, with the setting chosen on a grouped hold-out."""
    begun = time.perf_counter()
    best = made[0]
    if len(made) > 1:
        learn, check = grouped_folds(list(y), groups, 5, 0)[0]
        accuracies = [model.fit(x[learn], y[learn]).score(x[check], y[check]) for _, model in made]
        best = made[int(np.argmax(accuracies))]
    right = best[1].fit(x, y).score(xt, yt)
    return f"{100 * right:5.1f} % {time.perf_counter() - begun:6.1f} s {best[0]}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path)
    parser.add_argument("--clf", nargs="*", help="only these classifiers")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for path in options.stores:
        store = open_store(path)
        learn, held = parts(store)
        x = np.asarray(store.features, dtype=np.float32)
        y = np.array([str(label) for label in store.labels])
        groups = groups_of([store.product_of(i) for i in learn], [store.digests[i] for i in learn], x[learn])
        print(f"{path.name}: {len(learn):,} to learn from, {len(held):,} to score", flush=True)
        for name in options.clf or classifiers([]):
            for title, scaling in SCALINGS.items():
                if name not in THOROUGH and title not in FOR_ALL:
                    continue
                shown = score(classifiers(scaling())[name], x[learn], y[learn], groups, x[held], y[held])
                print(f"  {name:12} {title:26} {shown}", flush=True)


if __name__ == "__main__":
    main()
