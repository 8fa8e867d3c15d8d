"""Paired tests between candidates: is one really better, or is it chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LIMIT = 0.05
FLIPS = 10_000
# A candidate is as good as the best if it is at most so far behind, whatever chance did.
MARGIN = 0.02


@dataclass(frozen=True)
class PairedTest:
    """A difference with its interval, and how likely one as large is by chance alone.

    The interval holds what the test does not rule out at its level: it excludes zero just when p is at most the level.
    """

    difference: float
    low: float
    high: float
    p: float


def corrected_t(
    differences: Sequence[float] | np.ndarray,
    ratio: float,
    *,
    sizes: Sequence[int] | None = None,
    level: float = LIMIT,
) -> PairedTest:
    """Nadeau and Bengio's corrected resampled t-test over folds that overlap in what they learn from.

    `ratio` is the number of photos scored over the number learned from, in one fold. With the `sizes` of the folds
    every photo counts alike, and the folds are never taken to differ less than by one photo in one of them.
    """
    from scipy.special import stdtr, stdtrit

    values = np.asarray(differences, dtype=np.float64)
    mean, count = float(np.average(values, weights=sizes)), len(values)
    if count < 2:
        return PairedTest(mean, -1.0, 1.0, 1.0)
    least = 0.0 if sizes is None else 1 / max(sizes) ** 2 / count
    error = float(np.sqrt((1 / count + ratio) * max(values.var(ddof=1), least)))
    if error < 1e-12:
        return PairedTest(mean, mean, mean, 1.0 if abs(mean) < 1e-12 else 0.0)
    half = float(stdtrit(count - 1, 1 - level / 2)) * error
    p = 2 * float(stdtr(count - 1, -abs(mean) / error))
    return PairedTest(mean, mean - half, mean + half, p)


def spread_of(values: Sequence[float] | np.ndarray, ratio: float, share: bool = True) -> dict[str, object]:
    """A score over folds: mean, standard deviation, and the interval with the same correction."""
    test = corrected_t(values, ratio)
    low, high = max(0.0, test.low), min(1.0, test.high) if share else test.high
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": test.difference, "sd": sd, "low": low, "high": high, "folds": [float(value) for value in values]}


def sign_flips(
    right: np.ndarray, others: np.ndarray, groups: np.ndarray, seed: int = 0, *, level: float = LIMIT
) -> PairedTest:
    """Two classifiers on the same held-out photos: the signs of whole products' differences are flipped at random.

    The interval holds every difference that the same flips do not rule out. Where each photo is a product of its
    own, this is McNemar's exact test.
    """
    _, member = np.unique(groups, return_inverse=True)
    pairs = np.column_stack([np.bincount(member, right.astype(float) - others.astype(float)), np.bincount(member)])
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    total, n = (float(value) for value in pairs.sum(axis=0))
    # A flip parts the products in two. The true difference is ruled out by those flips in which both parts lie on the
    # same side of it.
    part = np.random.default_rng(seed).binomial(counts, 0.5, (FLIPS, len(kinds))) @ kinds
    with np.errstate(divide="ignore", invalid="ignore"):
        both = np.stack([part[:, 0] / part[:, 1], (total - part[:, 0]) / (n - part[:, 1])])
    lows, highs = np.sort(np.nan_to_num(both.min(axis=0), nan=-1.0)), np.sort(np.nan_to_num(both.max(axis=0), nan=1.0))
    as_far = (np.abs(2 * part[:, 0] - total) >= abs(total) - 1e-9).sum()
    rank = int(level * (FLIPS + 1))
    low, high = (float(lows[rank - 1]), float(highs[-rank])) if rank else (-1.0, 1.0)
    return PairedTest(total / n, low, high, float(as_far + 1) / (FLIPS + 1))


def clearly_best(correct: Sequence[np.ndarray], groups: np.ndarray) -> tuple[int, list[float]]:
    """Which of several candidates to take, and a p-value for each one after the first.

    The first is taken unless the candidate that is right most often is better by a paired test. Each is compared with
    the first on the same photos, whole products at a time; the p-values are corrected for the number of candidates.
    """
    p_values = holm([sign_flips(rival, correct[0], groups).p for rival in correct[1:]])
    best = max(range(len(correct)), key=lambda i: int(correct[i].sum()))
    return best if best and p_values[best - 1] < LIMIT else 0, p_values


def widen_to_resolution(test: PairedTest, products: int, level: float = LIMIT) -> PairedTest:
    """The interval of two that hardly ever differ, no narrower than so few products can show."""
    from scipy.special import ndtri

    if test.low > 0 or test.high < 0:
        return test
    z = float(ndtri(1 - level / 2))
    unseen = z * z / (products + z * z)
    low, high = min(test.low, test.difference - unseen), max(test.high, test.difference + unseen)
    return PairedTest(test.difference, max(-1.0, low), min(1.0, high), test.p)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many tests were made at once (Holm's step-down)."""
    corrected = np.zeros(len(p_values))
    running = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = running
    return [float(p) for p in corrected]


def levels(p_values: Sequence[float]) -> list[float]:
    """For each of several tests made at once the level at which Holm's step-down decides on it."""
    decided = np.zeros(len(p_values))
    level, stopped = LIMIT, False
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        level = level if stopped else LIMIT / (len(p_values) - rank)
        stopped = stopped or p_values[index] > level
        decided[index] = level
    return [float(level) for level in decided]


def verdict(test: PairedTest) -> str:
    """Who wins: `a`, `b`, or neither (`tie`)."""
    return "a" if test.low > 0 else "b" if test.high < 0 else "tie"
