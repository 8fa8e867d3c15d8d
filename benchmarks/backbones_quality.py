"""Which backbone, alone or joined, suits product photos: the table in docs/backbones.md.

    featx extract grocery/train -b NAME --store STORES/grocery/NAME.h5       # for each backbone to measure;
    featx extract grocery/val -b NAME --store STORES/grocery/NAME.h5         # --weights FILE where it needs one
    featx extract clothing/train -b NAME --store STORES/clothing/NAME.h5
    python benchmarks/backbones_quality.py STORES --classes grocery/classes.csv
    python benchmarks/backbones_quality.py --photos grocery/train            # what they cost, on quiet cores

Joined features are made from the stores of their parts, blocks of unit length side by side, as `extract` makes them;
`--backbones builtin+efficientnet_lite2@penultimate,_blocks.20:middle` takes these layers of a store that has them.

- val: `lda` learns from grocery `train` and is scored on `val`, for the fine and the coarse classes;
- folds: the same classifier on five folds of everything else that is labelled, grocery `train` and clothing. The
  folds keep photos together that any of the backbones finds nearly equal, so that all backbones are scored on the
  same folds;
- kept out: hats, shoes, shorts and skirts, which the built-in network never saw: how many of them are right in the
  folds of all ten kinds of clothes;
- look-alikes, without training: clothing photos among themselves; an answer is right in the same category; kept out:
  those four kinds among themselves;
- cost: photos a second and CPU milliseconds a photo from JPEG files to features, by the engine that `auto` takes for
  many photos, opening it left out; the price of a million photos at `--price` for an hour of one core.
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

from featx.backbones import open_backbone
from featx.backbones.default import is_ready
from featx.backbones.efficientnet_lite import NETWORKS
from featx.backbones.fingerprint import PLUS
from featx.backbones.nodes import without_nodes
from featx.backbones.registry import backbone_rows, family_of
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.compute.vectors import unit_rows
from featx.embedding.stream import batch_size_for, embed
from featx.labels.folds import grouped_folds, groups_of, union_groups
from featx.retrieval.quality import measure
from featx.store import Store, open_store

JOINED = (
    "builtin+efficientnet_lite0",
    "builtin+efficientnet_lite2",
    "efficientnet_lite0+efficientnet_lite2",
    "builtin+efficientnet_lite0+efficientnet_lite2",
)
# What the built-in network never saw: `training/photos.py`.
KEPT_OUT = ("hat", "shoes", "shorts", "skirt")
PARTS = ("colour", "builtin", "efficientnet_lite0", "efficientnet_lite2", "squeezenet1_0", "resnet50")
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
    kept_out_folds: float
    recall_at_1: float
    precision_at_10: float
    mean_average_precision: float
    kept_out_recall_at_1: float


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
        """The features of a backbone, several joined by `+`, or layers of one as `NAME@LAYER,…`."""
        return np.concatenate([block for part in name.split(PLUS) for block in self._blocks(part)], axis=1)

    def _blocks(self, part: str) -> list[np.ndarray]:
        name, _, layers = part.partition("@")
        store = self.stores[name]
        parts = [store.with_blocks([f"{name}/{layer}"]) for layer in layers.split(",")] if layers else [store]
        return [unit_rows(block.features) for block in parts]

    @cached_property
    def groups(self) -> np.ndarray:
        """Photos that any backbone finds nearly equal belong together."""
        store, rows = self.any, np.arange(len(self.any))
        products, digests = [store.product_of(int(i)) for i in rows], [store.digests[i] for i in rows]
        # What sees colours alone finds half a shelf alike.
        groupings = [
            groups_of(products, digests, store.features[rows])
            for name, store in self.stores.items()
            if name != "colour"
        ]
        groups = groupings[0]
        for more in groupings[1:]:
            groups = union_groups(groups, more)
        return groups


def accuracy(clf: str, rows: np.ndarray, labels: np.ndarray, learn: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Whether each scored photo was right."""
    model = train_classifier(ClassifierSettings(clf), rows[learn], labels[learn])
    return np.asarray(model.predict(rows[score]) == labels[score])


