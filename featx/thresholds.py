"""From which confidence on an answer may stand: one threshold for each category, and the precision they really buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featx.classifiers import filing
from featx.errors import FeatxError
from featx.metrics import Share, share_by_group, wilson

TARGETS = (0.8, 0.9, 0.95, 0.98, 0.99)
# A category is believed as much as all together until it brought this many answers of its own.
PRIOR = 20
PARTS = 5
# However little is promised, fewer products than these show nothing about categories.
LEAST = 50


def needed(target: float) -> int:
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


def choose(target: float, sure: np.ndarray, says: np.ndarray, right: np.ndarray, classes: Sequence[str]) -> Thresholds:
    """The lowest threshold of each category at which its answers are still right at the target precision.

    How often a category's answers are right is drawn towards how often all answers of that confidence are: a rare
    category borrows the common threshold, and earns its own as it brings evidence.
    """
    everywhere = filing(sure, right, "", target).threshold
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


def tried(
    target: float, sure: np.ndarray, says: np.ndarray, right: np.ndarray, classes: Sequence[str], groups: np.ndarray
) -> tuple[float, Share]:
    """What thresholds chosen on some products buy on others: the share answered, and how much of that is right."""
    part = np.random.default_rng(0).integers(0, PARTS, int(groups.max()) + 1)[groups]
    stands = np.zeros(len(sure), dtype=bool)
    for one in range(PARTS):
        mine, others = part == one, part != one
        chosen = choose(target, sure[others], says[others], right[others], classes)
        limits = np.array([chosen.of(label) for label in classes])
        stands[mine] = sure[mine] >= limits[says[mine]]
    return float(stands.mean()), share_by_group(right[stands], groups[stands])


def table_of(
    sure: np.ndarray, says: np.ndarray, right: np.ndarray, classes: Sequence[str], groups: np.ndarray
) -> list[dict[str, Any]]:
    """For each target what belongs on the card: the thresholds, and what they bought on products not chosen on.

    A target that answers for so few products cannot show is left out.
    """
    table = []
    for target in TARGETS:
        if products(groups) < needed(target):
            continue
        chosen = choose(target, sure, says, right, classes)
        answered, share = tried(target, sure, says, right, classes, groups)
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
        few = "" if wanted is None else f", which takes {needed(wanted):,} products it has not learned from"
        raise FeatxError(
            "bad-flag", f"no threshold is known for a precision of {precision:g}{few}", f"ask for {most:g} at most"
        )
    row = min(good, key=lambda one: float(one["target"]))
    return Thresholds(row["target"], row["everywhere"], row["categories"]), row


def kept(
    row: Mapping[str, Any], sure: np.ndarray, says: np.ndarray, right: np.ndarray, classes: Sequence[str]
) -> Share:
    """What the thresholds of a row of the card give on other pictures: how much of what is answered is right."""
    limits = Thresholds(row["target"], row["everywhere"], row["categories"])
    stands = sure >= np.array([limits.of(label) for label in classes])[says]
    return wilson(int(right[stands].sum()), int(stands.sum()))


def _short(threshold: float | None) -> float | None:
    """Six decimals, rounded up: rounding must not let in what was not measured."""
    return None if threshold is None else round(float(np.ceil(threshold * 1e6) / 1e6), 6)
