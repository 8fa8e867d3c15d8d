"""What must be covered for another answer: as few cells as a greedy search finds, each step asked of the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.explanation.border import Shares
from featx.explanation.regions import GRID

# Cells on each side, and how many of them are tried at once: up to half of the photo.
SIDE = 8
TRIED = (1, 2, 3, 4, 6, 8, 11, 14, 18, 24, 32)

Cells = NDArray[np.bool_]


@dataclass(frozen=True)
class Covering:
    """Cells of a SIDE x SIDE grid over a photo; with these covered, the classifier answers with this category."""

    cells: Cells
    category: str
    sure: float

    @property
    def share(self) -> float:
        """How much of the photo is covered."""
        return float(self.cells.mean())

    def to_dict(self) -> dict[str, Any]:
        """The covering in a JSON record: boxes are left, top, width and height, in fractions of the photo."""
        boxes = [[x / SIDE, y / SIDE, 1 / SIDE, 1 / SIDE] for y, x in np.argwhere(self.cells).tolist()]
        return {"boxes": boxes, "share": self.share, "category": self.category, "sure": round(self.sure, 4)}


def find_covering(
    image: Image.Image, support: NDArray[np.float64], shares_of: Shares, classes: Sequence[str], winner: int
) -> Covering | None:
    """The fewest of the strongest cells that change the answer, without those that it changes without; or None.

    Every answer is that of the classifier to the covered photo.
    """
    step = GRID // SIDE
    strength = support.reshape(SIDE, step, SIDE, step).sum(axis=(1, 3))
    order = np.argsort(-strength, axis=None, kind="stable")
    positive = int((strength > 0).sum())
    tried = [_first(order, n) for n in TRIED if n <= max(positive, 1)]
    shares = shares_of([covered(image, cells) for cells in tried])
    changed = np.flatnonzero(shares.argmax(axis=1) != winner)
    if not len(changed):
        return None
    cells, answer = tried[changed[0]], shares[changed[0]]
    # The weakest are tried first: they were taken last.
    for cell in order[int(cells.sum()) - 1 :: -1]:
        fewer = cells.copy()
        fewer.flat[cell] = False
        without = shares_of([covered(image, fewer)])[0] if fewer.any() else answer
        if fewer.any() and without.argmax() != winner:
            cells, answer = fewer, without
    return Covering(cells, classes[int(answer.argmax())], float(answer.max()))


def _first(order: NDArray[np.intp], n: int) -> Cells:
    cells = np.zeros((SIDE, SIDE), dtype=bool)
    cells.flat[order[:n]] = True
    return cells


def covered(image: Image.Image, cells: Cells) -> Image.Image:
    """The photo with some cells covered by another one that looks like most of it, grain and all.

    A plain colour would be a mark of its own.
    """
    whole = image.convert("RGB")
    source = whole.crop(_box(_typical_cell(whole, cells), whole.size))
    result = whole.copy()
    for cell in np.flatnonzero(cells):
        left, top, right, bottom = _box(int(cell), whole.size)
        result.paste(source.resize((right - left, bottom - top)), (left, top))
    return result


def _typical_cell(image: Image.Image, cells: Cells) -> int:
    """The number of the cell, of those that stay, whose colour is nearest to the median of them."""
    colours = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64).reshape(-1, 3)
    far = np.abs(colours - np.median(colours[~cells.ravel()], axis=0)).sum(axis=1)
    far[cells.ravel()] = np.inf
    return int(far.argmin())


def _box(cell: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels of a cell."""
    y, x = divmod(cell, SIDE)
    width, height = size
    return x * width // SIDE, y * height // SIDE, (x + 1) * width // SIDE, (y + 1) * height // SIDE
