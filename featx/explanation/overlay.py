"""Regions drawn over a photo: orange where they speak for the category, blue where for the runner-up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pillow
from PIL import ImageDraw, ImageOps
from PIL.Image import Image

# Two colours that people with any colour vision tell apart.
FOR, AGAINST = (230, 97, 1), (33, 102, 172)
STRONGEST = 0.65
SMOOTH = 12


def overlay(image: Image, cells: NDArray[np.float64], side: int, *, strongest: float = 0.0) -> Image:
    """The photo, `side` long, greyed, with the cells over it; the strongest cell is the least transparent.

    Cells weaker than `strongest` stay as transparent as they are beside it.
    """
    grey = fitted(image, side).convert("L").convert("RGB")
    values = np.asarray(coarse(cells).resize(grey.size, pillow.Resampling.BICUBIC))
    most = max(float(np.abs(values).max()), strongest) or 1.0
    strength = pillow.fromarray(np.rint(255 * STRONGEST * np.sqrt(np.abs(values) / most)).astype(np.uint8))
    colours = pillow.new("RGB", grey.size, AGAINST)
    colours.paste(FOR, mask=pillow.fromarray(np.uint8(255) * (values > 0)))
    return pillow.composite(colours, grey, strength)


def coarse(cells: NDArray[np.float64]) -> Image:
    """Fewer cells, to be enlarged without the hard borders of a network's own grid, which say nothing."""
    return pillow.fromarray(cells.astype(np.float32)).resize((SMOOTH, SMOOTH), pillow.Resampling.BOX)


def fitted(image: Image, side: int) -> Image:
    """The photo, its longer side `side` long."""
    return ImageOps.contain(image.convert("RGB"), (side, side), pillow.Resampling.BICUBIC)


def numbered(image: Image, spots: Sequence[tuple[float, float]]) -> Image:
    """The image with numbered circles at these points, in fractions of its width and height."""
    drawn = image.copy()
    pen, radius = ImageDraw.Draw(drawn), max(image.size) / 28
    for number, (x, y) in enumerate(spots, start=1):
        middle = x * image.width, y * image.height
        pen.circle(middle, radius, fill="white", outline="black", width=2)
        pen.text(middle, str(number), fill="black", anchor="mm", font_size=1.3 * radius)
    return drawn


def beside(images: Sequence[Image], gap: int = 12) -> Image:
    """Images side by side on white."""
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    whole = pillow.new("RGB", (width, max(image.height for image in images)), "white")
    left = 0
    for image in images:
        whole.paste(image, (left, (whole.height - image.height) // 2))
        left += image.width + gap
    return whole
