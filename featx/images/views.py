"""Views of a photo: crops and mirrors that become rows of their own."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Augmentation:
    """How views for training differ from a photo: the least share of it that a crop keeps, mirrors, and light.

    Hues stay as they are: the colour of a product often is its category.
    """

    name: str
    least: float
    mirrored: bool = True
    light: float = 0.0
    saturation: float = 0.0
    degrees: float = 0.0

    def view(self, image: Image.Image, digest: str, number: int, seed: int) -> Image.Image:
        """A view of a photo; the same for the same photo, number and seed, in any order and in any process."""
        random = np.random.Generator(np.random.Philox(key=[seed << 32 | number, int(digest[:16], 16)]))
        image = self._cropped(image, random)
        if self.mirrored and random.random() < 0.5:
            from PIL import ImageOps

            image = ImageOps.mirror(image)
        return self._lit(image, random)

    def _cropped(self, image: Image.Image, random: np.random.Generator) -> Image.Image:
        from PIL import Image as images

        angle = float(random.uniform(-self.degrees, self.degrees))
        if angle:
            image = image.rotate(angle, images.Resampling.BILINEAR, fillcolor=(255, 255, 255))
        width, height = image.size
        share = float(random.uniform(self.least, 1)) ** 0.5
        ratio = float(np.exp(random.uniform(-RATIO, RATIO)))
        w = min(width, max(1, round(width * share * ratio)))
        h = min(height, max(1, round(height * share / ratio)))
        left, top = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
        return image.crop((left, top, left + w, top + h))

    def _lit(self, image: Image.Image, random: np.random.Generator) -> Image.Image:
        """Light and colour are changed on a small copy: a network sees no more of it."""
        from PIL import ImageEnhance

        changes = (
            (ImageEnhance.Brightness, self.light),
            (ImageEnhance.Contrast, self.light),
            (ImageEnhance.Color, self.saturation),
        )
        if self.light or self.saturation:
            image = image.copy()
            image.thumbnail((SEEN, SEEN))
        for enhance, most in changes:
            factor = float(random.uniform(1 - most, 1 + most))
            image = enhance(image).enhance(factor) if most else image
        return image


# Crops are up to a third wider or higher than the photo is; natural logarithms, halved for each side.
RATIO = float(np.log(4 / 3)) / 2
# Pixels of the longer side that are left of a view before its light is changed.
SEEN = 640
AUGMENTATIONS = {
    augmentation.name: augmentation
    for augmentation in (
        Augmentation("default", 0.35, light=0.3, saturation=0.2),
        Augmentation("light", 0.7, light=0.1),
        Augmentation("strong", 0.25, light=0.4, saturation=0.4, degrees=10),
    )
}
