"""How far the probabilities can be trusted: thresholds and curves from right or wrong and how sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

TARGETS = (0.90, 0.95, 0.98, 0.99)
# Under this many scored photos a threshold says more about luck than about the classifier.
ENOUGH = 150


def wilson(right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if n == 0:
        return 0.0, 1.0
    share = right / n
    centre, spread = share + z * z / (2 * n), z * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    scale = 1 + z * z / n
    # Rounding must not put the share itself outside.
    return float(max(0.0, min(share, (centre - spread) / scale))), float(
        min(1.0, max(share, (centre + spread) / scale))
    )


def curve(right: Sequence[bool], sure: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Going from the surest photo down: the threshold, the share filed, the share of those that are right."""
    hits, confidence = np.asarray(right, dtype=bool), np.asarray(sure, dtype=float)
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    # Photos equally sure are filed together or not at all.
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)) if len(falling) else np.zeros(0, dtype=int)
    filed = ends + 1
    return falling[ends], filed / max(len(hits), 1), np.cumsum(hits[order])[ends] / np.maximum(filed, 1)


def thresholds(right: Sequence[bool], sure: Sequence[float]) -> list[dict[str, Any]]:
    """For each share of right answers wanted: from which threshold on it is reached, and how much that files."""
    at, filed, precision = curve(right, sure)
    found = []
    for target in TARGETS:
        good = np.flatnonzero(precision >= target)
        last = int(good[-1]) if len(good) else None
        found.append(
            {
                "target": target,
                "threshold": None if last is None else float(at[last]),
                "coverage": 0.0 if last is None else float(filed[last]),
                "precision": None if last is None else float(precision[last]),
            }
        )
    return found


def thinned(right: Sequence[bool], sure: Sequence[float], points: int = 60) -> list[dict[str, float]]:
    """The coverage curve in few points, for drawing."""
    at, filed, precision = curve(right, sure)
    if not len(at):
        return []
    picked = sorted({int(np.searchsorted(filed, share)) for share in np.linspace(0.02, 1, points)})
    return [
        {"coverage": float(filed[i]), "threshold": float(at[i]), "precision": float(precision[i])}
        for i in (min(i, len(at) - 1) for i in picked)
    ]
