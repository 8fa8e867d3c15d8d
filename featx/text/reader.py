"""The contract of a reader, and which one is used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from featx.errors import FeatxError
from featx.text.records import TWO_LOOKS, PhotoText, Pixels, TextLine


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


def open_reader(looks: int = 1) -> Reader:
    """The reader of this machine, which looks for lines once or twice; a FeatxError says how to get one."""
    from featx.text.rapid_reader import RapidReader

    if looks not in (1, 2):
        raise FeatxError("bad-flag", f"a photo is looked at once or twice, not {looks} times", "give 1 or 2 looks")
    return RapidReader.opened(looks)


def looks_of(fingerprint: str) -> int:
    """How often the reader of this fingerprint looked for lines."""
    return 2 if fingerprint.endswith(TWO_LOOKS) else 1


def looks_among(fingerprints: Iterable[str]) -> int:
    """How often more photos like these are looked at: twice where any of these was."""
    return max(map(looks_of, set(fingerprints)), default=1)


def text_of(reader: Reader, photo: Pixels) -> PhotoText:
    """What a reader reads off one photo, harmless whatever reader it is."""
    size = photo.shape[1], photo.shape[0]
    return PhotoText(reader.read([photo])[0], reader.fingerprint, size).cleaned(reader.fingerprint)
