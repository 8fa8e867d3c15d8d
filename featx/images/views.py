"""Views of a photo: crops and mirrors that become rows of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


def view_of(image: Image.Image, digest: str, view: int, seed: int) -> Image.Image:
    """A flipped or cropped view of a photo; the same for the same photo, view and seed, in any order."""
    random = np.random.default_rng([seed, view, int(digest[:16], 16)])
    if view % 2:
        from PIL import ImageOps

        image = ImageOps.mirror(image)
    if view > 1:
        width, height = image.size
        share = float(random.uniform(0.7, 0.95))
        w, h = max(1, round(width * share)), max(1, round(height * share))
        left, top = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
        image = image.crop((left, top, left + w, top + h))
    return image
