"""What was read off a photo: its lines, each with a confidence and a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.text.plain import plain_line

# A photo of a printed page or a trap; no pack has so many lines.
MOST_LINES = 200

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]

# What the fingerprint of a reader ends with that looks for lines twice.
TWO_LOOKS = " two looks"


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line of text: how sure the reader is, from 0 to 1, and left, top, right and bottom in pixels."""

    text: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class PhotoText:
    """The lines of one photo in reading order, the fingerprint of the reader, and the photo's width and height.

    Files of earlier versions do not know the size.
    """

    lines: tuple[TextLine, ...] = ()
    reader: str = ""
    size: tuple[int, int] | None = None

    @property
    def text(self) -> str:
        """All lines as one text."""
        return " ".join(line.text for line in self.lines)

    def to_lines(self) -> list[Any]:
        """The lines as plain lists."""
        return [[line.text, round(line.confidence, 3), *line.box] for line in self.lines]

    def to_record(self) -> dict[str, Any]:
        """Lines and size, for the file."""
        return {"size": self.size, "lines": self.to_lines()}

    def cleaned(self, reader: str) -> PhotoText:
        """The same from a reader that nobody has to trust: harmless, and of bounded length."""
        return PhotoText.of_record(self.to_record(), reader)

    @classmethod
    def of_record(cls, record: Any, reader: str) -> PhotoText:
        """The text of such a record, cleaned again: the file may come from anywhere. ValueError where it is none.

        A record of earlier versions is the list of lines.
        """
        lines: Any = record
        size: Any = None
        if isinstance(record, dict):
            lines, size = record.get("lines"), record.get("size")
        try:
            kept = [
                TextLine(plain_line(text), min(1.0, max(0.0, float(sure))), (int(a), int(b), int(c), int(d)))
                for text, sure, a, b, c, d in lines[:MOST_LINES]
            ]
            known = None if size is None else (max(1, int(size[0])), max(1, int(size[1])))
        except (TypeError, OverflowError, AttributeError, IndexError, KeyError) as error:
            raise ValueError("its lines are of another form") from error
        return cls(tuple(line for line in kept if line.text), plain_line(reader), known)