def in_folds(clf: str, rows: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Whether each photo was right in the fold that scored it."""
    right = np.zeros(len(labels), dtype=bool)
    for learn, score in grouped_folds(labels.tolist(), groups, FOLDS, 0):
        right[score] = accuracy(clf, rows, labels, learn, score)
    return right


def look_alikes(rows: np.ndarray, store: Store, chosen: np.ndarray) -> dict[str, float]:
    """Recall@1, precision@10 and mAP of some photos of a store among themselves."""
    labels, products, ids = ([names[i] for i in chosen] for names in (store.labels, store.products, store.ids))
    measured: dict[str, Any] = measure(rows[chosen], labels, products, ids)
    return {metric: measured[metric]["value"] for metric in ("recall_at_1", "precision_at_10", "map")}


def quality(name: str, clf: str, grocery: Photos, clothing: Photos, coarse: dict[str, str]) -> Quality:
    """All that is measured of one backbone."""
    fine = np.array(grocery.any.labels, dtype=str)
    coarser = np.array([coarse[label] for label in fine])
    splits = np.array(grocery.any.splits, dtype=str)
    learn, score = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "val")
    rows, kinds = grocery.rows(name), np.array(clothing.any.labels, dtype=str)
    clothes, kept_out = clothing.rows(name), np.isin(kinds, KEPT_OUT)
    right = in_folds(clf, clothes, kinds, clothing.groups)
    return Quality(
        name,
        rows.shape[1],
        float(accuracy(clf, rows, fine, learn, score).mean()),
        float(accuracy(clf, rows, coarser, learn, score).mean()),
        float(in_folds(clf, rows[learn], fine[learn], grocery.groups[learn]).mean()),
        float(right.mean()),
        float(right[kept_out].mean()),
        *look_alikes(clothes, clothing.any, np.arange(len(kinds))).values(),
        look_alikes(clothes, clothing.any, np.flatnonzero(kept_out))["recall_at_1"],
    )


@dataclass(frozen=True)
class Cost:
    """What a backbone takes on this machine; sizes in bytes."""

    backbone: str
    engine: str
    weights: int
    row: int
    photos_per_second: float
    cpu_seconds: float

    def line(self, price: float) -> str:
        """A row of the table."""
        money = 1e6 * self.cpu_seconds / 3600 * price
        sizes = f"{self.weights / 1e6:.1f} | {self.row / 1000:.1f}"
        pace = f"{self.photos_per_second:.0f} | {1000 * self.cpu_seconds:.1f} | {money:.2f}"
        return f"| `{self.backbone}` | {self.engine} | {sizes} | {pace} |"


def cost_of(name: str, paths: list[Path], precision: str) -> Cost:
    """The pace of a backbone over these photos; one without weights here gets random ones, which take as long."""
    weights = None if all(is_ready(part) for part in name.split(PLUS)) else "random"
    encoder = open_backbone(name, weights=weights, precision=precision)
    if encoder.spec.engine:
        encoder.use_engine("auto", photos=10**6, batch_size=batch_size_for(encoder))
    for count in (min(32, len(paths)), len(paths)):  # the first photos warm it up
        wall, cpu = time.perf_counter(), time.process_time()
        with embed(paths[:count], lambda: encoder) as stream:
            rows = [result.features for result in stream if result.features is not None]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    size = sum(weights_bytes(part) for part in without_nodes(name).split(PLUS))
    return Cost(name, encoder.spec.engine or "numpy", size, rows[0].nbytes, len(rows) / wall, cpu / len(rows))


def weights_bytes(name: str) -> int:
    """How large the weights of one backbone are: their file where it is at hand, else its parameters in float32."""
    own = family_of(name).own_weights()
    packaged = NETWORKS.get(name)
    if own is not None:
        return own.n_bytes
    if packaged is not None and packaged.file is not None:
        return packaged.file.stat().st_size
    return 4 * next((int(row["parameters"] or 0) for row in backbone_rows() if row["name"] == name), 0)


def print_costs(names: list[str], folder: Path, most: int, price: float, precision: str) -> None:
    """The table of what backbones cost."""
    paths = sorted(folder.rglob("*.jpg"))
    paths = paths[:: max(1, len(paths) // most)][:most]
    print(f"| backbone | engine | weights, MB | kB a photo | photos/s | CPU ms | a million at {price} |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in names:
        print(cost_of(name, paths, precision).line(price), flush=True)


def coarse_classes(path: Path) -> dict[str, str]:
    """The coarse class of each fine one."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row[0]: row[2] for row in csv.reader(file)}


def main() -> None:
    """Print a row of the table for each backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", type=Path, nargs="?")
    parser.add_argument("--classes", type=Path, help="classes.csv of the grocery set; needed with STORES")
    parser.add_argument("--backbones", nargs="*", help="default: every store, and the joined sets of what is there")
    parser.add_argument("--clf", default="lda")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--photos", type=Path, help="a folder of photos, to measure what the backbones cost")
    parser.add_argument("--most", type=int, default=256, help="so many of them")
    parser.add_argument("--precision", default="auto", help="bf16 or int8: what that costs")
    parser.add_argument("--price", type=float, default=0.05, help="of one core for an hour, in your currency")
    options = parser.parse_args()
    if options.photos is not None:
        print_costs(
            options.backbones or [*PARTS, *JOINED], options.photos, options.most, options.price, options.precision
        )
    if options.stores is None or options.classes is None:
        sys.exit(None if options.photos is not None else "name a folder of stores and --classes, or --photos")
    grocery, clothing = Photos.under(options.stores / "grocery"), Photos.under(options.stores / "clothing")
    joined = [name for name in JOINED if set(name.split("+")) <= grocery.stores.keys()]
    coarse, rows = coarse_classes(options.classes), []
    print(
        "| backbone | numbers | val, fine | val, coarse | grocery folds | clothing folds | … kept out"
        " | R@1 | P@10 | mAP | R@1, kept out |"
    )
    print("|" + "---|" * 11, flush=True)
    for name in options.backbones or [*grocery.stores, *joined]:
        begun = time.process_time()
        row = quality(name, options.clf, grocery, clothing, coarse)
        shares = [f"{100 * share:.1f}" for share in list(asdict(row).values())[2:]]
        print(f"| `{name}` | {row.width:,} | " + " | ".join(shares) + " |", flush=True)
        print(f"  {time.process_time() - begun:.0f} CPU seconds", file=sys.stderr)
        rows.append(asdict(row))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
