"""The confusion matrix and the map as images: a dot for each cell, a dot for each photo."""

from __future__ import annotations

import base64
import io

import numpy as np

from featx.reporting.confusion import matrix_of
from featx.reporting.records import CatalogueMap, Confusion

RIGHT, WRONG = (120, 124, 130), (213, 94, 0)
# Distinguishable with the common kinds of colour blindness (Okabe and Ito), then the same colours as rings.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c7ae6", "#b8a800")


def matrix_png(confusion: Confusion, side: int = 0) -> bytes:
    """The whole matrix in clustered order, transparent where nothing is; grown to `side` dots when smaller."""
    from PIL import Image

    order = confusion.order
    matrix = matrix_of(confusion)[np.ix_(order, order)].astype(float)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    pixels = np.zeros((*matrix.shape, 4), dtype=np.uint8)
    pixels[..., :3] = WRONG
    pixels[np.arange(len(matrix)), np.arange(len(matrix)), :3] = RIGHT
    pixels[..., 3] = np.where(matrix > 0, 70 + 185 * np.sqrt(shares), 0).astype(np.uint8)
    image = Image.fromarray(pixels)
    if side and len(matrix) and len(matrix) < side:
        grown = len(matrix) * (side // len(matrix))
        image = image.resize((grown, grown), Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def on_white(png: bytes) -> bytes:
    """The same image without transparency."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGBA")
    file = io.BytesIO()
    Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB").save(file, "PNG", optimize=True)
    return file.getvalue()


def map_png(drawn: CatalogueMap, side: int = 1400) -> bytes:
    """The map of the catalogue, coloured by category."""
    from PIL import Image, ImageDraw

    points = points_of(drawn)
    image = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(image)
    radius = max(2.0, min(9.0, 260 / max(len(points), 1) ** 0.5))
    for x, y, category, _ in points:
        colour = "#9a9ca1" if category == 65535 else COLOURS[int(category) % len(COLOURS)]
        cx, cy = 20 + x / 65534 * (side - 40), 20 + y / 65534 * (side - 40)
        box = (cx - radius, cy - radius, cx + radius, cy + radius)
        if category != 65535 and int(category) // len(COLOURS) % 2:
            pen.ellipse(box, outline=colour, width=max(2, int(radius / 2)))
        else:
            pen.ellipse(box, fill=colour)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def points_of(drawn: CatalogueMap) -> np.ndarray:
    """The packed points again: x, y, category, tile."""
    return np.frombuffer(base64.b64decode(drawn.points), dtype="<u2").reshape(-1, 4)
