"""The preprocessing of torchvision's weights, on bytes: the pixels of `weights.transforms()`, in half the time.

A few pixels differ by one step of a byte, where rounding falls the other way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

# A photo may be decoded at a reduced scale as long as its shorter side stays this many times the needed length.
SPARE = 1.25


@dataclass(frozen=True)
class PhotoForm:
    """How an upright RGB photo becomes the bytes that a network takes, as a record for programs without featx.

    With `resize` the shorter side gets that length and the middle square is kept; without, the whole photo is squeezed.
    """

    side: int
    resampling: str
    resize: int | None = None
    reducing_gap: float | None = None


@dataclass(frozen=True)
class Preset:
    """Resize and crop the middle; the photo stays bytes, which are normalised where the network runs."""

    resize: int
    crop: int
    resampling: Image.Resampling
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, image: Image.Image) -> np.ndarray:
        """The middle of the photo: (crop, crop, 3), bytes."""
        width, height = image.size
        if width <= height:
            new_width, new_height = self.resize, int(self.resize * height / width)
        else:
            new_width, new_height = int(self.resize * width / height), self.resize
        # Only the part that the crop keeps is resized: its pixels are computed from the same ones as before.
        left, top = round((new_width - self.crop) / 2), round((new_height - self.crop) / 2)
        across, down = width / new_width, height / new_height
        box = (left * across, top * down, (left + self.crop) * across, (top + self.crop) * down)
        return np.array(as_rgb(image).resize((self.crop, self.crop), self.resampling, box=box))

    def sized(self, side: int) -> Preset:
        """The same for squares of another size; nothing of a square picture is cut off."""
        return replace(self, resize=side, crop=side)

    def __str__(self) -> str:
        """As torchvision writes the preset that does the same, which is how fingerprints know it."""
        way = self.resampling.name
        sides = f"crop_size=[{self.crop}] resize_size=[{self.resize}]"
        scales = f"mean={list(self.mean)} std={list(self.std)}"
        return f"ImageClassification( {sides} {scales} interpolation=InterpolationMode.{way} )"

    @property
    def form(self) -> PhotoForm:
        """The same as a record."""
        return PhotoForm(self.crop, self.resampling.name.lower(), resize=self.resize)

    @property
    def decode_size(self) -> tuple[int, int]:
        """The smallest upright image that features may be computed from."""
        side = round(SPARE * self.resize)
        return side, side


@dataclass(frozen=True)
class Squeezed:
    """Resize the whole photo to a square; it stays bytes, which are normalised where the network runs."""

    side: int
    resampling: Image.Resampling
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, image: Image.Image) -> np.ndarray:
        """The whole photo: (side, side, 3), bytes."""
        return np.array(as_rgb(image).resize((self.side, self.side), self.resampling))

    def __str__(self) -> str:
        scales = f"mean={list(self.mean)} std={list(self.std)}"
        return f"Squeezed( side={self.side} {scales} interpolation={self.resampling.name} )"

    @property
    def form(self) -> PhotoForm:
        """The same as a record."""
        return PhotoForm(self.side, self.resampling.name.lower())

    @property
    def decode_size(self) -> tuple[int, int]:
        """The smallest upright image that features may be computed from."""
        side = round(SPARE * self.side)
        return side, side


def as_worded(preset: Preset, words: str | None) -> Preset:
    """The preset that these words describe, where it differs in nothing but its size; else the preset itself."""
    sides = re.search(r"crop_size=\[(\d+)\] resize_size=\[(\d+)\]", words or "")
    if sides is None:
        return preset
    other = replace(preset, crop=int(sides[1]), resize=int(sides[2]))
    return other if str(other) == words else preset


def as_rgb(image: Image.Image) -> Image.Image:
    """The image itself where it is RGB already, as every photo of a stream is: converting would copy it."""
    return image if image.mode == "RGB" else image.convert("RGB")


def preset_of(transforms: Any) -> Preset | Squeezed | None:
    """What torchvision's classification preset does, or None for any other preprocessing."""
    if isinstance(transforms, Preset | Squeezed):
        return transforms
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    ways = {
        InterpolationMode.BILINEAR: Image.Resampling.BILINEAR,
        InterpolationMode.BICUBIC: Image.Resampling.BICUBIC,
    }
    if type(transforms) is not ImageClassification or transforms.interpolation not in ways:
        return None
    resize, crop = transforms.resize_size, transforms.crop_size
    if len(resize) != 1 or len(crop) != 1 or crop[0] > resize[0]:
        return None
    return Preset(resize[0], crop[0], ways[transforms.interpolation], tuple(transforms.mean), tuple(transforms.std))
