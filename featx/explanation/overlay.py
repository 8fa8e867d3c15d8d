"""Regions drawn over a photo: orange where they speak for the category, blue where for the runner-up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

# Two colours that people with any colour vision tell apart.
FOR, AGAINST = np.array([230, 97, 1]), np.array([33, 102, 172])
STRONGEST = 0.65
SMOOTH = 12


def overlay(image: Image.Image, cells: NDArray[np.float64], side: int) -> Image.Image:
    """The photo, `side` long, greyed, with the cells over it; the strongest cell is the least transparent."""
    shown = fitted(image, side)
    grey = np.asarray(shown.convert("L").convert("RGB"), dtype=np.float64)
    # Cells of a network's own grid have hard borders, which say nothing.
    coarse = Image.fromarray(cells.astype(np.float32)).resize((SMOOTH, SMOOTH), Image.Resampling.BOX)
    values = np.asarray(coarse.resize(shown.size, Image.Resampling.BICUBIC), dtype=np.float64)
    values = values / (float(np.abs(values).max()) or 1.0)
    strength = STRONGEST * np.sqrt(np.abs(values))[..., None]
    colours = np.where(values[..., None] > 0, FOR, AGAINST)
    return Image.fromarray(np.rint(grey * (1 - strength) + colours * strength).clip(0, 255).astype(np.uint8))


def fitted(image: Image.Image, side: int) -> Image.Image:
    """The photo, its longer side `side` long."""
    return ImageOps.contain(image.convert("RGB"), (side, side), Image.Resampling.BICUBIC)
