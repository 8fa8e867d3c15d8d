"""A forest at a fraction of the usual cost that is as often right on frozen features."""

from __future__ import annotations

from typing import Any

TREES = 300


def quick_forest(seed: int = 0, n_jobs: int | None = None) -> Any:
    """Unfitted extremely randomised trees: they draw where to split instead of sorting every feature at every node."""
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(TREES, random_state=seed, n_jobs=n_jobs)
