"""Does `featx inspect` find faults? Faults drawn on real photos, and how often good photos are called unlike.

    python benchmarks/inspection.py FOLDER... [--good 40] [--new 40] [--seed 0]

Each folder has photos of one kind of product. Some are the good ones, the others are new: as they are, and with a
fault drawn on each. The first line says how many of the new photos are called unlike as they are, where 10 % are
allowed. Then, for each kind of fault: the area under the ROC curve (AUROC) against the new photos as they are, the
share that is called unlike, and the share whose most unlike place is in the fault.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from featx.images import read_photo
from featx.inspection.inspector import Inspection, Inspector

Box = tuple[float, float, float, float]
FALSE_ALARMS = 0.1


def scratch(image: Image.Image, random: np.random.Generator) -> tuple[Image.Image, Box]:
    """A bright line with a dark edge, a third of the photo long."""
    size = np.array(image.size)
    start = size * random.uniform(0.3, 0.5, 2)
    angle = random.uniform(0, np.pi)
    end = start + min(size) * 0.33 * np.array([np.cos(angle), np.sin(angle)])
    width = max(2, round(min(size) / 80))
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    pen.line([*start, *end], fill=(30, 30, 30), width=2 * width)
    pen.line([*start, *end], fill=(235, 235, 230), width=width)
    return drawn, _box(start, end, size)


def stain(image: Image.Image, random: np.random.Generator) -> tuple[Image.Image, Box]:
    """A soft brown blot, a sixth of the photo wide."""
    size = np.array(image.size)
    middle, radius = size * random.uniform(0.35, 0.65, 2), min(size) / 12
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse([*(middle - radius), *(middle + radius)], fill=200)
    mask = mask.filter(ImageFilter.GaussianBlur(float(radius / 4)))
    return Image.composite(Image.new("RGB", image.size, (80, 50, 25)), image, mask), _box(
        middle - radius, middle + radius, size
    )


def missing(image: Image.Image, random: np.random.Generator) -> tuple[Image.Image, Box]:
    """A part of a fifth of the photo's side replaced by its rim."""
    size = np.array(image.size)
    corner = size * random.uniform(0.3, 0.5, 2)
    other = corner + size / 5
    pixels = np.asarray(image)
    rim = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]), axis=0)
    drawn = image.copy()
    ImageDraw.Draw(drawn).ellipse([*corner, *other], fill=tuple(rim.astype(int).tolist()))
    return drawn, _box(corner, other, size)


def _box(a: np.ndarray, b: np.ndarray, size: np.ndarray) -> Box:
    """The fault in fractions of the photo, with a little room: a place is as coarse as a patch."""
    low, high = np.minimum(a, b) / size - 0.06, np.maximum(a, b) / size + 0.06
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


FAULTS: dict[str, Callable[[Image.Image, np.random.Generator], tuple[Image.Image, Box]]] = {
    "scratch": scratch, "stain": stain, "missing part": missing,
}  # fmt: skip


def auroc(faulty: np.ndarray, good: np.ndarray) -> float:
    """How often a faulty photo is more unlike than a good one."""
    return float(np.mean((faulty[:, None] > good) + 0.5 * (faulty[:, None] == good)))


def inspected(inspector: Inspector, images: list[Image.Image]) -> list[Inspection]:
    """Each photo, compared."""
    return [result for result in inspector.stream(images) if isinstance(result, Inspection)]


def measure(folder: Path, n_good: int, n_new: int, seed: int) -> None:
    """Print the table of one kind of product."""
    random = np.random.default_rng(seed)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    shuffled = [paths[i] for i in random.permutation(len(paths))]
    inspector = Inspector(shuffled[:n_good], false_alarms=FALSE_ALARMS)
    new = [read_photo(path).image.convert("RGB") for path in shuffled[n_good : n_good + n_new]]
    if not new:
        print(f"{folder.name}: no more than {n_good} photos, so none is new")
        return
    good = inspected(inspector, new)
    scores = np.array([result.unlikeness for result in good])
    alarms = np.mean([result.is_unlike for result in good])
    print(f"{folder.name}: {n_good} good photos, {len(new)} new ones, {alarms:.0%} of these called unlike")
    for name, draw in FAULTS.items():
        drawn = [draw(image, random) for image in new]
        results = inspected(inspector, [image for image, _ in drawn])
        inside = np.mean(
            [
                left <= result.where[0] <= right and top <= result.where[1] <= bottom
                for result, (_, (left, top, right, bottom)) in zip(results, drawn, strict=True)
            ]
        )
        area = auroc(np.array([result.unlikeness for result in results]), scores)
        found = np.mean([result.is_unlike for result in results])
        print(f"  {name:14} AUROC {area:.3f}   called unlike {found:4.0%}   place right {inside:4.0%}", flush=True)


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folders", nargs="+", type=Path)
    arguments.add_argument("--good", type=int, default=40)
    arguments.add_argument("--new", type=int, default=40)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    for folder in given.folders:
        measure(folder, given.good, given.new, given.seed)


if __name__ == "__main__":
    main()
