"""Selective prediction: how many answers can stand at which accuracy, and above which confidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from featx.metrics.scores import share_by_group


@dataclass(frozen=True)
class Automation:
    """How much can be filed without a person at a promised precision, and from which confidence on."""

    target: float
    coverage: float
    threshold: float | None
    measured_on: str


def automation_at(confidence: np.ndarray, right: np.ndarray, measured_on: str, target: float = 0.98) -> Automation:
    """The largest share, surest first, that is still right at the target precision."""
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # A cut between equal confidences cannot be made in practice.
    cuts = np.append(np.diff(confidence[order]) != 0, True) if len(order) else np.zeros(0, bool)
    good = np.flatnonzero((precision >= target) & cuts)
    if not len(good):
        return Automation(target, 0.0, None, measured_on)
    last = int(good[-1])
    return Automation(target, (last + 1) / len(order), float(confidence[order][last]), measured_on)


def ceil_threshold(threshold: float, decimals: int) -> float:
    """A limit that answers must reach, in so many decimals: never lower, and 1 only where it is."""
    while True:
        scale = 10.0**decimals
        found = round(float(np.ceil(round(threshold * scale, 6)) / scale), decimals)
        if found < 1 or threshold >= 1 or decimals >= 12:
            return found
        decimals += 1


def format_threshold(threshold: float) -> str:
    """A limit for people to read and to type: two decimals, more where they would say 1."""
    found = ceil_threshold(threshold, 2)
    return f"{found:.2f}" if round(found, 2) == found else f"{found:.12g}"


def coverage_table(confidence: np.ndarray, right: np.ndarray, groups: np.ndarray) -> list[dict[str, float]]:
    """What answering only the surest share of pictures buys: from which confidence on, and how many are right."""
    order = np.argsort(-confidence, kind="stable")
    table = []
    for percent in (100, 95, 90, 85, 80, 75, 70, 60, 50, 40, 30, 20, 10):
        count = round(len(order) * percent / 100)
        if count:
            share = share_by_group(right[order[:count]], groups[order[:count]])
            table.append(
                {
                    "coverage": percent / 100,
                    "threshold": float(np.floor(confidence[order[count - 1]] * 1e6) / 1e6),
                    "precision": round(share.value, 4),
                    "low": round(share.low, 4),
                    "high": round(share.high, 4),
                }
            )
    return table


def coverage_curve(confidence: np.ndarray, right: np.ndarray, most: int = 100) -> list[dict[str, float]]:
    """What filing only the surest pictures buys: the share filed, from which confidence on, the share that is right."""
    n = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(right[order]) / np.arange(1, n + 1)
    # A cut between equal confidences cannot be made in practice.
    cuts = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True)) if n else np.zeros(0, dtype=int)
    if len(cuts) > most:
        cuts = cuts[np.unique(np.round(np.linspace(0, len(cuts) - 1, most)).astype(int))]
    return [
        {
            "coverage": float((cut + 1) / n),
            "threshold": float(confidence[order][cut]),
            "precision": float(precision[cut]),
        }
        for cut in cuts
    ]
