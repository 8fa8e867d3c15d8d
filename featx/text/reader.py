"""The contract of a reader, and which one is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from featx.text.records import PhotoText, Pixels, TextLine


class Reader(Protocol):
    """Reads the text on photos; it may be called from several threads at once, and takes one core for each."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def fingerprint(self) -> str:
        """What determines its answers: another fingerprint may read other text."""

    def read(self, images: Sequence[Pixels]) -> list[tuple[TextLine, ...]]:
        """The lines of each photo (height × width × 3, RGB) in reading order, in a time that is bounded."""


def open_reader() -> Reader:
    """The reader of this machine; a FeatxError says how to get one."""
    from featx.text.rapid_reader import RapidReader

    return RapidReader.opened()


def text_of(reader: Reader, photo: Pixels) -> PhotoText:
    """What a reader reads off one photo, harmless whatever reader it is."""
    size = photo.shape[1], photo.shape[0]
    return PhotoText(reader.read([photo])[0], reader.fingerprint, size).cleaned(reader.fingerprint)
