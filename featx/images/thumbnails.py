"""Thumbnails: a photo small enough for a page or a terminal, and an image as a data URI."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from featx.images.photos import PhotoLike, read_photo
from featx.images.reading import UnreadablePhoto

JPEG_QUALITY = 78


def thumbnail(path: str | Path, side: int) -> Image.Image | None:
    """A photo that fits into a square; None where it cannot be read any more."""
    try:
        return smaller(path, side)
    except UnreadablePhoto:
        return None


def smaller(photo: PhotoLike, side: int) -> Image.Image:
    """A photo in any form that fits into a square; UnreadablePhoto says why not."""
    # Decoded at twice the size or a little more, so that a large JPEG costs little and nothing gets blurred.
    image = read_photo(photo, draft_size=(2 * side, 2 * side)).image
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def square_thumbnail(path: str | Path, side: int) -> Image.Image | None:
    """The middle of a photo as a square; None where it cannot be read any more."""
    image = _small(path, side)
    if image is None:
        return None
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    square = image.crop((left, top, left + edge, top + edge))
    return square.resize((side, side), Image.Resampling.LANCZOS)


def _small(path: str | Path, side: int) -> Image.Image | None:
    try:
        return read_photo(path, draft_size=(2 * side, 2 * side)).image
    except UnreadablePhoto:
        return None


def thumbnail_uri(path: str | Path, side: int) -> str | None:
    """The thumbnail of a photo as the address of an image element."""
    image = thumbnail(path, side)
    return None if image is None else data_uri(jpeg(image), "jpeg")


def jpeg(image: Image.Image, quality: int = JPEG_QUALITY) -> bytes:
    """An image as the bytes of a JPEG file."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def webp(image: Image.Image, quality: int) -> bytes:
    """An image as the bytes of a WebP file."""
    file = io.BytesIO()
    # Method 6 would save two more bytes in a hundred, and take more than twice as long.
    image.convert("RGB").save(file, "WEBP", quality=quality, method=5)
    return file.getvalue()


def data_uri(data: bytes, kind: str) -> str:
    """The bytes of an image file (`jpeg`, `webp`, `png`) as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
