"""Is a new photo unlike anything in the training set? The nearest training photo decides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from featx.compute.vectors import cosine_blocks, unit_rows
from featx.labels.folds import Fold

MOST = 4000
FALSE_ALARMS = 0.02
# More than two ways of adding up a cosine differ by.
ROUNDING = 1e-5


@dataclass(frozen=True)
class NoveltyDetector:
    """Rows of the training set, and the least similarity to them that counts as known."""

    rows: np.ndarray
    threshold: float

    def similarity(self, features: np.ndarray) -> np.ndarray:
        """The cosine of each row with the most similar row of the training set, whatever other rows come with it."""
        best = np.ones(len(features), dtype=np.float32)
        if not len(self.rows):
            return best
        unit, known = unit_rows(features), self._rows
        for part, cosines in cosine_blocks(unit, known):
            # A product of matrices gives a row other last digits in other company; a product of two rows does not.
            close = cosines >= cosines.max(axis=1, keepdims=True) - ROUNDING
            best[part] = [
                max(np.dot(known[i], row) for i in np.flatnonzero(near))
                for near, row in zip(close, unit[part], strict=True)
            ]
        return best

    @cached_property
    def _rows(self) -> np.ndarray:
        """The rows as they are compared; a server asks again and again, and their conversion takes longest."""
        return self.rows.astype(np.float32)

    def is_novel(self, features: np.ndarray) -> np.ndarray:
        """Which rows are unlike anything in the training set."""
        flags: np.ndarray = self.similarity(features) < self.threshold
        return flags


def fit_novelty(
    features: np.ndarray, folds: list[Fold], seed: int = 0, seen: np.ndarray | None = None
) -> NoveltyDetector:
    """Keep training rows, and a threshold below which one known photo in fifty falls, measured across folds.

    Rows that a tuned network has `seen` lie closer together than new ones will: the threshold is for the others.
    """
    unit = unit_rows(features)
    nearest = np.ones(len(unit), dtype=np.float32)
    for learn, score in folds:
        nearest[score] = NoveltyDetector(unit[learn], -1.0).similarity(unit[score])
    fair = np.ones(len(unit), dtype=bool) if seen is None or seen.all() else ~seen
    threshold = float(np.quantile(nearest[fair], FALSE_ALARMS)) if folds else -1.0
    kept = np.arange(len(unit))
    if len(unit) > MOST:
        kept = np.sort(np.random.default_rng(seed).choice(len(unit), MOST, replace=False))
        # With fewer rows to compare with, the nearest is a little farther.
        thinned = NoveltyDetector(unit[kept], -1.0).similarity(unit[np.setdiff1d(np.arange(len(unit)), kept)])
        threshold = min(threshold, float(np.quantile(thinned, FALSE_ALARMS)))
    return NoveltyDetector(unit[kept].astype(np.float16), threshold)
