"""Does a new photo look like anything that was learned from? The nearest known photo answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from featx.compute.vectors import max_cosines, unit_rows
from featx.labels.folds import Fold

MOST = 4000
FALSE_ALARMS = 0.02


@dataclass(frozen=True)
class NoveltyDetector:
    """What was learned from, and how far from it the known photos themselves lie."""

    rows: np.ndarray
    threshold: float

    def similarity(self, features: np.ndarray) -> np.ndarray:
        """The cosine of each row with the most alike row that was learned from."""
        if not len(self.rows):
            return np.ones(len(features), dtype=np.float32)
        return max_cosines(unit_rows(features), self.rows.astype(np.float32))

    def strange(self, features: np.ndarray) -> np.ndarray:
        """Which rows are unlike anything learned from."""
        flags: np.ndarray = self.similarity(features) < self.threshold
        return flags


def fit_novelty(features: np.ndarray, folds: list[Fold], seed: int = 0) -> NoveltyDetector:
    """Keep what was learned from, and a threshold that one in fifty known photos would fail: measured across folds."""
    unit = unit_rows(features)
    nearest = np.ones(len(unit), dtype=np.float32)
    for learn, score in folds:
        nearest[score] = NoveltyDetector(unit[learn], -1.0).similarity(unit[score])
    threshold = float(np.quantile(nearest, FALSE_ALARMS)) if folds else -1.0
    chosen = np.arange(len(unit))
    if len(unit) > MOST:
        chosen = np.sort(np.random.default_rng(seed).choice(len(unit), MOST, replace=False))
        # With fewer rows to be near to, the same photos lie a little farther away.
        thinned = NoveltyDetector(unit[chosen], -1.0).similarity(unit[np.setdiff1d(np.arange(len(unit)), chosen)])
        threshold = min(threshold, float(np.quantile(thinned, FALSE_ALARMS)))
    return NoveltyDetector(unit[chosen].astype(np.float16), threshold)
