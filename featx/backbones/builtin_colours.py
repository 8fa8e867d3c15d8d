"""The colours of a photo as the built-in backbone describes them: histograms of hue, saturation and value.

Tables hold the bin of every pair of bytes that decides one: looking a pixel up takes less than computing it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

HUES, SATURATIONS, VALUES = 12, 4, 4
COLOURS = HUES * SATURATIONS * VALUES

Bytes = NDArray[np.uint8]
Rows = NDArray[np.float32]
# A byte has so many values; the difference of two, so many.
_LEVELS, _DIFFERENCES = 256, 511
# The tables of hue for photos' pixels whose largest channel is red, green and blue follow each other.
_OF_A_CHANNEL = _LEVELS * _DIFFERENCES


def colour_histograms(pixels: Bytes, margin: int) -> tuple[Rows, Rows]:
    """Square-rooted joint histograms of hue, saturation and value; unit length, a row per photo.

    Those of whole photos, and of what is left without a margin of so many pixels.
    """
    bins = [colour_bins(photo) for photo in pixels]
    middles = [photo[margin:-margin, margin:-margin] for photo in bins]
    return np.stack([_histogram(photo) for photo in bins]), np.stack([_histogram(photo) for photo in middles])


def colour_bins(photo: Bytes) -> Bytes:
    """The number of each pixel's colour: (height, width) from (height, width, 3)."""
    # One photo at a time stays in the cache.
    red, green, blue = np.ascontiguousarray(photo.reshape(-1, 3).T)
    high = np.maximum(np.maximum(red, green), blue)
    span = high - np.minimum(np.minimum(red, green), blue)
    r, g, b = (channel.astype(np.int32) for channel in (red, green, blue))
    difference = np.where(high == red, g - b, np.where(high == green, b - r + _OF_A_CHANNEL, r - g + 2 * _OF_A_CHANNEL))
    hues, shades = _tables()
    wide = span.astype(np.int32)
    bins: Bytes = hues.take(difference + wide * _DIFFERENCES + _LEVELS - 1) + shades.take(wide * _LEVELS + high)
    return bins.reshape(photo.shape[:2])


def _histogram(bins: Bytes) -> Rows:
    counts = np.bincount(bins.ravel(), minlength=COLOURS)
    return np.sqrt(counts / bins.size).astype(np.float32)


@cache
def _tables() -> tuple[Bytes, Bytes]:
    """What hue adds to the number of a colour, and what saturation and value add."""
    span = np.arange(_LEVELS, dtype=np.float32)[:, None]
    share = np.arange(1 - _LEVELS, _LEVELS, dtype=np.float32) / np.where(span > 0, span, 1)
    hue = np.stack([share % 6, share + 2, share + 4])
    # Differences beyond the span do not occur.
    hue_bin = np.clip((hue * (HUES / 6)).astype(np.int64), 0, HUES - 1)
    high = np.arange(_LEVELS, dtype=np.float32)
    saturation = np.minimum((span / np.maximum(high, 1) * SATURATIONS).astype(np.int64), SATURATIONS - 1)
    value = (high * (VALUES / _LEVELS)).astype(np.int64)
    shade = saturation * VALUES + value
    return (hue_bin * SATURATIONS * VALUES).astype(np.uint8).ravel(), shade.astype(np.uint8).ravel()
