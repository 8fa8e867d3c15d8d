"""How good a classifier's answers are: the one record that `fit`, `compare` and `evaluate` report from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from featx.metrics.confusion import confusion_counts, most_frequent_mistakes
from featx.metrics.scores import Interval, Proportion, ScoredAnswers, bootstrap, reliability, share_by_group
from featx.metrics.selective import (
    FILED,
    LEAST,
    Automation,
    automation_of,
    automation_table,
    ceil_threshold,
    coverage_curve,
    first_with_products,
    yield_above,
)


@dataclass(frozen=True)
class Assessment:
    """Scores with intervals, thresholds and mistakes of answers to photos that the classifier had not seen.

    `answers` are scored. Thresholds are chosen on the first of `answers` and `others` with enough products for them.
    Each part is computed on demand: the intervals of all scores take a thousand draws.
    """

    answers: ScoredAnswers
    classes: Sequence[str]
    others: tuple[ScoredAnswers, ...] = ()
    seed: int = 0

    @property
    def candidates(self) -> tuple[ScoredAnswers, ...]:
        """Where thresholds may be chosen, the best first."""
        return (self.answers, *self.others)

    @cached_property
    def accuracy(self) -> Proportion:
        """How many answers are correct."""
        return share_by_group(self.answers.correct, self.answers.groups)

    @cached_property
    def scores(self) -> dict[str, Interval]:
        """Every metric with its interval."""
        answers = self.answers
        return bootstrap(answers.truth, answers.probabilities, answers.groups, seed=self.seed)

    @cached_property
    def automation(self) -> Automation:
        """How much can be filed without a person."""
        return automation_of(self.candidates, FILED)

    @cached_property
    def thresholds(self) -> list[Automation]:
        """How much can be filed at each precision for which there are enough products."""
        return automation_table(self.candidates)

    @cached_property
    def curve_answers(self) -> ScoredAnswers:
        """The answers that a coverage curve is drawn from."""
        return first_with_products(self.candidates, LEAST) or self.answers

    @property
    def coverage(self) -> list[dict[str, float]]:
        """The coverage curve."""
        return coverage_curve(self.curve_answers.confidence, self.curve_answers.correct)

    @property
    def reliability(self) -> list[dict[str, float]]:
        """Confidence against accuracy, bin by bin."""
        return [row for row in reliability(self.answers.confidence, self.answers.correct) if row["n"]]

    @cached_property
    def matrix(self) -> np.ndarray:
        """How often each category (row) was taken for each (column)."""
        return confusion_counts(self.answers.truth, self.answers.predicted, len(self.classes))

    def weakest(self, most: int = 3) -> list[dict[str, Any]]:
        """The categories that are missed most, and what they are usually taken for."""
        rows = []
        for i, mistake in enumerate(most_frequent_mistakes(self.matrix)):
            n, hits = int(self.matrix[i].sum()), int(self.matrix[i, i])
            if mistake is not None:
                other, times = mistake
                rows.append(
                    {
                        "label": self.classes[i],
                        "recall": round(hits / n, 4),
                        "n": n,
                        "taken_for": self.classes[other],
                        "times": times,
                        "misses": n - hits,
                    }
                )
        return sorted(rows, key=lambda row: (row["recall"], row["label"]))[:most]

    def automation_record(self) -> dict[str, Any]:
        """How much can be filed, as cards and documents keep it."""
        row = self.automation
        return {
            "target": row.target,
            "coverage": None if row.coverage is None else round(row.coverage, 4),
            "threshold": _kept(row.threshold),
            "measured_on": row.measured_on,
            "n": row.n,
            "needed": row.needed,
            "held_out": self._held_out(),
        }

    def threshold_records(self) -> list[dict[str, Any]]:
        """The thresholds at each precision, as documents keep them."""
        return [{**asdict(row), "threshold": _kept(row.threshold)} for row in self.thresholds]

    def _held_out(self) -> dict[str, Any] | None:
        """What the threshold does to scored answers that were too few to choose it on."""
        automation = self.automation
        if automation.coverage is None or automation.measured_on == self.answers.measured_on:
            return None
        return yield_record(yield_above(automation.threshold, self.answers), len(self.answers))


def assess(
    answers: ScoredAnswers, classes: Sequence[str], others: Sequence[ScoredAnswers] = (), seed: int = 0
) -> Assessment:
    """Assess answers; thresholds may be chosen on `others` where these show too few products."""
    return Assessment(answers, classes, tuple(others), seed)


def _kept(threshold: float | None) -> float | None:
    """A threshold in six decimals, never rounded down: rounding must not let in what was not measured."""
    return None if threshold is None else ceil_threshold(threshold, 6)


def yield_record(share: Proportion, n: int) -> dict[str, Any]:
    """How many of n photos a threshold answers, and how many of those answers are correct."""
    return {"n": n, "answered": share.n, "right": round(share.value, 4)}
