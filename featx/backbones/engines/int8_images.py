"""The images that int8 is calibrated on: they travel with featx, so that features do not depend on anybody's photos.

`int8_images.jpg` is a sheet of drawn products, made by `python -m training.int8_images`; the stripes are computed.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from featx.errors import FeatxError

if TYPE_CHECKING:
    from PIL import Image

SHEET = Path(__file__).with_name("int8_images.jpg")
# Tiles have whole JPEG blocks, so that none shows a trace of its neighbours.
SIDE, ACROSS, TILES = 200, 8, 64
# The first tiles calibrate; the others are kept back, to compare the answers on.
CALIBRATING = 48
STRIPES = 16
SEED = 0


@cache
def calibration_digest() -> str:
    """Identifies the images: int8 features depend on them, so their fingerprint names it."""
    return hashlib.sha256(_sheet_bytes() + f"{CALIBRATING} {STRIPES} {SEED}".encode()).hexdigest()[:16]


def calibration_images() -> list[Image.Image]:
    """All images that int8 is calibrated on."""
    return [*_tiles()[:CALIBRATING], *(striped(number) for number in range(STRIPES))]


def comparison_images() -> list[Image.Image]:
    """Images that calibration never sees."""
    return list(_tiles()[CALIBRATING:])


def striped(number: int) -> Image.Image:
    """Stripes of two strong colours: they excite a network most, and real photos have them, such as leek or cartons."""
    from PIL import Image

    random = np.random.default_rng([SEED, number])
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    angle, period = random.uniform(0, np.pi), 2.0 ** random.uniform(1.5, 5.5)
    first = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period) > 0
    light, dark = random.integers(0, 2, (2, 3)) * 255
    if (light == dark).all():
        dark = 255 - light
    return Image.fromarray(np.where(first[..., None], light, dark).astype(np.uint8))


@cache
def _sheet_bytes() -> bytes:
    try:
        return SHEET.read_bytes()
    except OSError as error:
        raise FeatxError(
            "weights-missing",
            f"the calibration images of int8 are not in this installation: {error}",
            "reinstall featx, or leave `--precision int8` out",
        ) from error


@cache
def _tiles() -> tuple[Image.Image, ...]:
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(_sheet_bytes())) as sheet:
        image = sheet.convert("RGB")
    corners = [(number % ACROSS * SIDE, number // ACROSS * SIDE) for number in range(TILES)]
    return tuple(image.crop((x, y, x + SIDE, y + SIDE)) for x, y in corners)
