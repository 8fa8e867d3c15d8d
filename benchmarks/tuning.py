"""Which part of the search of `featx fit --tune` pays: accuracy with the setting each part of it would choose.

    python benchmarks/tuning.py STORE.h5 [STORE.h5 ...] [--clf svm knn ...]

A store with `val` or `test` rows is scored on those; another over five grouped folds, the setting chosen anew in each.
Settings are chosen on three grouped hold-outs of what may be learned from (the few usual strengths on one, as `featx
fit` does). `strength` is C, shrinkage, neighbours or smallest leaf; `shape` adds the width of the kernel, or depth and
numbers tried of a forest; `reduction` adds 64, 128 and 256 directions to the strengths; `all` is what `--tune` does.
Printed are accuracy, seconds of all searches together, and the settings chosen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from classifiers_and_scaling import parts

from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.classifiers.tuning import best, default_grid, wide_grid
from featx.labels.folds import Fold, grouped_folds, groups_of
from featx.store import open_store

Kept = Callable[[ClassifierSettings], bool]
WAYS: dict[str, Kept] = {
    "strength": lambda recipe: (
        recipe.reduction == ClassifierSettings(recipe.name).reduction
        and recipe.width in (None, 1.0)
        and recipe.depth is None
        and recipe.tried is None
    ),
    "shape": lambda recipe: recipe.reduction == ClassifierSettings(recipe.name).reduction,
    "reduction": lambda recipe: recipe.width in (None, 1.0) and recipe.depth is None and recipe.tried is None,
    "all": lambda recipe: True,
}
NAMES = ["svm", "logreg", "lda", "knn", "svm-rbf", "extra-trees", "rf"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path)
    parser.add_argument("--clf", nargs="*", default=NAMES)
    options = parser.parse_args()
    for path in options.stores:
        store = open_store(path)
        x, y = np.asarray(store.features), np.array([str(label) for label in store.labels])
        groups = groups_of([store.product_of(i) for i in range(len(store))], store.digests, x)
        has_split = any(split in ("val", "test") for split in store.splits)
        outer: list[Fold] = [parts(store)] if has_split else grouped_folds(y.tolist(), groups, 5, 0)
        for name in options.clf:
            recipe, seen = ClassifierSettings(name, threads=2), set[int]()
            room = min(len(learn) for learn, _ in outer) // 2
            several = {
                way: [candidate for candidate in wide_grid(recipe, min(room, x.shape[1])) if kept(candidate)]
                for way, kept in WAYS.items()
            }
            for way, candidates in {"usual": default_grid(recipe), **several}.items():
                if len(candidates) in seen:
                    continue
                seen.add(len(candidates))
                begun, right, chosen = time.perf_counter(), 0, []
                for learn, _ in outer:
                    inner = grouped_folds(y[learn].tolist(), groups[learn], 5, 0)[: 1 if way == "usual" else 3]
                    winner = best(candidates, x[learn], y[learn], inner)
                    chosen.append(winner)
                spent = time.perf_counter() - begun
                for (learn, score), winner in zip(outer, chosen, strict=True):
                    right += int((train_classifier(winner, x[learn], y[learn]).predict(x[score]) == y[score]).sum())
                total = sum(len(score) for _, score in outer)
                settings = "; ".join(
                    ", ".join(
                        f"{key} {value}" if isinstance(value, str) else f"{key} {value:.3g}"
                        for key, value in winner.for_card().items()
                        if value and key != "seed"
                    )
                    for winner in dict.fromkeys(chosen)
                )
                tried = f"{path.stem:20} {name:11} {way:9} of {len(candidates):3}"
                print(f"{tried}  {right / total:6.1%}  {spent:6.1f} s  {settings}", flush=True)


if __name__ == "__main__":
    main()
