"""Selective prediction: how many answers can stand without a person, at which accuracy, above which confidence.

The only place that decides this. Evidence is counted by products, because the photos of one stand or fall together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from featx.metrics.scores import Proportion, ScoredAnswers, share_by_group, wilson

TARGETS = (0.8, 0.9, 0.95, 0.98, 0.99)
# Photos that are filed without a person are right this often.
FILED = 0.98
# However little is promised, fewer products than these show nothing about categories.
LEAST = 50
CURVE_POINTS = 60
TABLE_PERCENTS = (100, 95, 90, 85, 80, 75, 70, 60, 50, 40, 30, 20, 10)


def min_products_for(target: float) -> int:
    """How many products a promise needs: with fewer, all may be right and it is broken one time in twenty."""
    return max(LEAST, round(3 / (1 - target)))


def first_with_products(candidates: Sequence[ScoredAnswers], n: int) -> ScoredAnswers | None:
    """The first of several sets of answers that shows enough products."""
    return next((answers for answers in candidates if answers.n_products >= n), None)


@dataclass(frozen=True)
class Cut:
    """The answers above a threshold: how large a share of all they are, and how many of them are correct."""

    coverage: float
    threshold: float | None
    precision: float | None


@dataclass(frozen=True)
class Automation:
    """How much can be filed without a person at a target precision; a coverage of None means too few products.

    `n` is the number of products that it was measured on (the most there are, where they are too few).
    """

    target: float
    coverage: float | None
    threshold: float | None
    precision: float | None
    measured_on: str
    n: int
    needed: int


def automation_at(confidence: np.ndarray, correct: np.ndarray, target: float = FILED) -> Cut:
    """The largest share of answers, most confident first, that is still correct at the target precision."""
    order, precision, cuts = _falling(confidence, correct)
    good = cuts[precision[cuts] >= target]
    if not len(good):
        return Cut(0.0, None, None)
    last = int(good[-1])
    return Cut((last + 1) / len(order), float(confidence[order][last]), float(precision[last]))


def automation_of(candidates: Sequence[ScoredAnswers], target: float = FILED) -> Automation:
    """What can be filed, measured on the first set of answers with enough products for such a promise."""
    needed = min_products_for(target)
    answers = first_with_products(candidates, needed)
    if answers is None:
        most = max(candidate.n_products for candidate in candidates)
        return Automation(target, None, None, None, candidates[0].measured_on, most, needed)
    cut = automation_at(answers.confidence, answers.correct, target)
    return Automation(
        target, cut.coverage, cut.threshold, cut.precision, answers.measured_on, answers.n_products, needed
    )


def automation_table(candidates: Sequence[ScoredAnswers]) -> list[Automation]:
    """What can be filed at each target precision for which there are enough products."""
    table = (automation_of(candidates, target) for target in TARGETS)
    return [row for row in table if row.coverage is not None]


def yield_above(threshold: float | None, answers: ScoredAnswers) -> Proportion:
    """What a threshold chosen elsewhere gives on these answers: how many of the answers above it are correct."""
    stands = answers.confidence >= (2.0 if threshold is None else threshold)
    return wilson(int(answers.correct[stands].sum()), int(stands.sum()))


def ceil_threshold(threshold: float, decimals: int) -> float:
    """A threshold in so many decimals: never lower, and 1 only where it is."""
    while True:
        scale = 10.0**decimals
        rounded = round(float(np.ceil(round(threshold * scale, 6)) / scale), decimals)
        if rounded < 1 or threshold >= 1 or decimals >= 12:
            return rounded
        decimals += 1


def format_threshold(threshold: float) -> str:
    """A threshold for people to read and to type: two decimals, more where they would say 1."""
    rounded = ceil_threshold(threshold, 2)
    return f"{rounded:.2f}" if round(rounded, 2) == rounded else f"{rounded:.12g}"


def coverage_table(confidence: np.ndarray, correct: np.ndarray, groups: np.ndarray) -> list[dict[str, float]]:
    """What answering only the most confident share buys: above which confidence, and how many are correct."""
    order = np.argsort(-confidence, kind="stable")
    table = []
    for percent in TABLE_PERCENTS:
        count = round(len(order) * percent / 100)
        if count:
            share = share_by_group(correct[order[:count]], groups[order[:count]])
            table.append(
                {
                    "coverage": percent / 100,
                    "threshold": float(np.floor(confidence[order[count - 1]] * 1e6) / 1e6),
                    "precision": round(share.value, 4),
                    "low": round(share.low, 4),
                    "high": round(share.high, 4),
                }
            )
    return table


def coverage_curve(confidence: np.ndarray, correct: np.ndarray, points: int = CURVE_POINTS) -> list[dict[str, float]]:
    """Most confident first: the share filed, above which confidence, the share of it that is correct."""
    order, precision, cuts = _falling(confidence, correct)
    filed = (cuts + 1) / max(len(order), 1)
    picked = (
        np.unique(np.searchsorted(filed, np.linspace(0.02, 1, points)).clip(max=len(cuts) - 1)) if len(cuts) else cuts
    )
    return [
        {
            "coverage": float(filed[i]),
            "threshold": float(confidence[order][cuts[i]]),
            "precision": float(precision[cuts[i]]),
        }
        for i in picked
    ]


def _falling(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order by falling confidence, the precision down to each answer, and after which of them one can cut."""
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    # A cut between equal confidences cannot be made in practice.
    cuts = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True)) if len(order) else np.zeros(0, dtype=int)
    return order, precision, cuts
