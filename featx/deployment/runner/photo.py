"""A photo's bytes in, the bytes that each network takes out. colours.py makes the pixels upright, sRGB and opaque."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from colours import orientation_of, to_rgb, upright  # type: ignore[import-not-found]
from PIL import Image, UnidentifiedImageError

FORMATS = {"JPEG": "JPEG", "PNG": "PNG", "GIF": "GIF", "TIFF": "TIFF", "WEBP": "WebP", "BMP": "BMP"}
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".webp", ".bmp")
TURNED = (5, 6, 7, 8)
MOST_PIXELS = 50_000_000
Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow refuses twice as many, and warns of fewer
warnings.filterwarnings("ignore", module=r"PIL\.")


def photos_in(names: Iterable[str]) -> Iterator[Path]:
    """The photos that are named, and those in the folders that are named."""
    for path in map(Path, names):
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        yield from inside


def bytes_of(path: Path) -> bytes:
    """The bytes of a file; a pipe or a device may have no end."""
    if path.exists() and not path.is_file():
        raise ValueError("this is a folder" if path.is_dir() else "this is no regular file")
    return path.read_bytes()


def decode(data: bytes, size: list[int] | None) -> Any:
    """The photo upright, in sRGB, on white; a large JPEG may come out smaller, but not below `size`."""
    with _open(data) as opened:
        kind = str(opened.format)
        if kind == "JPEG" and size:
            width, height = reversed(size) if orientation_of(opened) in TURNED else size
            opened.draft(None, (width, height))
        opened.load()
        return upright(to_rgb(opened, FORMATS[kind], data), orientation_of(opened))


def _open(data: bytes) -> Any:
    if not data:
        raise ValueError("the file is empty")
    try:
        return Image.open(io.BytesIO(data), formats=list(FORMATS))
    except Image.DecompressionBombError:
        raise ValueError(f"more than {MOST_PIXELS // 1_000_000} million pixels") from None
    except UnidentifiedImageError:
        raise ValueError(f"no photo in a format that is read: {', '.join(FORMATS.values())}") from None


def prepare(image: Any, form: dict[str, Any]) -> np.ndarray:
    """The photo, or the middle of it, as a square of bytes."""
    side, resize, resampling = form["side"], form["resize"], Image.Resampling[form["resampling"].upper()]
    if resize is None:
        return np.array(image.resize((side, side), resampling, reducing_gap=form["reducing_gap"]))
    width, height = image.size
    across, down = (resize, int(resize * height / width)) if width <= height else (int(resize * width / height), resize)
    left, top = round((across - side) / 2), round((down - side) / 2)
    x, y = width / across, height / down
    box = (left * x, top * y, (left + side) * x, (top + side) * y)
    return np.array(image.resize((side, side), resampling, box=box))
