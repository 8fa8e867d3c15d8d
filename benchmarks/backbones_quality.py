"""Which backbone, alone or joined, suits product photos: the table in docs/backbones.md.

    featx extract grocery/train -b NAME --store STORES/grocery/NAME.h5       # for each backbone to measure;
    featx extract grocery/val -b NAME --store STORES/grocery/NAME.h5         # --weights FILE where it needs one
    featx extract clothing/train -b NAME --store STORES/clothing/NAME.h5
    python benchmarks/backbones_quality.py STORES --classes grocery/classes.csv

Joined features are made from the stores of their parts, blocks of unit length side by side, as `extract` makes them.

- val: one shrunken LDA learns from grocery `train` and is scored on `val`, for the fine and the coarse classes;
- folds: the same LDA on five folds of everything else that is labelled, grocery `train` and clothing. The folds keep
  photos together that any of the backbones finds nearly equal, so that all backbones are scored on the same folds;
- look-alikes, without training: clothing photos among themselves; an answer is right in the same category.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.compute.vectors import unit_rows
from featx.labels.folds import grouped_folds, groups_of, union_groups
from featx.retrieval.quality import measure
from featx.store import Store, open_store

JOINED = (
    "builtin+efficientnet_lite0",
    "builtin+efficientnet_lite2",
    "efficientnet_lite0+efficientnet_lite2",
    "builtin+efficientnet_lite0+efficientnet_lite2",
)
FOLDS = 5


@dataclass(frozen=True)
class Quality:
    """What one backbone reached; shares from 0 to 1."""

    backbone: str
    width: int
    val_fine: float
    val_coarse: float
    grocery_folds: float
    clothing_folds: float
    recall_at_1: float
    precision_at_10: float
    mean_average_precision: float


@dataclass(frozen=True)
class Photos:
    """The stores of one set of photos, by backbone, all with the same rows."""

    stores: dict[str, Store]

    @classmethod
    def under(cls, folder: Path) -> Photos:
        """Every store of a folder."""
        stores = {path.stem: open_store(path) for path in sorted(folder.glob("*.h5"))}
        ids = {tuple(store.digests) for store in stores.values()}
        if len(ids) != 1:
            sys.exit(f"the stores under {folder} do not hold the same photos")
        return cls(stores)

    @property
    def any(self) -> Store:
        """One of them, for what is the same in all."""
        return next(iter(self.stores.values()))

    def rows(self, name: str) -> np.ndarray:
        """The features of a backbone, or of several joined by `+`."""
        return np.concatenate([unit_rows(self.stores[part].features) for part in name.split("+")], axis=1)

    @cached_property
    def groups(self) -> np.ndarray:
        """Photos that any backbone finds nearly equal belong together."""
        store, rows = self.any, np.arange(len(self.any))
        products, digests = [store.product_of(int(i)) for i in rows], [store.digests[i] for i in rows]
        # What sees colours alone finds half a shelf alike.
        found = [
            groups_of(products, digests, one.features[rows]) for name, one in self.stores.items() if name != "colour"
        ]
        groups = found[0]
        for more in found[1:]:
            groups = union_groups(groups, more)
        return groups


def accuracy(clf: str, rows: np.ndarray, labels: np.ndarray, learn: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Whether each scored photo was right."""
    model = train_classifier(ClassifierSettings(clf), rows[learn], labels[learn])
    return np.asarray(model.predict(rows[score]) == labels[score])


def in_folds(clf: str, rows: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    """The share right over all folds."""
    folds = grouped_folds(labels.tolist(), groups, FOLDS, 0)
    return float(np.concatenate([accuracy(clf, rows, labels, learn, score) for learn, score in folds]).mean())


def quality(name: str, clf: str, grocery: Photos, clothing: Photos, coarse: dict[str, str]) -> Quality:
    """All that is measured of one backbone."""
    fine = np.array(grocery.any.labels, dtype=str)
    coarser = np.array([coarse[label] for label in fine])
    splits = np.array(grocery.any.splits, dtype=str)
    learn, score = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "val")
    rows, kinds = grocery.rows(name), np.array(clothing.any.labels, dtype=str)
    clothes = clothing.rows(name)
    alike: dict[str, Any] = measure(clothes, clothing.any.labels, clothing.any.products, clothing.any.ids)
    return Quality(
        name,
        rows.shape[1],
        float(accuracy(clf, rows, fine, learn, score).mean()),
        float(accuracy(clf, rows, coarser, learn, score).mean()),
        in_folds(clf, rows[learn], fine[learn], grocery.groups[learn]),
        in_folds(clf, clothes, kinds, clothing.groups),
        *(alike[metric]["value"] for metric in ("recall_at_1", "precision_at_10", "map")),
    )


def coarse_classes(path: Path) -> dict[str, str]:
    """The coarse class of each fine one."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row[0]: row[2] for row in csv.reader(file)}


def main() -> None:
    """Print a row of the table for each backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", type=Path)
    parser.add_argument("--classes", type=Path, required=True, help="classes.csv of the grocery set")
    parser.add_argument("--backbones", nargs="*", help="default: every store, and the joined sets of what is there")
    parser.add_argument("--clf", default="lda")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    asked = parser.parse_args()
    grocery, clothing = Photos.under(asked.stores / "grocery"), Photos.under(asked.stores / "clothing")
    joined = [name for name in JOINED if set(name.split("+")) <= grocery.stores.keys()]
    coarse, found = coarse_classes(asked.classes), []
    print("| backbone | numbers | val, fine | val, coarse | grocery folds | clothing folds | R@1 | P@10 | mAP |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in asked.backbones or [*grocery.stores, *joined]:
        begun = time.process_time()
        one = quality(name, asked.clf, grocery, clothing, coarse)
        shares = [f"{100 * share:.1f}" for share in list(asdict(one).values())[2:]]
        print(f"| `{name}` | {one.width:,} | " + " | ".join(shares) + " |", flush=True)
        print(f"  {time.process_time() - begun:.0f} CPU seconds", file=sys.stderr)
        found.append(asdict(one))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
