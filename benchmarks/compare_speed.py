"""Linear SVM, logistic regression and a forest over 5 folds and 7 values of C: plain scikit-learn beside featx.

    python benchmarks/compare_speed.py --rows 2640 --width 512
    python benchmarks/compare_speed.py --store STORE.h5 --json compare.json
    python benchmarks/compare_speed.py --rows 20000 --width 2048 --only fit

Both sides see the same rows and folds, and photos of one product stay together (`views.py` makes many rows of few
photos). Plain is what one writes first: a `GridSearchCV` for each classifier, scaling in the pipeline, a job for each
core. featx is what `featx fit --tune` does with the same number of values of C; with `--reduce none` it minimises the
very objective of plain, standardised features and all. CPU seconds count every process and are the steadier figure on a
machine that does other things too. `fit` times one `SVC` on the features as they are
against `--clf svm` with its choice of C on a hold-out. `--folds 1` does the first of the five folds alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.labels.folds import Fold

if TYPE_CHECKING:
    from featx.classifiers.spec import ClassifierSettings

STRENGTHS = {
    "svm": (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
    "svm, lda": (0.1, 0.3, 1, 3, 10, 30, 100),
    "logreg": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    "svm-rbf": (0.3, 1, 3, 10, 30, 100, 300),
}
TREES = 300
PARTS = ("svm", "logreg", "forest", "fit", "svm-rbf")


def made_up(rows: int, width: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative, heavy-tailed, correlated features of products in classes of unequal size."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(4, classes + 4) ** 0.5
    labels = np.sort(
        np.concatenate([np.arange(classes).repeat(5), rng.choice(classes, rows - 5 * classes, p=share / share.sum())])
    )
    inner = 96
    centres = rng.standard_normal((classes, inner)) * 0.55
    hidden = centres[labels] + rng.standard_normal((rows, inner)) * np.linspace(1.6, 0.4, inner)
    mixed = hidden @ rng.standard_normal((inner, width)) / np.sqrt(inner)
    mixed += 0.5 * rng.standard_normal((rows, width))
    features = np.maximum(mixed - 0.2, 0) ** 1.5 * np.exp(0.5 * rng.standard_normal(width))
    return features.astype(np.float32), labels


def from_store(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels and products of a store's labelled rows."""
    from featx.store import open_store

    store = open_store(path)
    labels = np.array([label or "" for label in store.labels])
    kept = labels != ""
    products = np.array([store.product_of(row) for row in np.flatnonzero(kept)])
    classes, groups = (np.unique(names, return_inverse=True)[1] for names in (labels[kept], products))
    return np.asarray(store.features, dtype=np.float32)[kept], classes, groups


def folds_of(y: np.ndarray, groups: np.ndarray, seed: int) -> list[Fold]:
    """Five stratified folds; photos of one product stay together."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedGroupKFold if len(np.unique(groups)) < len(groups) else StratifiedKFold
    together = groups if kind is StratifiedGroupKFold else None
    return list(kind(5, shuffle=True, random_state=seed).split(y, y, together))


def cpu_seconds() -> float:
    """Of this process and of the worker processes that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def timed(work: Callable[[], float]) -> dict[str, float]:
    """What `work` scored, and what it took."""
    from joblib.externals.loky import get_reusable_executor

    wall, cpu = time.perf_counter(), cpu_seconds()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accuracy = work()
        # Workers count once they have ended.
        wall = time.perf_counter() - wall
        get_reusable_executor().shutdown(wait=True)
    return {"accuracy": round(accuracy, 4), "wall": round(wall, 2), "cpu": round(cpu_seconds() - cpu, 2)}


def plain_grid(make: Any, grid: dict[str, Sequence[float]], x: np.ndarray, y: np.ndarray, folds: list[Fold]) -> float:
    """The best mean accuracy of a plain grid search."""
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(make, grid, cv=folds, n_jobs=os.cpu_count(), refit=False).fit(x, y)
    return float(search.best_score_)


def featx_grid(name: str, reduce: str | None, x: np.ndarray, y: np.ndarray, folds: list[Fold]) -> float:
    """The best mean accuracy over the values of C, found as `featx fit --tune` finds it."""
    from featx.classifiers.pipelines import parallel_fits
    from featx.classifiers.spec import ClassifierSettings
    from featx.classifiers.tuning import answers
    from featx.compute.threads import side_by_side

    first = ClassifierSettings(name, reduce=reduce)
    strengths = STRENGTHS.get(f"{name}, {first.reduction}", STRENGTHS[name])
    several = [replace(first, strength=float(strength)) for strength in strengths]

    def right(fold: Fold) -> list[float]:
        learn, score = fold
        return [float((says == y[score]).mean()) for says in answers(several, x[learn], y[learn], x[score])]

    return float(np.mean(list(side_by_side(right, folds, parallel_fits(first, x))), axis=0).max())


