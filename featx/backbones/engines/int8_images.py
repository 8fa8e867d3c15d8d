"""The pictures that int8 is calibrated on: drawn by featx, so that features do not depend on anybody's photos."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Calibration:
    """Which pictures fix the ranges of the integers; `drawing` is raised when featx draws them otherwise."""

    photos: int
    stripes: int
    size: int
    seed: int
    drawing: int


CALIBRATION = Calibration(photos=48, stripes=16, size=200, seed=0, drawing=1)
# Photos that calibration never sees, to compare the answers on.
TRIED = 16


@cache
def drawn_photos(count: int, start: int = 0) -> list[Image.Image]:
    """Photos of made-up products of every category, the same everywhere."""
    from featx.samples import draw_photo, product

    size, seed = CALIBRATION.size, CALIBRATION.seed
    return [
        draw_photo(product(number, seed), 1 + number % 3, size=size, seed=seed).convert("RGB")
        for number in range(start, start + count)
    ]


def striped(number: int) -> Image.Image:
    """Stripes of two strong colours: they excite a network most, and real photos hold them, such as leek or cartons."""
    from PIL import Image

    random = np.random.default_rng([CALIBRATION.seed, number])
    y, x = np.mgrid[0 : CALIBRATION.size, 0 : CALIBRATION.size]
    angle, period = random.uniform(0, np.pi), 2.0 ** random.uniform(1.5, 5.5)
    first = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period) > 0
    one, other = random.integers(0, 2, (2, 3)) * 255
    if (one == other).all():
        other = 255 - one
    return Image.fromarray(np.where(first[..., None], one, other).astype(np.uint8))


def calibrating() -> list[Image.Image]:
    """All pictures that int8 is calibrated on."""
    return [*drawn_photos(CALIBRATION.photos), *(striped(number) for number in range(CALIBRATION.stripes))]
