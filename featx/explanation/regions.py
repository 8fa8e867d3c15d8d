"""The share of each part of a photo in the margin between two categories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Resampling

from featx.backbones.base import Encoder
from featx.backbones.nodes import middle_places
from featx.errors import FeatxError
from featx.explanation.overlay import coarse

# The finest picture of regions, in cells on each side: four times as fine as the maps of most networks.
GRID = 32
FINE = 16 * GRID
# How far pooled maps may be from their average, as a share of the largest, to count as the average.
ROUNDING = 1e-4

EXACT, GRADIENT, OCCLUSION = "exact", "gradient", "occlusion"
Cells = NDArray[np.float64]
Features = NDArray[np.float32]
# The log-odds of rows of one block, while the rest of the row stays as it is.
OddsOfBlock = Callable[[NDArray[np.float32]], NDArray[np.float64]]


@dataclass(frozen=True)
class Regions:
    """What each cell of a grid over the photo adds to the margin, and the method that measured it.

    `exact`: the cells add up to the margin of the network's block. `occlusion`: each cell is how much the margin falls
    when the cell looks like most of the photo. `gradient`: the slope of the margin along the cell's own maps.
    """

    cells: Cells
    method: str

    def with_those_of(self, other: Regions) -> Regions:
        """The regions of two layers of one network together.

        On an average the slope along a cell is its exact share, so that both together are slopes where one is.
        """
        return Regions(self.cells + other.cells, self.method if self.method == other.method else GRADIENT)

    def to_dict(self) -> dict[str, Any]:
        """The regions in a JSON record."""
        return {"method": self.method, "cells": np.round(self.cells, 5).tolist()}


def regions_of(
    part: Encoder, maps: Features, size: tuple[int, int], weights: NDArray[np.float64] | None, odds: OddsOfBlock
) -> Regions:
    """The regions of one network's block in a photo of this size, from its maps: (1, channels, height, width).

    `weights` are the margin's for the block's columns, None where the classifier is not linear.
    """
    cells, method = cells_of(part, maps, weights, odds)
    return Regions(spread(cells, part, size), method)


def cells_of(
    part: Encoder, maps: Features, weights: NDArray[np.float64] | None, odds: OddsOfBlock
) -> tuple[Cells, str]:
    """What each cell of the maps adds to the margin, and by which method."""
    if weights is None:
        return _occluded(part, maps, odds), OCCLUSION
    places = _averaged_places(part, maps)
    if places is None:
        return _slopes(part, maps, weights), GRADIENT
    cells = np.zeros(maps.shape[2:])
    averaged = maps[0][:, *places].astype(np.float64)
    cells[places] = np.tensordot(weights, averaged, axes=1) / averaged[0].size
    return cells, EXACT


def _averaged_places(part: Encoder, maps: Features) -> tuple[slice, slice] | None:
    """The rows and columns of maps whose mean the features are: all of them, or the middle; None for other features."""
    pooled = part.pool_maps(maps)
    _, channels, height, width = maps.shape
    if pooled.shape != (1, channels) or channels != part.spec.width:
        return None
    bound = ROUNDING * float(np.abs(pooled).max() + 1e-12)
    for places in ((slice(None), slice(None)), middle_places(height, width)):
        average = maps[:, :, *places].mean(axis=(2, 3))
        if np.allclose(average, pooled, rtol=0, atol=bound):
            return places
    return None


def _slopes(part: Encoder, maps: Features, weights: NDArray[np.float64]) -> Cells:
    """How fast the margin grows with all that the network sees in a cell: one pass instead of one for each cell."""
    cells: Cells = (part.pool_slopes(maps, weights) * maps)[0].sum(axis=0, dtype=np.float64)
    return cells


def _occluded(part: Encoder, maps: Features, odds: OddsOfBlock) -> Cells:
    """How much the margin falls when one cell of the maps is replaced by the median of all."""
    _, _, height, width = maps.shape
    typical = np.median(maps, axis=(2, 3))[0]
    covered, cells = np.repeat(maps, width, axis=0), np.arange(width)
    rows = [part.pool_maps(maps)]
    for y in range(height):
        covered[cells, :, y, cells] = typical
        rows.append(part.pool_maps(covered))
        covered[cells, :, y, cells] = maps[0, :, y].T
    margins = odds(np.concatenate(rows))
    lost: Cells = (margins[0] - margins[1:]).reshape(height, width)
    return lost


def spread(cells: Cells, part: Encoder, size: tuple[int, int]) -> Cells:
    """Cells of a network's input as cells of the whole photo; their sum stays."""
    rows, columns = _rows_and_columns(part, cells.shape, size)
    shares = cells / np.outer(
        *(np.bincount(i[i >= 0], minlength=n) for i, n in zip((rows, columns), cells.shape, strict=True))
    )
    return placed(shares, part, size) * (FINE // GRID) ** 2


def placed(cells: Cells, part: Encoder, size: tuple[int, int]) -> Cells:
    """Cells of a network's input as cells of the whole photo; their values stay, and are 0 where it sees nothing."""
    down, across = (
        _overlaps(index, count)
        for index, count in zip(_rows_and_columns(part, cells.shape, size), cells.shape, strict=True)
    )
    coarse: Cells = down @ cells @ across.T
    return coarse


def _overlaps(index: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """How much of each row of the grid lies in each row of cells, from the cell of each fine position."""
    inside: NDArray[np.bool_] = index[:, None] == np.arange(count)
    shares: NDArray[np.float64] = inside.reshape(GRID, FINE // GRID, count).mean(axis=1)
    return shares


def _rows_and_columns(
    part: Encoder, shape: tuple[int, ...], size: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each fine position of the photo its row and its column of cells, -1 outside."""
    left, top, right, bottom = _seen(part, size)
    return _indices(top, bottom, shape[0]), _indices(left, right, shape[1])


def place_of_cell(number: int, shape: tuple[int, ...], part: Encoder, size: tuple[int, int]) -> tuple[float, float]:
    """The middle of a cell of a network's maps, counted row by row, in fractions of the photo's width and height."""
    left, top, right, bottom = _seen(part, size)
    y, x = divmod(number, shape[1])
    return left + (x + 0.5) / shape[1] * (right - left), top + (y + 0.5) / shape[0] * (bottom - top)


def _seen(part: Encoder, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The part of the photo that a network sees, as fractions: left, top, right, bottom."""
    try:
        form = part.photo_form()
    except FeatxError:
        return 0.0, 0.0, 1.0, 1.0
    if form.resize is None:
        return 0.0, 0.0, 1.0, 1.0
    share = form.side / form.resize
    across, down = (share * min(size) / length for length in size)
    return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2


def support_of(cells: Cells) -> Cells:
    """What speaks for the category alone, without hard borders: where to look first."""
    enlarged = coarse(np.maximum(cells, 0)).resize((GRID, GRID), Resampling.BILINEAR)
    return np.asarray(enlarged, dtype=np.float64)


def _indices(start: float, stop: float, count: int) -> NDArray[np.intp]:
    """For each fine position the cell it belongs to, -1 outside."""
    position = (np.arange(FINE) + 0.5) / FINE
    index = np.floor((position - start) / (stop - start) * count).astype(np.intp)
    return np.where((index < 0) | (index >= count), -1, index)
