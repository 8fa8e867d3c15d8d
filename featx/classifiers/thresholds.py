"""The confidence above which an answer is accepted: a threshold for each category, and their measured precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featx.classifiers.card import Card, ThresholdRow
from featx.errors import FeatxError
from featx.metrics.scores import Proportion, share_by_group, wilson
from featx.metrics.selective import LEAST, TARGETS, automation_at, ceil_threshold, min_products_for

# The weight of the overall precision in a category's own, in answers.
PRIOR = 20
PARTS = 5


@dataclass(frozen=True)
class Thresholds:
    """The confidence above which answers are accepted, so that the target share is correct; None means never."""

    target: float
    everywhere: float | None
    categories: Mapping[str, float | None]

    def of(self, label: str) -> float:
        """The threshold of an answer; above 1 if no confidence is enough."""
        threshold = self.categories.get(label, self.everywhere)
        return 2.0 if threshold is None else threshold


def choose(
    target: float,
    confidence: np.ndarray,
    predicted: np.ndarray,
    correct: np.ndarray,
    classes: Sequence[str],
    least: Thresholds | None = None,
) -> Thresholds:
    """The lowest threshold of each category at which its answers are still correct at the target precision.

    The precision of a category is drawn towards that of all answers of the same confidence: a rare category borrows the
    common threshold, and earns its own as it brings evidence. A higher target never gets a lower threshold than a lower
    target, nor than one of `least`.
    """
    thresholds = least
    for step in sorted({target, *(lower for lower in TARGETS if lower < target)}):
        thresholds = _raised(_chosen(step, confidence, predicted, correct, classes), thresholds)
    assert thresholds is not None
    return thresholds


def _raised(thresholds: Thresholds, least: Thresholds | None) -> Thresholds:
    """Thresholds raised to at least those of others."""
    if least is None:
        return thresholds

    def higher(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else max(a, b)

    categories = {
        label: higher(threshold, least.categories.get(label, least.everywhere))
        for label, threshold in thresholds.categories.items()
    }
    return Thresholds(thresholds.target, higher(thresholds.everywhere, least.everywhere), categories)


def _chosen(
    target: float, confidence: np.ndarray, predicted: np.ndarray, correct: np.ndarray, classes: Sequence[str]
) -> Thresholds:
    everywhere = automation_at(confidence, correct, target).threshold
    order = np.argsort(-confidence, kind="stable")
    falling = -confidence[order]
    precision = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    categories: dict[str, float | None] = {}
    for number, label in enumerate(classes):
        mine = order[predicted[order] == number]
        cuts = confidence[mine] if everywhere is None else np.union1d(confidence[mine], [everywhere])
        if not len(cuts):
            categories[label] = everywhere
            continue
        answered = np.searchsorted(-confidence[mine], -cuts, side="right")
        hits = np.concatenate([[0], np.cumsum(correct[mine])])[answered]
        common = precision[np.searchsorted(falling, -cuts, side="right") - 1]
        good = cuts[(hits + PRIOR * common) / (answered + PRIOR) >= target]
        categories[label] = float(good.min()) if len(good) else None
    return Thresholds(target, everywhere, categories)


def cross_validated_yield(
    target: float,
    confidence: np.ndarray,
    predicted: np.ndarray,
    correct: np.ndarray,
    classes: Sequence[str],
    groups: np.ndarray,
    least: Thresholds | None = None,
) -> tuple[float, Proportion]:
    """Thresholds chosen on some products, measured on others: the share answered, and the share of that correct."""
    part_of = np.random.default_rng(0).integers(0, PARTS, int(groups.max()) + 1)[groups]
    stands = np.zeros(len(confidence), dtype=bool)
    for part in range(PARTS):
        mine, others = part_of == part, part_of != part
        thresholds = choose(target, confidence[others], predicted[others], correct[others], classes, least)
        stands[mine] = confidence[mine] >= _by_class(thresholds, classes)[predicted[mine]]
    return float(stands.mean()), share_by_group(correct[stands], groups[stands])


def _by_class(thresholds: Thresholds, classes: Sequence[str]) -> np.ndarray:
    return np.array([thresholds.of(label) for label in classes])


def table_of(
    confidence: np.ndarray,
    predicted: np.ndarray,
    correct: np.ndarray,
    classes: Sequence[str],
    groups: np.ndarray,
    below: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """The rows of the card: for each target the thresholds, and their precision on other products.

    A target for which there are too few products is left out, and so is one that has a row in `below`. No threshold
    lies under those of the rows of `below` for lower targets, which were chosen on other photos.
    """
    table: list[dict[str, Any]] = []
    for target in TARGETS:
        if len(np.unique(groups)) < min_products_for(target) or any(row["target"] == target for row in below):
            continue
        lower = max(
            (row for row in below if row["target"] < target), key=lambda row: float(row["target"]), default=None
        )
        least = None if lower is None else _of_row(lower)
        thresholds = choose(target, confidence, predicted, correct, classes, least)
        answered, share = cross_validated_yield(target, confidence, predicted, correct, classes, groups, least)
        table.append(
            {
                "target": target,
                "everywhere": _rounded_up(thresholds.everywhere),
                "answered": round(answered, 4),
                "precision": round(share.value, 4),
                "low": round(share.low, 4),
                "high": round(share.high, 4),
                "n": share.n,
                "categories": {label: _rounded_up(value) for label, value in thresholds.categories.items()},
            }
        )
    return table


def thresholds_for(card: Card, precision: float) -> tuple[Thresholds, ThresholdRow]:
    """The thresholds on a classifier's card for at least that precision, and their measured precision."""
    if not card.thresholds:
        raise FeatxError(
            "bad-flag",
            f"no precision can be promised from {card.automation.n:,} products",
            f"label photos of at least {LEAST} products, or set the threshold yourself with `--sure`",
        )
    good = [row for row in card.thresholds if row.target >= precision - 1e-9]
    if not good:
        most = max(row.target for row in card.thresholds)
        target = next((target for target in TARGETS if target >= precision - 1e-9), None)
        few = "" if target is None else f", which takes {min_products_for(target):,} products it has not learned from"
        raise FeatxError("bad-flag", f"no threshold reaches a precision of {precision:g}{few}", f"use {most:g} at most")
    row = min(good, key=lambda row: row.target)
    return Thresholds(row.target, row.everywhere, row.categories), row


def _of_row(row: Mapping[str, Any]) -> Thresholds:
    return Thresholds(row["target"], row["everywhere"], row["categories"])


def yield_on(
    row: Mapping[str, Any], confidence: np.ndarray, predicted: np.ndarray, correct: np.ndarray, classes: Sequence[str]
) -> Proportion:
    """The thresholds of a row of the card on other photos: the share of accepted answers that is correct."""
    stands = confidence >= _by_class(_of_row(row), classes)[predicted]
    return wilson(int(correct[stands].sum()), int(stands.sum()))


def _rounded_up(threshold: float | None) -> float | None:
    """Rounding must not let in what was not measured."""
    return None if threshold is None else ceil_threshold(threshold, 6)
