"""Where a classifier fails: category by category, pair by pair, with examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featx.metrics.scores import ScoredAnswers, per_class, reliability
from featx.metrics.selective import coverage_curve

EXAMPLES = 6
PAIRS = 200


def collect_mistakes(
    judged: ScoredAnswers, ids: Sequence[str], truths: Sequence[str], classes: Sequence[str], measured_on: str
) -> dict[str, Any]:
    """What was said of every scored picture, and what follows from it.

    `truths` are the true categories by name: some may be unknown to the classifier, and are put behind its `classes`.
    """
    names = [*classes, *sorted(set(truths) - set(classes))]
    place = {label: i for i, label in enumerate(names)}
    truth = np.array([place[label] for label in truths], dtype=int)
    says, confidence, right = judged.says, judged.confidence, judged.right
    return {
        "measured_on": measured_on,
        "ids": list(ids),
        "truth": truth.tolist(),
        "says": says.tolist(),
        "confidence": confidence.tolist(),
        "classes": names,
        "per_class": per_class(truth, says, names),
        "confusions": confusions(truth, says, confidence, ids, names),
        "reliability": [one for one in reliability(confidence, right) if one["n"]],
        "coverage": coverage_curve(confidence, right),
    }


def confusions(
    truth: np.ndarray, says: np.ndarray, confidence: np.ndarray, ids: Sequence[str], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Which category is taken for which, most often first; the surest mistakes as examples."""
    wrong = np.flatnonzero(truth != says)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    pairs: dict[tuple[int, int], list[str]] = {}
    for i in wrong:
        pairs.setdefault((int(truth[i]), int(says[i])), []).append(ids[int(i)])
    worst = sorted(pairs.items(), key=lambda one: (-len(one[1]), one[0]))[:PAIRS]
    return [
        {"truth": classes[true], "says": classes[said], "n": len(found), "examples": found[:EXAMPLES]}
        for (true, said), found in worst
    ]
