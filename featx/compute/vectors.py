"""Rows of features as numbers: their lengths, directions, and half precision read quickly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 16_384
# So many rows in half precision stay in the fastest memory while they are widened.
HALVES = 128
SHORTEST, LONGEST = 1e-30, 1e30


def scales(features: NDArray[Any]) -> NDArray[np.float32]:
    """What brings each row to length 1; 0 for a row without a direction."""
    found = np.zeros(len(features), dtype=np.float32)
    for start in range(0, len(found), BLOCK):
        rows = np.asarray(features[start : start + BLOCK], dtype=np.float64)
        with np.errstate(all="ignore"):
            lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
            good = (lengths > SHORTEST) & (lengths < LONGEST)
            found[start : start + BLOCK] = np.where(good, 1 / lengths, 0)
    return found


def unit_queries(query: NDArray[Any]) -> NDArray[np.float32]:
    """The photos of a query at length 1, one a row; zeros for one without a direction."""
    wanted = np.atleast_2d(np.asarray(query, dtype=np.float64))
    with np.errstate(all="ignore"):
        lengths = np.sqrt((wanted * wanted).sum(axis=1, keepdims=True))
        good = (lengths > SHORTEST) & (lengths < LONGEST)
        return np.where(good, wanted / lengths, 0).astype(np.float32)


def half_to_float(rows: NDArray[np.float16]) -> NDArray[np.float32]:
    """The same numbers in single precision, several times faster than NumPy converts them.

    Exponent and fraction move to where single precision has them, and a factor makes up for the other bias. Only what
    is infinite or no number comes out wrong: a row with such has no direction, and its length says so.
    """
    bits = np.ascontiguousarray(rows).view(np.uint16)
    wide = np.left_shift(bits & 0x7FFF, 13, dtype=np.uint32)
    wide |= np.left_shift(bits & 0x8000, 16, dtype=np.uint32)
    found: NDArray[np.float32] = wide.view(np.float32)
    found *= np.float32(2.0**112)
    return found


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Rows of length one; a row of zeros stays one."""
    rows = np.asarray(features, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)
