"""The photos a training run learns from, and those kept out of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

SHORT_SIDE = 240
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