def featx_once(recipe: ClassifierSettings, x: np.ndarray, y: np.ndarray, folds: list[Fold]) -> float:
    """The mean accuracy over the folds of one setting, or of the one that a hold-out chooses."""
    from featx.classifiers.pipelines import train_classifier
    from featx.classifiers.tuning import best, default_grid
    from featx.labels.folds import plain_folds

    right = []
    for learn, score in folds:
        several = default_grid(recipe)
        inner = plain_folds(y[learn].tolist(), 5, 0)[:1] if len(several) > 1 else []
        chosen = best(several, x[learn], y[learn], inner)
        right.append((train_classifier(chosen, x[learn], y[learn]).predict(x[score]) == y[score]).mean())
    return float(np.mean(right))


def measured(part: str, reduce: str | None, x: np.ndarray, y: np.ndarray, folds: list[Fold]) -> dict[str, Any]:
    """Both sides of one part."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, LinearSVC

    # Both sides find their libraries loaded.
    import featx.classifiers.solvers  # noqa: F401
    from featx.classifiers.spec import ClassifierSettings

    if part in ("svm", "logreg", "svm-rbf"):
        last: Any = {"svm": LinearSVC(random_state=0), "logreg": LogisticRegression(max_iter=300), "svm-rbf": SVC()}[
            part
        ]
        grid = {type(last).__name__.lower() + "__C": STRENGTHS[part]}
        ours = timed(lambda: featx_grid(part, reduce, x, y, folds))
        plain = timed(lambda: plain_grid(make_pipeline(StandardScaler(), last), grid, x, y, folds))
    elif part == "forest":
        jobs = os.cpu_count() or 1
        forest = RandomForestClassifier(TREES, random_state=0, n_jobs=jobs)
        ours = timed(lambda: featx_once(ClassifierSettings("rf", reduce=reduce), x, y, folds))
        plain = timed(lambda: float(cross_val_score(forest, x, y, cv=folds).mean()))
    else:
        learn, score = folds[0]
        ours = timed(lambda: featx_once(ClassifierSettings("svm", reduce=reduce), x, y, folds[:1]))
        plain = timed(lambda: float(SVC().fit(x[learn], y[learn]).score(x[score], y[score])))
    ratios = {unit: round(plain[unit] / max(ours[unit], 1e-9), 1) for unit in ("wall", "cpu")}
    return {"part": part, "plain": plain, "featx": ours, "ratio": ratios}


def main() -> None:
    """Run the parts asked for, print a line for each, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=2_048)
    parser.add_argument("--classes", type=int, default=81)
    parser.add_argument("--store", type=Path, help="real features instead of made-up ones")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=("svm", "logreg", "forest"))
    parser.add_argument("--reduce", choices=("lda", "none"), help="of featx; usually lda")
    parser.add_argument("--folds", type=int, default=5, help="how many of the five folds to do")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    if options.store:
        x, y, groups = from_store(options.store)
    else:
        x, y = made_up(options.rows, options.width, options.classes, options.seed)
        groups = np.arange(len(x))
    folds = folds_of(y, groups, options.seed)[: options.folds]
    print(f"{len(x):,} x {x.shape[1]:,}, {len(np.unique(y))} classes, {len(folds)} of 5 folds, {os.cpu_count()} cores")
    print(f"{'part':8} {'accuracy':>17} {'CPU seconds':>19} {'ratio':>7} {'wall seconds':>19} {'ratio':>7}")
    done = []
    for part in options.only:
        row = measured(part, options.reduce, x, y, folds)
        show(row)
        done.append(row)
    if len(done) > 1:
        whole: dict[str, Any] = {"part": "whole", "ratio": {}}
        for side in ("plain", "featx"):
            whole[side] = {unit: round(sum(row[side][unit] for row in done), 2) for unit in ("wall", "cpu")}
        whole["ratio"] = {unit: round(whole["plain"][unit] / whole["featx"][unit], 1) for unit in ("wall", "cpu")}
        show(whole)
        done.append(whole)
    if options.json:
        facts = {
            "rows": len(x),
            "width": x.shape[1],
            "classes": len(np.unique(y)),
            "cores": os.cpu_count(),
            "folds": len(folds),
            "reduce": options.reduce,
            "parts": done,
        }
        options.json.write_text(json.dumps(facts, indent=1) + "\n")


def show(row: dict[str, Any]) -> None:
    """One line of the table, plain before featx."""
    plain, ours, ratio = row["plain"], row["featx"], row["ratio"]
    scores = f"{plain['accuracy']:.4f} > {ours['accuracy']:.4f}" if "accuracy" in plain else ""
    print(
        f"{row['part']:8} {scores:>17} {plain['cpu']:>8.1f} > {ours['cpu']:>8.1f} {ratio['cpu']:>7.1f} "
        f"{plain['wall']:>8.1f} > {ours['wall']:>8.1f} {ratio['wall']:>7.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
