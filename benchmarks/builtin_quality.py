"""The built-in backbone beside ImageNet's squeezenet1_0 and a colour histogram, on real photos.

    python benchmarks/builtin_quality.py --grocery DIR --clothing DIR --teacher FILE

Prints the table of the model card. The network learned from grocery `train` less the last sixth of each class's
numbering, and from six of the ten clothing classes. What is measured:

- val: classifier trained on all of `train`, scored on the official `val` photos (the same shops, bursts shared);
- held-out: classifier trained on the part the network saw, scored on the last sixth of each class;
- transfer: five folds over the four clothing classes the network never saw;
- recall@1 and precision@10 of the label, without training: held-out photos asked among the seen part, and each
  transfer photo among the others; for raw features and for standardised ones.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# A program started by its path sees its own folder only, and the recipe is not installed with the package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from training.photos import Source, folder_sources, grocery_sources

STRENGTHS = (0.01, 0.1, 1.0)
Describe = Callable[[list[Image.Image]], np.ndarray]


def squeezenet(path: Path) -> Describe:
    """The reference: pooled features of ImageNet's squeezenet1_0, 512 numbers."""
    network = torchvision.models.squeezenet1_0()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    features = network.features.eval()
    transform = torchvision.models.SqueezeNet1_0_Weights.IMAGENET1K_V1.transforms()

    def describe(images: list[Image.Image]) -> np.ndarray:
        with torch.inference_mode():
            result: np.ndarray = features(torch.stack([transform(image) for image in images])).mean((2, 3)).numpy()
            return result

    return describe


def histogram(images: list[Image.Image]) -> np.ndarray:
    """The floor: a joint histogram of hue, saturation and value, square-rooted."""
    rows = []
    for image in images:
        h, s, v = np.asarray(image.resize((128, 128)).convert("HSV"), dtype=np.int64).reshape(-1, 3).T
        places = (h * 12 // 256) * 16 + (s * 4 // 256) * 4 + v * 4 // 256
        rows.append(np.sqrt(np.bincount(places, minlength=192) / places.size))
    return np.stack(rows).astype(np.float32)


def builtin() -> Describe:
    """The built-in backbone as users get it."""
    from featx.backbones.builtin import open_builtin

    backbone = open_builtin(device="cpu")

    def describe(images: list[Image.Image]) -> np.ndarray:
        return backbone.features([backbone.prepare(image) for image in images])

    return describe


def read(path: Path) -> Image.Image:
    """Decode one photo in RGB."""
    with Image.open(path) as image:
        return image.convert("RGB")


def compute(describe: Describe, sources: list[Source], batch: int = 32) -> np.ndarray:
    """Features of all photos."""
    rows = []
    for start in range(0, len(sources), batch):
        rows.append(describe([read(source.path) for source in sources[start : start + batch]]))
    return np.concatenate(rows)


def accuracy(x: np.ndarray, train: np.ndarray, test: np.ndarray, fine: np.ndarray, coarse: np.ndarray) -> list[float]:
    """Best over the strengths of fine and coarse accuracy, each with its own classifier, in per cent."""
    found = []
    for labels in (fine, coarse):
        scores = []
        for strength in STRENGTHS:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
            scores.append(100 * model.fit(x[train], labels[train]).score(x[test], labels[test]))
        found.append(max(scores))
    return found


def retrieval(queries: np.ndarray, asked: np.ndarray, rows: np.ndarray, held: np.ndarray, *, same: bool) -> list[float]:
    """Recall@1 and precision@10 of the label by cosine similarity."""
    unit = [part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in (queries, rows)]
    alike = unit[0] @ unit[1].T
    if same:
        np.fill_diagonal(alike, -np.inf)
    order = np.argsort(-alike, axis=1)[:, :10]
    hits = held[order] == asked[:, None]
    return [100 * float(hits[:, 0].mean()), 100 * float(hits.mean())]


class Photos:
    """The photos of the protocol and their parts."""

    def __init__(self, grocery: Path, clothing: Path) -> None:
        """List the photos; the coarse labels come from grocery's own lists."""
        self.grocery = grocery_sources(grocery)
        self.transfer = [source for source in folder_sources(clothing) if source.part == "transfer"]
        self.sources = self.grocery + self.transfer
        coarse: dict[str, str] = {}
        for part in ("train", "val"):
            for row in csv.reader((grocery / f"{part}.txt").read_text().splitlines(), skipinitialspace=True):
                coarse[f"grocery/{row[1]}"] = row[2]
        self.fine = np.array([source.label for source in self.sources])
        self.coarse = np.array([coarse.get(source.label, source.label) for source in self.sources])
        self.part = np.array([source.part for source in self.sources])

    def rows(self, *parts: str) -> np.ndarray:
        """Positions of the photos in the named parts."""
        return np.flatnonzero(np.isin(self.part, parts))


def measure(x: np.ndarray, photos: Photos) -> dict[str, float]:
    """All figures of one kind of features."""
    seen, held, transfer = photos.rows("train"), photos.rows("held-out"), photos.rows("transfer")
    result: dict[str, float] = {}
    everything = photos.rows("train", "gap", "held-out")
    result["val fine"], result["val coarse"] = accuracy(x, everything, photos.rows("val"), photos.fine, photos.coarse)
    result["held-out fine"], result["held-out coarse"] = accuracy(x, seen, held, photos.fine, photos.coarse)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    labels = photos.fine[transfer]
    result["transfer"] = max(
        100
        * float(
            cross_val_score(
                make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300)),
                x[transfer],
                labels,
                cv=folds,
            ).mean()
        )
        for strength in STRENGTHS
    )
    for kind, scaled in (("raw", x), ("standardised", StandardScaler().fit(x[seen]).transform(x))):
        one, ten = retrieval(scaled[held], photos.fine[held], scaled[seen], photos.fine[seen], same=False)
        result[f"grocery recall@1 {kind}"], result[f"grocery precision@10 {kind}"] = one, ten
        one, ten = retrieval(scaled[transfer], labels, scaled[transfer], labels, same=True)
        result[f"transfer recall@1 {kind}"], result[f"transfer precision@10 {kind}"] = one, ten
    return result


def speed(describe: Describe, images: list[Image.Image], rounds: int) -> float:
    """Images per second, preparation included: the best of several rounds."""
    describe(images)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        describe(images)
        times.append(time.perf_counter() - start)
    return len(images) / min(times)


def resnet50() -> Describe:
    """An untrained resnet50, for its speed alone."""
    network = torchvision.models.resnet50()
    network.fc = torch.nn.Identity()
    network.eval()
    transform = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()

    def describe(images: list[Image.Image]) -> np.ndarray:
        with torch.inference_mode():
            result: np.ndarray = network(torch.stack([transform(image) for image in images])).numpy()
            return result

    return describe


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grocery", type=Path, required=True)
    parser.add_argument("--clothing", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True, help="squeezenet1_0 state dict")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    photos = Photos(options.grocery, options.clothing)
    kinds = {"builtin": builtin(), "squeezenet1_0": squeezenet(options.teacher), "HSV histogram": histogram}
    figures = {name: measure(compute(describe, photos.sources), photos) for name, describe in kinds.items()}
    images = [read(source.path) for source in photos.sources[:32]]
    for name, describe in {**kinds, "resnet50": resnet50()}.items():
        figures.setdefault(name, {})["images/s"] = speed(describe, images, 5)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    print("| |" + "|".join(figures) + "|\n|---|" + "---|" * len(figures))
    for row in figures["builtin"]:
        cells = [f"{found[row]:.1f}" if row in found else "" for found in figures.values()]
        print(f"| {row} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
