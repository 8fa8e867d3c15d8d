"""What was read off a photo, as a text whose lines count by how sure, how large and how central they are.

A photo taken in a shop shows the packs beside it and the price below: small letters near the border, and guesses.
"""

from __future__ import annotations

from math import exp, sqrt

from featx.classifiers.columns.words import WeighedText
from featx.text.records import Box, PhotoText, TextLine

# So far from the middle of a photo, as a share of its sides, a line counts 0.6 of one in the middle.
CENTRAL = 0.4


def weighed(photo: PhotoText) -> WeighedText:
    """The lines of a photo; where its size is not known, they count wherever they are."""
    return WeighedText((line.text, _weight(line, photo.size)) for line in photo.lines)


def _weight(line: TextLine, size: tuple[int, int] | None) -> float:
    return line.confidence**2 * sqrt(high(line)) * (1.0 if size is None else central(line.box, size))


def high(line: TextLine) -> int:
    """The height of the letters of a line, which may stand upright."""
    left, top, right, bottom = line.box
    return max(1, min(right - left, bottom - top))


def central(box: Box, size: tuple[int, int]) -> float:
    """1 for a line in the middle of a photo, and less towards its border."""
    across = ((box[0] + box[2]) / 2 / size[0] - 0.5, (box[1] + box[3]) / 2 / size[1] - 0.5)
    return exp(-sum(way * way for way in across) / 2 / CENTRAL**2)
