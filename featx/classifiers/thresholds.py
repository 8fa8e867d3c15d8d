"""From which confidence on an answer may stand: one threshold for each category, and the precision they really buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featx.errors import FeatxError
from featx.metrics.scores import Proportion, share_by_group, wilson
from featx.metrics.selective import automation_at, ceil_threshold

TARGETS = (0.8, 0.9, 0.95, 0.98, 0.99)
# A category is believed as much as all together until it brought this many answers of its own.
PRIOR = 20
PARTS = 5
# However little is promised, fewer products than these show nothing about categories.
LEAST = 50


def min_products_for(target: float) -> int:
    """How many products a promise needs: with fewer, all may be right and it is broken one time in twenty."""
    return max(LEAST, round(3 / (1 - target)))


@dataclass(frozen=True)
class Thresholds:
    """From which confidence on answers stand, so that the target share of them is right; None is never."""

    target: float
    everywhere: float | None
    categories: Mapping[str, float | None]

    def of(self, label: str) -> float:
        """The threshold of an answer; above 1 where no confidence is enough."""
        found = self.categories.get(label, self.everywhere)
        return 2.0 if found is None else found


def products(groups: np.ndarray) -> int:
    """How many products the pictures show: those of one stand or fall together, and count once."""
    return len(np.unique(groups))


def choose(
    target: float,
    sure: np.ndarray,
    says: np.ndarray,
    right: np.ndarray,
    classes: Sequence[str],
    least: Thresholds | None = None,
) -> Thresholds:
    """The lowest threshold of each category at which its answers are still right at the target precision.

    How often a category's answers are right is drawn towards how often all answers of that confidence are: a rare
    category borrows the common threshold, and earns its own as it brings evidence. Who asks for more never gets a lower
    threshold than who asks for less, nor than one of `least`.
    """
    found = least
    for step in sorted({target, *(one for one in TARGETS if one < target)}):
        found = _raised(_chosen(step, sure, says, right, classes), found)
    assert found is not None
    return found


def _raised(found: Thresholds, least: Thresholds | None) -> Thresholds:
    """Thresholds that are nowhere below others."""
    if least is None:
        return found

    def higher(one: float | None, other: float | None) -> float | None:
        return None if one is None or other is None else max(one, other)

    categories = {
        label: higher(one, least.categories.get(label, least.everywhere)) for label, one in found.categories.items()
    }
    return Thresholds(found.target, higher(found.everywhere, least.everywhere), categories)


def _chosen(target: float, sure: np.ndarray, says: np.ndarray, right: np.ndarray, classes: Sequence[str]) -> Thresholds:
    everywhere = automation_at(sure, right, "", target).threshold
    order = np.argsort(-sure, kind="stable")
    falling = -sure[order]
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    found: dict[str, float | None] = {}
    for number, label in enumerate(classes):
        mine = order[says[order] == number]
        cuts = sure[mine] if everywhere is None else np.union1d(sure[mine], [everywhere])
        if not len(cuts):
            found[label] = everywhere
            continue
        answered = np.searchsorted(-sure[mine], -cuts, side="right")
        hits = np.concatenate([[0], np.cumsum(right[mine])])[answered]
        common = precision[np.searchsorted(falling, -cuts, side="right") - 1]
        good = cuts[(hits + PRIOR * common) / (answered + PRIOR) >= target]
        found[label] = float(good.min()) if len(good) else None
    return Thresholds(target, everywhere, found)


def cross_validated_yield(
    target: float,
    sure: np.ndarray,
    says: np.ndarray,
    right: np.ndarray,
    classes: Sequence[str],
    groups: np.ndarray,
    least: Thresholds | None = None,
) -> tuple[float, Proportion]:
    """What thresholds chosen on some products buy on others: the share answered, and how much of that is right."""
    part = np.random.default_rng(0).integers(0, PARTS, int(groups.max()) + 1)[groups]
    stands = np.zeros(len(sure), dtype=bool)
    for one in range(PARTS):
        mine, others = part == one, part != one
        chosen = choose(target, sure[others], says[others], right[others], classes, least)
        limits = np.array([chosen.of(label) for label in classes])
        stands[mine] = sure[mine] >= limits[says[mine]]
    return float(stands.mean()), share_by_group(right[stands], groups[stands])


def table_of(
    sure: np.ndarray,
    says: np.ndarray,
    right: np.ndarray,
    classes: Sequence[str],
    groups: np.ndarray,
    below: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """For each target what belongs on the card: the thresholds, and what they bought on products not chosen on.

    A target that answers for so few products cannot show is left out, and so is one that a row of `below` has. No
    threshold lies under those of the rows of `below` for less, which were chosen on other pictures.
    """
    table: list[dict[str, Any]] = []
    for target in TARGETS:
        if products(groups) < min_products_for(target) or any(row["target"] == target for row in below):
            continue
        lower = max(
            (row for row in below if row["target"] < target), key=lambda row: float(row["target"]), default=None
        )
        least = None if lower is None else _of_row(lower)
        chosen = choose(target, sure, says, right, classes, least)
        answered, share = cross_validated_yield(target, sure, says, right, classes, groups, least)
        table.append(
            {
                "target": target,
                "everywhere": _short(chosen.everywhere),
                "answered": round(answered, 4),
                "precision": round(share.value, 4),
                "low": round(share.low, 4),
                "high": round(share.high, 4),
                "n": share.n,
                "categories": {label: _short(found) for label, found in chosen.categories.items()},
            }
        )
    return table


def thresholds_for(card: Mapping[str, Any], precision: float) -> tuple[Thresholds, dict[str, Any]]:
    """The thresholds on a classifier's card for at least that precision, and what they bought when measured."""
    if "thresholds" not in card:
        raise FeatxError(
            "bad-flag",
            "this classifier was trained before thresholds by category were kept",
            f"train it again: `featx fit --clf {card.get('clf', 'svm')}`",
        )
    if not card["thresholds"]:
        raise FeatxError(
            "bad-flag",
            f"no precision can be promised from {card['automation']['n']:,} products",
            f"label pictures of at least {LEAST}, or set the limit yourself with `--sure`",
        )
    good = [row for row in card["thresholds"] if row["target"] >= precision - 1e-9]
    if not good:
        most = max(float(row["target"]) for row in card["thresholds"])
        wanted = next((target for target in TARGETS if target >= precision - 1e-9), None)
        few = "" if wanted is None else f", which takes {min_products_for(wanted):,} products it has not learned from"
        raise FeatxError(
            "bad-flag", f"no threshold is known for a precision of {precision:g}{few}", f"ask for {most:g} at most"
        )
    row = min(good, key=lambda one: float(one["target"]))
    return _of_row(row), row


def _of_row(row: Mapping[str, Any]) -> Thresholds:
    return Thresholds(row["target"], row["everywhere"], row["categories"])


def yield_on(
    row: Mapping[str, Any], sure: np.ndarray, says: np.ndarray, right: np.ndarray, classes: Sequence[str]
) -> Proportion:
    """What the thresholds of a row of the card give on other pictures: how much of what is answered is right."""
    limits = _of_row(row)
    stands = sure >= np.array([limits.of(label) for label in classes])[says]
    return wilson(int(right[stands].sum()), int(stands.sum()))


def _short(threshold: float | None) -> float | None:
    """Rounded up: rounding must not let in what was not measured."""
    return None if threshold is None else ceil_threshold(threshold, 6)
