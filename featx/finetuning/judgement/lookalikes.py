"""Whether the most similar photo of another product is of the same category, which look-alikes are judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import cosine_blocks, unit_rows

# How sharply the doubt counts nearer photos more.
SHARPNESS = 20.0
NEAREST = "nearest photo"
# Of so many photos the cosines, and what is made of them, are held at a time.
AT_ONCE = 128


@dataclass(frozen=True)
class Alike:
    """Which queries find their category first, and the mean doubt of all of them."""

    right: NDArray[np.bool_]
    doubt: float


def look_alikes(
    features: NDArray[np.float32],
    labels: NDArray[np.generic],
    products: NDArray[np.intp],
    queries: NDArray[np.intp],
    among: NDArray[np.intp],
) -> Alike:
    """Look each query up among other rows, photos of its own product left out; ties go to the earlier row."""
    rows = unit_rows(features)
    right = np.zeros(len(queries), dtype=bool)
    doubts = np.zeros(len(queries))
    for part, cosines in cosine_blocks(rows[queries], rows[among], AT_ONCE):
        asked = queries[part]
        similar = np.where(products[asked][:, None] == products[among][None, :], -np.inf, cosines)
        same = labels[asked][:, None] == labels[among][None, :]
        first = similar.argmax(axis=1)
        right[part] = same[np.arange(len(asked)), first] & np.isfinite(similar.max(axis=1))
        weights = np.exp(SHARPNESS * (similar - 1))
        shares = (weights * same).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-30)
        doubts[part] = -np.log(np.maximum(shares, 1e-9))
    return Alike(right, float(doubts.mean()) if len(doubts) else 0.0)
