"""Decoded pixels made upright, sRGB and opaque on white."""

from __future__ import annotations

import io
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 8 * 2**20

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of an image; 1 where it is unknown."""
    try:
        value: Any = image.getexif().get(0x0112, 1)
        return int(value)
    except Exception:  # noqa: BLE001
        return 1  # damaged metadata does not damage the pixels


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """An image rotated as its metadata asks."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image, kind: str, data: bytes) -> Image.Image:
    """A decoded image as sRGB, transparent parts on white."""
    profile = image.info.get("icc_profile")
    if kind == "PNG" and "transparency" in image.info:
        _rescale_transparency(image, depth=data[24])
    colour, alpha = _colour_and_alpha(image)
    rgb = _to_srgb(colour, profile if isinstance(profile, bytes) else None)
    if alpha is None or alpha.getextrema() == (255, 255):
        # A still JPEG is closed and whole after load(); the others may keep their file for more frames.
        return rgb.copy() if rgb is image and image.format != "JPEG" else rgb
    # Cut-out shots are transparent around the product. Left alone that turns black,
    # and the features would describe the black.
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def _rescale_transparency(image: Image.Image, depth: int) -> None:
    """Bring a PNG's transparent colour to the scale of the pixels, which Pillow leaves as it was stored."""
    value = image.info["transparency"]
    if depth == 16 and isinstance(value, tuple):
        image.info["transparency"] = tuple(part >> 8 for part in value)
    elif depth in (2, 4) and isinstance(value, int) and image.mode == "L":
        image.info["transparency"] = value * 255 // (2**depth - 1)


def _colour_and_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours as L, RGB, CMYK or LAB, and the opacity as L where there is any."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _deep_grey(image)
    if not image.has_transparency_data:
        if mode in ("L", "RGB", "CMYK", "LAB"):
            return image, None
        return image.convert("L" if mode == "1" else "RGB"), None
    if mode in ("LA", "La"):
        grey = image if mode == "LA" else image.convert("LA")
        return grey.getchannel("L"), grey.getchannel("A")
    clear = image if mode == "RGBA" else image.convert("RGBA")
    return clear.convert("RGB"), clear.getchannel("A")


def _deep_grey(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """More than 8 bits of grey, scaled to 8: Pillow's own conversion clips, which turns mid-tones white."""
    values = np.asarray(image)
    transparent = image.info.get("transparency")
    alpha = (
        Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)) if transparent is not None else None
    )
    # In bands: the numbers between would take thirty times the memory of a large picture.
    step = max(1, 500_000 // values.shape[1])
    bands = [slice(top, top + step) for top in range(0, values.shape[0], step)]
    if image.mode.startswith("I;16"):
        white = 65_535.0
    else:
        white = _white_of(max(float(_finite(values[band]).max()) for band in bands), image.mode)
    grey = np.empty(values.shape, dtype=np.uint8)
    for band in bands:
        grey[band] = np.rint(_finite(values[band]) * (255.0 / white)).clip(0, 255)
    return Image.fromarray(grey), alpha


def _finite(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # a damaged file may hold NaN and infinity
        return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0.0)


def _white_of(brightest: float, mode: str) -> float:
    """The value of white in an image of plain numbers, which does not declare it."""
    if mode == "F" and brightest <= 1.0:
        return 1.0
    return next((white for white in (255.0, 65_535.0, 2.0**31 - 1) if brightest <= white), max(brightest, 1.0))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if (
        profile
        and len(profile) <= MAX_PROFILE_BYTES
        and (transform := transform_to_srgb(profile, image.mode)) is not None
    ):
        try:
            turned = transform.apply(image)
        except Exception:  # a profile that fails on the pixels is as good as none  # noqa: BLE001
            turned = None
        if turned is not None:
            return turned
    if image.mode == "LAB":
        return _lab_transform().apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


@lru_cache(maxsize=16)
def transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None where the profile is broken, of another kind, or sRGB already."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space.strip() != _PROFILE_SPACES.get(mode):
            return None
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except Exception:  # lcms and Pillow raise several kinds; a broken profile never costs the photo  # noqa: BLE001
        return None


@cache
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    moved = np.asarray(transform.apply(Image.fromarray(cube)))
    return bool(np.abs(moved.astype(int) - cube.astype(int)).max() <= 2)
