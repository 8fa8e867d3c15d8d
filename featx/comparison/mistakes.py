"""Where a classifier fails: category by category, pair by pair, with examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featx.comparison.document import Details
from featx.comparison.json_values import ANSWER_DECIMALS, as_record, rounded
from featx.metrics.assessment import Assessment
from featx.metrics.confusion import confusion_counts
from featx.metrics.scores import per_class

EXAMPLES = 6
PAIRS = 200


def collect_mistakes(assessment: Assessment, ids: Sequence[str], truths: Sequence[str], measured_on: str) -> Details:
    """The answer for every scored photo, and the figures that follow from it.

    `truths` are the true categories by name: some may be unknown to the classifier, and are put behind its classes.
    """
    answers, classes = assessment.answers, assessment.classes
    names = [*classes, *sorted(set(truths) - set(classes))]
    number_of = {label: i for i, label in enumerate(names)}
    truth = np.array([number_of[label] for label in truths], dtype=int)
    details = {
        "measured_on": measured_on,
        "ids": list(ids),
        "truth": truth.tolist(),
        "says": answers.predicted.tolist(),
        "confidence": answers.confidence.tolist(),
        "classes": names,
        "per_class": per_class(truth, answers.predicted, names),
        "confusions": most_frequent_confusions(truth, answers.predicted, answers.confidence, ids, names),
        "reliability": assessment.reliability,
        "coverage": assessment.coverage,
        "automation": assessment.automation_record(),
        "thresholds": assessment.threshold_records(),
    }
    return as_record(rounded(details, ANSWER_DECIMALS), Details)


def most_frequent_confusions(
    truth: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, ids: Sequence[str], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Which category is taken for which, most often first; the most confident mistakes as examples."""
    counts = confusion_counts(truth, predicted, len(classes))
    np.fill_diagonal(counts, 0)
    rows, columns = np.nonzero(counts)
    pairs = sorted(zip(rows.tolist(), columns.tolist(), strict=True), key=lambda pair: (-counts[pair], pair))[:PAIRS]
    by_confidence = np.argsort(-confidence, kind="stable")
    truth, predicted = truth[by_confidence], predicted[by_confidence]
    confusions = []
    for a, b in pairs:
        examples = by_confidence[(truth == a) & (predicted == b)][:EXAMPLES]
        pair = {"truth": classes[a], "says": classes[b], "n": int(counts[a, b])}
        confusions.append({**pair, "examples": [ids[int(i)] for i in examples]})
    return confusions
