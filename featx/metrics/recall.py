"""The probability from which photos must be flagged so that few products of a category are missed, and what that costs.

Counted by products, and to the safe side: a product is caught only if every photo of it is flagged, and it is a false
alarm if any photo of it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from featx.metrics.scores import Proportion, ScoredAnswers, wilson
from featx.metrics.selective import min_products_for

PARTS = 5
# Decimals of a threshold; it is rounded down, for rounding must not miss what was caught.
DECIMALS = 9


@dataclass(frozen=True)
class RecallThreshold:
    """The largest threshold that catches the target share of a category's products.

    `recall` is measured on products it was not chosen on; `false_alarms` is the share of other products it flags.
    """

    target: float
    threshold: float
    recall: Proportion
    false_alarms: Proportion
    measured_on: str


def n_products(of_category: np.ndarray, groups: np.ndarray) -> int:
    """How many products of a category these photos show."""
    return len(np.unique(groups[of_category]))


def recall_threshold(candidates: Sequence[ScoredAnswers], category: int, target: float) -> RecallThreshold | None:
    """The threshold chosen on the first answers that show enough products of the category; None where none do."""
    needed = min_products_for(target)
    for answers in candidates:
        if n_products(answers.truth == category, answers.groups) >= needed:
            return _chosen(answers, category, target)
    return None


def _chosen(answers: ScoredAnswers, category: int, target: float) -> RecallThreshold:
    own = answers.truth == category
    shares = answers.probabilities[:, category]
    least = _by_product(np.minimum, shares[own], answers.groups[own])
    most = _by_product(np.maximum, shares[~own], answers.groups[~own])
    threshold = _catching(least, target)
    alarms = wilson(int((most >= threshold).sum()), len(most))
    return RecallThreshold(target, threshold, _recall_elsewhere(least, target), alarms, answers.measured_on)


def _by_product(of: np.ufunc, shares: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The least or the largest share of each product."""
    if not len(groups):
        return np.zeros(0)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order][0] - 1))
    return np.asarray(of.reduceat(shares[order], starts))


def _catching(least: np.ndarray, target: float) -> float:
    """The largest threshold that catches the target share of products and of one more, which the worst stands for.

    Counting the one to come keeps the promise for it too, on average over all choices of products.
    """
    n = len(least)
    caught = min(n, int(np.ceil(target * (n + 1) - 1e-9)))
    lowest = float(np.sort(least)[n - caught])
    return float(np.floor(lowest * 10.0**DECIMALS) / 10.0**DECIMALS)


def _recall_elsewhere(least: np.ndarray, target: float) -> Proportion:
    """The share of products caught by thresholds that were chosen on other products."""
    part_of = np.random.default_rng(0).permutation(len(least)) % PARTS
    caught = [least[part_of == part] >= _catching(least[part_of != part], target) for part in range(PARTS)]
    return wilson(int(np.concatenate(caught).sum()), len(least))
