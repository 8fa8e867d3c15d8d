"""The photos a training run learns from, and those kept out of it."""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

SHORT_SIDE = 240
# The network sees whole photos as squares, so the training keeps them as squares too.
SIDE = 256
HELD_OUT_CLOTHING = ("hat", "shoes", "shorts", "skirt")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True, slots=True)
class Source:
    """One photo file with the labels supervision may use (-1 where it has none)."""

    path: Path
    label: str
    part: str  # train | val | transfer


def grocery_sources(root: Path) -> list[Source]:
    """List the grocery photos of the official parts ``train`` and ``val``."""
    result: list[Source] = []
    for part in ("train", "val"):
        for line in (root / f"{part}.txt").read_text().splitlines():
            name, fine, _coarse = (field.strip() for field in line.split(","))
            result.append(Source(root / name, f"grocery/{fine}", part))
    return result


def folder_sources(root: Path) -> list[Source]:
    """List a folder of class folders; the held-out clothing classes are marked ``transfer``."""
    base = root / "train" if (root / "train").is_dir() else root
    result = []
    for path in sorted(base.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            label = path.parent.name
            part = "transfer" if label in HELD_OUT_CLOTHING else "train"
            result.append(Source(path, f"{root.name}/{label}", part))
    return result


def list_sources(roots: list[Path]) -> list[Source]:
    """List the photos below the given roots, each with the part it plays."""
    result: list[Source] = []
    for root in roots:
        result.extend(grocery_sources(root) if (root / "val.txt").exists() else folder_sources(root))
    return result


def open_small(path: Path, short_side: int = SHORT_SIDE) -> Image.Image:
    """Decode a photo upright in RGB with the given short side."""
    with Image.open(path) as opened:
        opened.draft("RGB", (short_side, short_side))
        image = ImageOps.exif_transpose(opened).convert("RGB")
    scale = short_side / min(image.size)
    size = (max(short_side, round(image.width * scale)), max(short_side, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC)


def open_all(sources: list[Source], threads: int) -> list[Image.Image]:
    """Decode all photos into memory."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda source: open_small(source.path), sources))


@dataclass(frozen=True, slots=True)
class Pictures:
    """Square pictures in memory, (n, side, side, 3) bytes, each with the name of its label, empty where it has none."""

    pixels: np.ndarray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.labels)


def squared(image: Image.Image, side: int = SIDE) -> Image.Image:
    """A whole picture as a square, its proportions given up."""
    return image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)


def open_square(path: Path, side: int = SIDE) -> Image.Image:
    """Decode a photo upright in RGB as a square."""
    with Image.open(path) as opened:
        opened.draft("RGB", (side * 5 // 4, side * 5 // 4))
        return squared(ImageOps.exif_transpose(opened).convert("RGB"), side)


def read_photos(roots: list[Path], threads: int, side: int = SIDE) -> Pictures:
    """Decode the training photos below some roots; a root may be a file that `pack` wrote."""
    packed = [root for root in roots if root.suffix == ".zip"]
    sources = [one for one in list_sources([root for root in roots if root not in packed]) if one.part == "train"]
    parts = [unpacked(root, threads, side) for root in packed]
    if sources:
        pixels = _decoded(lambda one: open_square(one.path, side), sources, threads)
        parts.append(Pictures(pixels, tuple(one.label for one in sources)))
    return Pictures(np.concatenate([part.pixels for part in parts]), sum((part.labels for part in parts), ()))


def pack(sources: list[Source], file: Path, threads: int, quality: int) -> None:
    """Write photos as small squares into one file, to take a training to another machine."""

    def webp(source: Source) -> bytes:
        held = io.BytesIO()
        open_square(source.path).save(held, "webp", quality=quality, method=4)
        return held.getvalue()

    with ThreadPoolExecutor(threads) as pool, zipfile.ZipFile(file, "w") as archive:
        names = [f"{number:06}.webp" for number in range(len(sources))]
        for name, data in zip(names, pool.map(webp, sources), strict=True):
            archive.writestr(name, data)
        table = io.StringIO()
        csv.writer(table).writerows((name, one.label) for name, one in zip(names, sources, strict=True))
        archive.writestr("labels.csv", table.getvalue())


def unpacked(file: Path, threads: int, side: int = SIDE) -> Pictures:
    """Decode what `pack` wrote."""
    with zipfile.ZipFile(file) as archive:
        rows = list(csv.reader(archive.read("labels.csv").decode().splitlines()))
        held = [archive.read(name) for name, _ in rows]
    pixels = _decoded(lambda data: squared(Image.open(io.BytesIO(data)).convert("RGB"), side), held, threads)
    return Pictures(pixels, tuple(label for _, label in rows))


def _decoded(decode: Callable[[Any], Image.Image], given: Iterable[Any], threads: int) -> np.ndarray:
    with ThreadPoolExecutor(threads) as pool:
        return np.stack(list(pool.map(lambda one: np.asarray(decode(one)), given)))


def main() -> None:
    """Pack the training photos of some folders."""
    parser = argparse.ArgumentParser(description="Write the training photos, small, into one file.")
    parser.add_argument("photos", type=Path, nargs="+", help="folders of photos")
    parser.add_argument("--out", type=Path, required=True, help="a .zip file")
    parser.add_argument("--quality", type=int, default=75, help="of WebP")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    sources = [one for one in list_sources(options.photos) if one.part == "train"]
    pack(sources, options.out, options.threads, options.quality)
    print(f"{len(sources)} photos, {options.out.stat().st_size / 1e6:.1f} MB: {options.out}")


if __name__ == "__main__":
    main()
