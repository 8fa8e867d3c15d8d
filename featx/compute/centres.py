"""Centres of rows by k-means, always the same for the same rows."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import unit_rows

ROUNDS = 10
# More centres than these are looked for in two steps: around a few first, then around each.
AT_ONCE = 256

Rows = NDArray[np.float32]


def centres_of(rows: Rows, k: int, rounds: int = ROUNDS, random: np.random.Generator | None = None) -> Rows:
    """The directions that k groups of unit rows have, or as many as there are rows."""
    random = random or np.random.default_rng(0)
    return _around(rows, k, rounds, random) if k <= AT_ONCE else _in_two_steps(rows, k, rounds, random)


def _around(rows: Rows, k: int, rounds: int, random: np.random.Generator) -> Rows:
    centres = rows[random.choice(len(rows), min(k, len(rows)), replace=False)]
    for _ in range(rounds):
        near = (rows @ centres.T).argmax(axis=1)
        means = [rows[near == code].mean(axis=0) if (near == code).any() else centres[code]
                 for code in range(len(centres))]  # fmt: skip
        centres = unit_rows(np.array(means))
    return centres


def _in_two_steps(rows: Rows, k: int, rounds: int, random: np.random.Generator) -> Rows:
    few = _around(rows, isqrt(k), rounds, random)
    near = (rows @ few.T).argmax(axis=1)
    shares = _shares(np.bincount(near, minlength=len(few)), k)
    parts = [_around(rows[near == code], n, rounds, random) for code, n in enumerate(shares) if n]
    return np.concatenate(parts)


def _shares(counts: NDArray[np.intp], k: int) -> list[int]:
    """So many centres for each of some groups, in proportion to their rows, k in all."""
    ends = np.rint(np.cumsum(counts) * (k / counts.sum())).astype(int)
    return np.diff(ends, prepend=0).tolist()  # type: ignore[no-any-return]
