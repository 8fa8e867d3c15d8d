"""The built-in backbone beside ImageNet's squeezenet1_0 and colours alone, on real photos, in featx's own measures.

    python benchmarks/builtin_quality.py --grocery DIR --clothing DIR --teacher FILE [--stores DIR]

Prints the table of the model card. The features come from `featx.extract`, the scores from `featx.compare` and the
look-alikes from `featx.retrieval.quality`: what a report of the same stores says. What is measured:

- val: classifiers that learned from the official grocery `train`, scored on `val`, once for the 81 fine and once for
  the 42 coarse classes; the strength of a classifier is chosen within `train`;
- transfer: five folds over the four clothing classes the network never saw;
- both once more with plain classifiers on standardised features;
- look-alikes, without training: the `val` photos among themselves, and the transfer photos among themselves.

`--stores` keeps the features for the next time; without it they are made in a temporary folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image

import featx
from featx.retrieval.quality import measure

# A program started by its path sees its own folder only, and the recipe is not installed with the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from training.photos import Source, folder_sources, grocery_sources

CLASSIFIERS = ("logreg", "svm")
Describe = Callable[[list[Image.Image]], Any]


def write_lists(grocery: Path, clothing: Path, folder: Path) -> dict[str, Path]:
    """A table of photos for each question, as a user would write it."""
    coarse: dict[str, str] = {}
    for part in ("train", "val"):
        for row in csv.reader((grocery / f"{part}.txt").read_text().splitlines(), skipinitialspace=True):
            coarse[f"grocery/{row[1]}"] = row[2]
    questions: dict[str, list[tuple[Source, str]]] = {
        "grocery": [(source, "val" if source.part == "val" else "train") for source in grocery_sources(grocery)],
        "transfer": [(source, "") for source in folder_sources(clothing) if source.part == "transfer"],
    }
    lists = {}
    for name, photos in questions.items():
        lists[name] = folder / f"{name}.csv"
        with lists[name].open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["path", "label", "coarse", "split", "part"])
            for source, split in photos:
                table.writerow(
                    [source.path.resolve(), source.label, coarse.get(source.label, source.label), split, source.part]
                )
    return lists


def stores_of(kind: str, lists: dict[str, Path], folder: Path, weights: Path | None) -> dict[str, featx.Store]:
    """The features of one kind for each list; those already there are used again."""
    stores = {}
    for name, listed in lists.items():
        photos = featx.read_catalogue(listed, allow_outside=True)
        given = None if weights is None else str(weights)
        stores[name] = featx.extract(photos, store=folder / f"{name}-{kind}.h5", backbone=kind, weights=given)
    return stores


def accuracy(stores: list[featx.Store], **settings: Any) -> dict[str, dict[str, float]]:
    """Per cent right of each classifier on each store: held out, or in the folds where nothing is held out."""
    accuracies: dict[str, dict[str, float]] = {}
    for row in featx.compare(stores, CLASSIFIERS, colour=False, **settings).rows():
        if not row["baseline"]:
            value = row["test_accuracy"] if row["test_accuracy"] is not None else row["cv_accuracy"]
            accuracies.setdefault(str(row["clf"]), {})[str(row["store"])] = 100 * float(value)
    return accuracies


def standardised(stores: list[featx.Store], **settings: Any) -> dict[str, dict[str, float]]:
    """The same of plain classifiers on standardised features: what is often done with frozen ones."""
    accuracies: dict[str, dict[str, float]] = {}
    for clf in CLASSIFIERS:
        for store in stores:
            card = featx.fit(store, clf, reduce="none", **settings).card
            accuracies.setdefault(clf, {})[store.fingerprint.backbone] = 100 * card.best.accuracy
    return accuracies


def look_alikes(store: featx.Store, parts: tuple[str, ...] = ()) -> dict[str, float]:
    """Recall@1, precision@10 and mean average precision of the label among the named parts, in per cent."""
    rows = [i for i, part in enumerate(store.columns["part"]) if not parts or part in parts]
    ids = [store.ids[i] for i in rows]
    labels = [store.labels[i] for i in rows]
    quality = measure(store.features[np.array(rows)], labels, [None] * len(rows), ids)
    names = {"recall@1": "recall_at_1", "precision@10": "precision_at_10", "mAP": "map"}
    return {name: 100 * float(quality[key]["value"]) for name, key in names.items()}


def speed(describe: Describe, images: list[Image.Image], rounds: int = 5) -> float:
    """Images per second, preparation included: the best of several rounds."""
    describe(images)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        describe(images)
        times.append(time.perf_counter() - start)
    return len(images) / min(times)


def by_featx(kind: str) -> Describe:
    """A backbone as users get it."""
    backbone = featx.open_backbone(kind, device="cpu")
    return lambda images: backbone.features([backbone.prepare(image) for image in images])


def by_torchvision(name: str) -> Describe:
    """A network as torchvision has it, untrained, for its speed alone."""
    network = torchvision.models.get_model(name).eval()
    transform = torchvision.models.get_model_weights(name).IMAGENET1K_V1.transforms()

    def describe(images: list[Image.Image]) -> Any:
        with torch.inference_mode():
            return network(torch.stack([transform(image) for image in images]))

    return describe


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grocery", type=Path, required=True)
    parser.add_argument("--clothing", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True, help="squeezenet1_0 state dict")
    parser.add_argument("--stores", type=Path, help="keep the features here")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.stores or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = measured(options, folder)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    columns = list(dict.fromkeys(name for row in figures.values() for name in row))
    print("| |" + "|".join(columns) + "|\n|---|" + "---|" * len(columns))
    for name, row in figures.items():
        cells = [f"{row[column]:.1f}" if column in row else "" for column in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")


def measured(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Each figure's name with its value for each kind of features."""
    lists = write_lists(options.grocery, options.clothing, folder)
    weights = {"builtin": None, "squeezenet1_0": options.teacher, "colour": None}
    stores = {kind: stores_of(kind, lists, folder, path) for kind, path in weights.items()}
    figures: dict[str, dict[str, float]] = {}
    questions: dict[str, tuple[str, dict[str, Any]]] = {
        "val, 81 fine classes": ("grocery", {"test": ["val"]}),
        "val, 42 coarse classes": ("grocery", {"test": ["val"], "level": "coarse"}),
        "transfer, 4 classes": ("transfer", {}),
    }
    for question, (name, settings) in questions.items():
        accuracies = accuracy([kept[name] for kept in stores.values()], **settings)
        for clf, row in accuracies.items():
            figures[f"{question}, {clf}"] = row
        for clf, row in standardised([kept[name] for kept in stores.values()], **settings).items():
            figures[f"{question}, {clf}, standardised features"] = row
    for question, name, parts in (
        ("val photos", "grocery", ("val",)),
        ("transfer photos", "transfer", ()),
    ):
        for kind, kept in stores.items():
            for metric, value in look_alikes(kept[name], parts).items():
                figures.setdefault(f"{question}, {metric}", {})[kind] = value
    images = [featx.read_photo(source.path).image for source in grocery_sources(options.grocery)[:32]]
    pace = {
        "builtin": by_featx("builtin"),
        "squeezenet1_0": by_torchvision("squeezenet1_0"),
        "colour": by_featx("colour"),
        "resnet50": by_torchvision("resnet50"),
    }
    figures["photos a second"] = {name: speed(describe, images) for name, describe in pace.items()}
    return figures


if __name__ == "__main__":
    main()
