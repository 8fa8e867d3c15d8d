"""A part of a photo."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from featx.errors import FeatxError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Crop:
    """A part of a photo: left, top, width and height, in pixels or as fractions of the photo."""

    left: float
    top: float
    width: float
    height: float
    shares: bool

    @classmethod
    def of(cls, text: str) -> Crop:
        """Read `x,y,w,h`: whole numbers are pixels, numbers up to 1 with a point are shares."""
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 4 or not all(re.fullmatch(r"\d+|\d*\.\d+|\d+\.", part) for part in parts):
            raise FeatxError(
                "bad-flag", f"cannot read the crop `{text}`", "left, top, width, height: `--crop 40,0,200,180`"
            )
        shares = any("." in part for part in parts)
        left, top, width, height = (float(part) for part in parts)
        if width <= 0 or height <= 0:
            raise FeatxError("bad-flag", f"the crop `{text}` is empty", "give it a width and a height")
        if shares and (left + width > 1.0001 or top + height > 1.0001):
            raise FeatxError("bad-flag", f"the crop `{text}` extends beyond the photo", "fractions go from 0 to 1")
        return cls(left, top, width, height, shares)

    def cut(self, image: Image.Image, name: str) -> Image.Image:
        """That part of an image."""
        across, down = image.size if self.shares else (1, 1)
        box = (
            round(self.left * across),
            round(self.top * down),
            round((self.left + self.width) * across),
            round((self.top + self.height) * down),
        )
        if box[2] > image.width or box[3] > image.height or box[2] <= box[0] or box[3] <= box[1]:
            raise FeatxError(
                "bad-flag",
                f"the crop extends beyond `{name}`, which is {image.width} × {image.height} pixels",
                "fractions of the photo work for every size: `--crop 0.25,0.25,0.5,0.5`",
            )
        return image.crop(box)
