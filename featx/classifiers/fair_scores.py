"""Fair scores of photos that a tuned network learned from, by trainings that left them out (`featx tune --folds`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from featx.labels.seen import fair_log_chances
from featx.labels.training_set import TrainingSet

# The classifier that answered in those trainings: the answers say nothing of another's confidence.
BY = "lda"


@dataclass(frozen=True)
class FairScores:
    """Scores of all rows to learn from, and which of them those trainings answer for."""

    scores: np.ndarray
    known: np.ndarray

    def instead_of(self, scores: np.ndarray, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores with the fair ones in place of those of seen rows, and which rows count then."""
        return np.where(self.known[:, None], self.scores, scores), counted | self.known


def fair_scores(training: TrainingSet, level: str | None) -> FairScores | None:
    """What those trainings say; None where there were none, or where they learned other categories."""
    scores = None if level else fair_log_chances(training.store, training.learn, training.classes)
    if scores is None:
        return None
    known = training.seen & np.isfinite(scores).all(axis=1)
    return FairScores(scores, known) if known.any() else None
