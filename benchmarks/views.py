"""Many rows from few photos: crops and mirror images of each, drawn with a seed, and a table that keeps them together.

    python benchmarks/views.py LIST.csv views --views 7
    featx extract views/list.csv --store views.h5

LIST.csv has the columns `path` and `label`, and `product` where there is one. Crops of one photo are one product, so
that folds never part them. For timing classifiers on as many rows as a large shop has, on features of real photos.
"""

from __future__ import annotations

import argparse
import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

LEAST, SIDE = 0.55, 348


def views_of(path: Path, count: int, seed: list[int]) -> list[Image.Image]:
    """The photo itself, and crops of at least half its height and width, every other one mirrored."""
    with Image.open(path) as opened:
        photo = ImageOps.exif_transpose(opened).convert("RGB")
    random = np.random.default_rng(seed)
    views = [photo]
    for number in range(1, count):
        share = random.uniform(LEAST, 1, 2)
        width, height = (max(1, round(side * part)) for side, part in zip(photo.size, share, strict=True))
        left, top = (int(random.integers(0, room + 1)) for room in (photo.width - width, photo.height - height))
        crop = photo.crop((left, top, left + width, top + height))
        views.append(ImageOps.mirror(crop) if number % 2 else crop)
    return views


def main() -> None:
    """Draw the views and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--views", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with options.table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    options.out.mkdir(parents=True, exist_ok=True)

    def draw(number: int) -> list[list[str]]:
        row = rows[number]
        path = options.table.parent / row["path"]
        rows_of_photo = []
        for view, image in enumerate(views_of(path, options.views, [options.seed, number])):
            image.thumbnail((SIDE, SIDE))
            image.save(options.out / f"{number:06d}_{view}.jpg", quality=92)
            rows_of_photo.append([f"{number:06d}_{view}.jpg", row["label"], row.get("product") or f"photo {number}"])
        return rows_of_photo

    with ThreadPoolExecutor() as pool:
        drawn = [row for drawn_rows in pool.map(draw, range(len(rows))) for row in drawn_rows]
    with (options.out / "list.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "label", "product"], *drawn])
    print(f"{len(drawn):,} views of {len(rows):,} photos in {options.out}")


if __name__ == "__main__":
    main()
