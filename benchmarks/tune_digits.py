"""Tiny grey pictures through a network for large photos: scikit-learn's digits, drawn as PNG files of 8 × 8 pixels.

    python benchmarks/tune_digits.py [-b mobilenet_v2] [--weights random] [--size 32] [--photos 1797] [--minutes 4]

The digits come with scikit-learn; nothing is downloaded. One in five judges, another only tests. `--weights` takes a
file of ImageNet weights where there is one; random weights show what tuning makes of nothing, and `--from-scratch`
trains their batch normalisation too. `--weights usual` takes those of the backbone: `-b efficientnet_lite0`.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from featx.finetuning import TuneOptions, tune

PARTS = ("train", "train", "train", "val", "test")


def draw_digits(folder: Path, photos: int) -> Path:
    """The first digits as pictures, and a table that says what they are; each is a product of its own."""
    digits = load_digits()
    (folder / "digits").mkdir(parents=True)
    with (folder / "digits.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "label", "product", "split"])
        for i, (pixels, digit) in enumerate(zip(digits.images[:photos], digits.target, strict=False)):
            name = f"digits/{i:04}.png"
            Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save(folder / name)
            rows.writerow([name, f"digit {digit}", f"{i:04}", PARTS[i % len(PARTS)]])
    return folder / "digits.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-b", "--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--photos", type=int, default=1797)
    parser.add_argument("--depth", default="2")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--from-scratch", action="store_true")
    asked = parser.parse_args()
    options = TuneOptions(
        depth=asked.depth,
        views=asked.views,
        epochs=asked.epochs,
        minutes=asked.minutes,
        val="val",
        augment="light",
        size=asked.size,
        from_scratch=asked.from_scratch,
    )
    with tempfile.TemporaryDirectory() as folder:
        listed = draw_digits(Path(folder), asked.photos)
        begun = time.process_time()
        weights = None if asked.weights == "usual" else asked.weights
        tuned = tune(str(listed), backbone=asked.backbone, weights=weights, name="digits", options=options)
        seconds = time.process_time() - begun
    print(f"{asked.backbone} at {asked.size} pixels, {asked.photos:,} digits, {seconds:.0f} CPU seconds")
    for name, reached in (
        ("before", tuned.before),
        ("after", tuned.after),
        ("from random numbers", tuned.card.scratch),
    ):
        if reached is not None:
            print(f"{name}: {reached.accuracy:.1%} ({reached.low:.1%} to {reached.high:.1%}) of {reached.n}")
    if tuned.card.tested is not None:
        before, after = tuned.card.tested
        print(f"test photos: {before.accuracy:.1%} before, {after.accuracy:.1%} after, of {after.n}")


if __name__ == "__main__":
    main()
