"""Paired tests between contenders: is one really better, or is it chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LIMIT = 0.05
FLIPS = 10_000


@dataclass(frozen=True)
class Paired:
    """A difference with its 95 % interval, and how likely one as large is by chance alone."""

    difference: float
    low: float
    high: float
    p: float


def corrected_t(differences: Sequence[float] | np.ndarray, ratio: float) -> Paired:
    """Nadeau and Bengio's corrected resampled t-test over folds that overlap in what they learn from.

    `ratio` is the number of pictures scored over the number learned from, in one fold.
    """
    from scipy.special import stdtr, stdtrit

    values = np.asarray(differences, dtype=np.float64)
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Paired(mean, -1.0, 1.0, 1.0)
    error = float(np.sqrt((1 / count + ratio) * values.var(ddof=1)))
    if error < 1e-12:
        return Paired(mean, mean, mean, 1.0 if abs(mean) < 1e-12 else 0.0)
    half = float(stdtrit(count - 1, 0.975)) * error
    p = 2 * float(stdtr(count - 1, -abs(mean) / error))
    return Paired(mean, mean - half, mean + half, p)


def spread_of(values: Sequence[float] | np.ndarray, ratio: float, share: bool = True) -> dict[str, object]:
    """A score over folds: mean, standard deviation, and the interval with the same correction."""
    told = corrected_t(values, ratio)
    low, high = (max(0.0, told.low), min(1.0, told.high)) if share else (max(0.0, told.low), told.high)
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": told.difference, "sd": sd, "low": low, "high": high, "folds": [float(one) for one in values]}


def sign_flips(right: np.ndarray, others: np.ndarray, groups: np.ndarray, seed: int = 0) -> Paired:
    """Two classifiers on the same held-out pictures: the signs of whole products' differences are flipped at random.

    The interval is a bootstrap over the same products.
    """
    _, member = np.unique(groups, return_inverse=True)
    apart = np.bincount(member, right.astype(float) - others.astype(float))
    sizes, n = np.bincount(member).astype(float), len(right)
    seen = float(apart.sum() / n)
    random = np.random.default_rng(seed)
    moved = apart[apart != 0]
    at_least, drawn = 0, []
    step = max(1, 4_000_000 // max(len(sizes), 1))
    for start in range(0, FLIPS, step):
        count = min(step, FLIPS - start)
        flipped = random.integers(0, 2, (count, len(moved)), dtype=np.int8) * 2.0 - 1
        at_least += int((np.abs(flipped @ moved) >= abs(apart.sum()) - 1e-9).sum())
    for _ in range(1000):
        rows = random.integers(0, len(sizes), len(sizes))
        drawn.append(apart[rows].sum() / sizes[rows].sum())
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Paired(seen, min(float(low), seen), max(float(high), seen), (at_least + 1) / (FLIPS + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many tests were made at once (Holm's step-down)."""
    corrected = np.zeros(len(p_values))
    running = 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = running
    return [float(one) for one in corrected]


def verdict(difference: float, p_holm: float) -> str:
    """Who wins: `a`, `b`, or nobody."""
    if p_holm > LIMIT:
        return "tie"
    return "a" if difference > 0 else "b"
