"""Categories that must not be missed: what was asked for, and the rows of the card that keep it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from featx.errors import FeatxError, did_you_mean
from featx.labels.training_set import TrainingSet
from featx.metrics.assessment import Assessment
from featx.metrics.recall import RecallThreshold, n_products, recall_threshold
from featx.metrics.selective import min_products_for
from featx.views.quantities import pluralise

# Below this, more is missed than a category that must not be missed allows; 1 can be shown by no number of products.
LOWEST, BELOW = 0.5, 1.0


def parse_min_recall(words: Sequence[str]) -> dict[str, float]:
    """Categories with the share of their products to catch, from words such as `prohibited=0.99`."""
    pairs = [_parsed(word) for word in words]
    twice = [category for category, n in Counter(category for category, _ in pairs).items() if n > 1]
    if twice:
        raise FeatxError("bad-flag", f"`--min-recall` names `{twice[0]}` more than once", "give it one share")
    return dict(pairs)


def _parsed(word: str) -> tuple[str, float]:
    # A category may have an equals sign in its name, a share has none.
    category, _, share = word.rpartition("=")
    try:
        return _required_name(category), float(share)
    except ValueError as error:
        raise FeatxError(
            "bad-flag", f"`--min-recall {word}` is no category and share", "write it as `--min-recall prohibited=0.99`"
        ) from error


def _required_name(category: str) -> str:
    if not category:
        raise ValueError("no category")
    return category


def require_products(training: TrainingSet, folds: int, min_recall: Mapping[str, float]) -> None:
    """Refuse what cannot be measured, before anything is trained."""
    for category, target in min_recall.items():
        if not LOWEST <= target < BELOW:
            raise FeatxError(
                "bad-flag",
                f"a recall of {target:g} cannot be promised for `{category}`",
                f"choose one from {LOWEST:g} to below {BELOW:g}, such as 0.99",
            )
        if category not in training.classes:
            raise FeatxError(
                "bad-flag",
                f"there is no category `{category}` to learn",
                did_you_mean(category, training.classes, "name one of the categories of the store"),
            )
        _require_enough(training, folds, category, target)


def _require_enough(training: TrainingSet, folds: int, category: str, target: float) -> None:
    held = n_products(training.held.truth == category, training.held.groups) if len(training.held) else 0
    of_category = training.labels[training.learn] == category
    folded = n_products(of_category & training.scored_rows(folds), training.groups)
    needed, most = min_products_for(target), max(held, folded)
    if most < needed:
        raise FeatxError(
            "class-too-small",
            f"`{category}` has {pluralise(most, 'product')} to measure on, and a recall of {target:g} takes {needed:,}",
            f"label photos of more products of it, or ask for less: {_possible(category, most)}",
        )


def _possible(category: str, n: int) -> str:
    """What so many products can show, as an option."""
    shares = [share for share in (0.99, 0.98, 0.95, 0.9) if min_products_for(share) <= n]
    return f"`--min-recall '{category}={shares[0]}'`" if shares else f"{min_products_for(0.9)} products allow 0.9"


def recall_rows(assessment: Assessment, min_recall: Mapping[str, float]) -> list[dict[str, Any]]:
    """The rows of the card: for each category its threshold, how many it catches, and how many others it flags."""
    classes = list(assessment.classes)
    return [
        _row(category, recall_threshold(assessment.candidates, classes.index(category), target))
        for category, target in min_recall.items()
    ]


def _row(category: str, chosen: RecallThreshold | None) -> dict[str, Any]:
    assert chosen is not None, "require_products has seen enough"
    recall, alarms = chosen.recall, chosen.false_alarms
    return {
        "category": category,
        "target": chosen.target,
        "threshold": chosen.threshold,
        "recall": round(recall.value, 4),
        "low": round(recall.low, 4),
        "high": round(recall.high, 4),
        "n": recall.n,
        "false_alarms": round(alarms.value, 4),
        "false_alarms_low": round(alarms.low, 4),
        "false_alarms_high": round(alarms.high, 4),
        "others": alarms.n,
        "measured_on": chosen.measured_on,
    }
