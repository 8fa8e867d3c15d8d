"""Regions measured on the photo itself: what is lost when a part of it is blurred, by the whole classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pillow
from PIL import ImageFilter
from PIL.Image import Image

from featx.explanation.regions import GRID, Cells, Regions

BLURRED = "blurred"
# Windows of WINDOW x WINDOW cells, one at each place of a grid of SIDE x SIDE over the photo, its rim included.
SIDE, WINDOW = 12, 2
# Larger photos are shrunk first: no network sees more of them, and mixing would take longer than computing.
LONGEST = 384
# Blurred until no detail is left, and the surroundings look as they did. A plain colour would be a mark of its own.
BLUR = 0.1

# The log-odds of the category against the runner-up, for some photos.
LogOdds = Callable[[Sequence[Image]], NDArray[np.float64]]


def fine_regions(image: Image, log_odds: LogOdds) -> Regions:
    """For each cell what is lost, on average over the windows that hold it, when a window is blurred."""
    sharp, blurred = sharp_and_blurred(image)
    windows = _windows()
    odds = log_odds([sharp, *(blurred_where(sharp, blurred, window) for window in windows)])
    lost = np.tensordot(odds[0] - odds[1:], windows, axes=1) / windows.sum(axis=0)
    return Regions(_enlarged(lost / WINDOW**2), BLURRED)


def sharp_and_blurred(image: Image) -> tuple[Image, Image]:
    """A photo no larger than it needs to be, and the same without its details."""
    sharp = image.convert("RGB")
    sharp.thumbnail((LONGEST, LONGEST))
    return sharp, sharp.filter(ImageFilter.GaussianBlur(BLUR * max(sharp.size)))


def blurred_where(sharp: Image, blurred: Image, cells: NDArray[np.bool_]) -> Image:
    """The photo, blurred in some cells of a grid over it."""
    mask = pillow.fromarray((cells * 255).astype(np.uint8)).resize(sharp.size, pillow.Resampling.NEAREST)
    return pillow.composite(blurred, sharp, mask)


def _windows() -> NDArray[np.bool_]:
    """The cells of each window; those at the rim reach over it, so that every cell is in as many."""
    starts = range(1 - WINDOW, SIDE)
    windows = np.zeros((len(starts), len(starts), SIDE, SIDE), dtype=bool)
    for i, y in enumerate(starts):
        for j, x in enumerate(starts):
            windows[i, j, max(y, 0) : y + WINDOW, max(x, 0) : x + WINDOW] = True
    return windows.reshape(-1, SIDE, SIDE)


def _enlarged(cells: Cells) -> Cells:
    """Cells on the grid of all regions; their sum stays."""
    large = pillow.fromarray(cells.astype(np.float32)).resize((GRID, GRID), pillow.Resampling.BILINEAR)
    return np.asarray(large, dtype=np.float64) * (SIDE / GRID) ** 2
