"""A photo in whatever form a caller has it: a path, bytes, an open file, a Pillow image or an array."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

import numpy as np
import numpy.typing as npt
from PIL import Image

from featx.errors import FeatxError
from featx.images.decoding import decode_photo, digest_of, upright_rgb
from featx.images.places import read_bytes
from featx.images.reading import MAX_BYTES, UnreadablePhoto, too_many_bytes

FORMS = "a photo is a path, bytes, a file opened with `rb`, a PIL image or a uint8 array (height × width × 3)"


class OpenFile(Protocol):
    """A file opened for reading bytes, or whatever reads like one: a zip member, an upload, an answer from the web."""

    def read(self, size: int, /) -> bytes:
        """So many bytes from where it stands."""


@dataclass(frozen=True)
class Photo:
    """A photo as read: upright sRGB pixels (mode RGB) and the SHA-256 of the file's bytes."""

    image: Image.Image
    digest: str


@dataclass(frozen=True)
class UndecodedPhoto:
    """A photo before it is decoded: how errors name it, the digest of its content, and the way to its pixels.

    `decode` takes the least size of a JPEG decoded at reduced scale; None for full size.
    """

    name: str
    digest: str
    decode: Callable[[tuple[int, int] | None], Image.Image]


PhotoLike = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | OpenFile
    | Image.Image
    | npt.NDArray[np.uint8]
    | UndecodedPhoto
)


def read_photo(photo: PhotoLike, *, draft_size: tuple[int, int] | None = None) -> Photo:
    """Read one photo: a path, bytes, an open file, a PIL image or a uint8 array; `UnreadablePhoto` says why not.

    `draft_size` is explained at `decode_photo`.
    """
    undecoded = open_photo(photo)
    return Photo(undecoded.decode(draft_size), undecoded.digest)


def open_photo(photo: PhotoLike, name: str = "") -> UndecodedPhoto:
    """A photo in any form, read but not decoded; `name` stands for it in errors where it has no path."""
    if isinstance(photo, UndecodedPhoto):
        return photo
    if isinstance(photo, str | os.PathLike):
        return _encoded(read_bytes(photo), os.fspath(photo))
    if isinstance(photo, bytes | bytearray | memoryview):
        return _encoded(bytes(photo), name)
    if isinstance(photo, Image.Image):
        return _pixels(upright_rgb(photo), name)
    if isinstance(photo, np.ndarray):
        return _pixels(_from_array(photo, name), name)
    if hasattr(photo, "read"):
        return _encoded(_read_open(photo, name), name or _file_name(photo))
    raise FeatxError("bad-flag", f"{name or 'the photo'} is of type {type(photo).__name__}", FORMS)


def holds_a_photo(value: object) -> TypeGuard[PhotoLike]:
    """Whether a value is a photo and no name, which may be that of a folder, a table or a product."""
    if isinstance(value, np.ndarray):  # features are arrays of other numbers, and several photos have one side more
        return bool(value.dtype == np.uint8) and value.ndim in (2, 3)
    return isinstance(value, bytes | bytearray | memoryview | Image.Image | UndecodedPhoto) or hasattr(value, "read")


def name_of(photo: PhotoLike, otherwise: str) -> str:
    """What to call a photo in an answer: its path, the name of the file it was opened from, or another one."""
    if isinstance(photo, str | os.PathLike):
        return os.fspath(photo)
    if isinstance(photo, Image.Image):
        return str(getattr(photo, "filename", "") or otherwise)
    return _file_name(photo) or otherwise


def _encoded(data: bytes, name: str) -> UndecodedPhoto:
    if len(data) > MAX_BYTES:
        raise too_many_bytes(name, len(data))
    return UndecodedPhoto(name, digest_of(data), lambda smallest: decode_photo(data, name, draft_size=smallest))


def _pixels(image: Image.Image, name: str) -> UndecodedPhoto:
    digest = hashlib.sha256(f"pixels {image.size}".encode() + image.tobytes()).hexdigest()
    return UndecodedPhoto(name, digest, lambda _: image)


def _read_open(file: OpenFile, name: str) -> bytes:
    try:
        data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadablePhoto(name or _file_name(file), "unreadable", (error.strerror or str(error)).lower()) from error
    if isinstance(data, str):
        raise FeatxError("bad-flag", f"{name or 'the file'} is opened for reading text", "open it with `rb`")
    if not data and _is_at_its_end(file):
        raise UnreadablePhoto(name or _file_name(file), "unreadable", "it was read to its end before: file.seek(0)")
    return data


def _is_at_its_end(file: OpenFile) -> bool:
    """Whether an open file has bytes, all of them before the place where it is read."""
    try:
        return bool(file.tell())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False


def _file_name(file: object) -> str:
    name = getattr(file, "name", "")
    return name if isinstance(name, str) else ""


def _from_array(photo: npt.NDArray[Any], name: str) -> Image.Image:
    if photo.ndim == 3 and photo.shape[2] == 1:
        photo = photo[:, :, 0]
    if photo.dtype != np.uint8 or not (photo.ndim == 2 or (photo.ndim == 3 and photo.shape[2] in (3, 4))):
        raise FeatxError(
            "bad-flag",
            f"{name or 'the photo'} is an array of {photo.dtype} with shape {photo.shape}",
            "arrays are uint8 (0 to 255), height × width, with 1, 3 or 4 channels last",
        )
    if photo.size == 0:
        raise UnreadablePhoto(name, "not-an-image", "an array without pixels")
    return upright_rgb(Image.fromarray(np.ascontiguousarray(photo)))
