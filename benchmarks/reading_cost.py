"""What reading the text on one photo costs: CPU milliseconds on one core, of photos with text and without.

    python benchmarks/reading_cost.py FOLDER [--photos 60] [--seed 0]

Opening and decoding the photo is not counted. The last line is the dearest photo there is: a page full of long lines.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import featx
from featx.text import rapid_reader
from featx.text.reader import open_reader


def page() -> np.ndarray:
    """More lines than are read, in two columns, each as wide as the reader takes one."""
    image = Image.new("RGB", (960, 960), "white")
    drawing, font = ImageDraw.Draw(image), ImageFont.load_default(size=16)
    for i in range(38):
        for left in (8, 484):
            drawing.text((left, 4 + 25 * i), "HAVREDRYCK mellanmjolk 1,5 % vanilj HAVREDRYCK", fill="black", font=font)
    return np.asarray(image)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rapid_reader.cores = lambda: 1
    reader = open_reader()
    paths = sorted(options.folder.rglob("*.jpg"))
    some = random.Random(options.seed).sample(paths, min(options.photos, len(paths)))
    images = [np.asarray(featx.read_photo(path).image) for path in some]
    reader.read(images[:2])  # compiled for these shapes
    spent: dict[str, list[float]] = {"with text": [], "without text": []}
    for image in images:
        begun = time.process_time()
        lines = reader.read([image])[0]
        spent["with text" if lines else "without text"].append(1000 * (time.process_time() - begun))
    print(f"{options.folder}: {len(images)} photos, longer side {statistics.median(max(i.shape) for i in images):.0f}")
    for what, costs in spent.items():
        if costs:
            print(f"{what:13} {len(costs):4} photos   mean {np.mean(costs):4.0f} ms   90% below "
                  f"{np.quantile(costs, 0.9):4.0f} ms   longest {max(costs):4.0f} ms")  # fmt: skip
    begun = time.process_time()
    lines = reader.read([page()])[0]
    print(f"a page of 76 lines: {len(lines)} of them read in {time.process_time() - begun:.1f} CPU s")


if __name__ == "__main__":
    main()
