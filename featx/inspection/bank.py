"""The patches of good photos: a few that stand for all of them, and how unlike them a good photo may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError
from featx.inspection.patches import Patches
from featx.views.quantities import percent

# Patches that are looked at to choose from, and patches that are kept.
CANDIDATES, KEPT = 20_000, 2_000
# Distances for the choice are taken in so many random directions.
DIRECTIONS = 48
# The unlikeness of a photo is the mean of this share of its patches, the most unlike ones.
WORST = 0.01
SEED = 0

Distances = NDArray[np.float32]


@dataclass(frozen=True)
class PatchBank:
    """Patches of good photos, each with the number of the photo, or the product, that it comes from."""

    patches: Patches
    owners: NDArray[np.intp]

    @classmethod
    def of(cls, photos: Sequence[Patches], owners: Sequence[int]) -> PatchBank:
        """The coreset of these photos' patches: each is near to one that is kept."""
        random = np.random.default_rng(SEED)
        rows = np.concatenate([patches.reshape(-1, patches.shape[-1]) for patches in photos])
        whose = np.repeat(np.asarray(owners, dtype=np.intp), [patches[..., 0].size for patches in photos])
        some = np.sort(random.permutation(len(rows))[:CANDIDATES])
        chosen = some[_spread_out(rows[some], KEPT, random)]
        return cls(rows[chosen], whose[chosen])

    def distances(self, patches: Patches, without: int | None = None) -> Distances:
        """How far each patch of a photo is from the nearest kept one; `without` those of one owner."""
        kept = self.patches if without is None else self.patches[self.owners != without]
        rows = patches.reshape(-1, patches.shape[-1])
        squared = (rows**2).sum(1)[:, None] + (kept**2).sum(1) - 2 * rows @ kept.T
        nearest: Distances = np.sqrt(np.clip(squared.min(axis=1), 0, None)).reshape(patches.shape[:2])
        return nearest


def _spread_out(rows: Patches, n: int, random: np.random.Generator) -> NDArray[np.intp]:
    """The numbers of rows of which each is as far as possible from those before it."""
    if len(rows) <= n:
        return np.arange(len(rows))
    directions = random.normal(size=(rows.shape[1], DIRECTIONS)).astype(np.float32) / DIRECTIONS**0.5
    short = rows @ directions
    squares = (short**2).sum(axis=1)
    chosen = np.zeros(n, dtype=np.intp)
    far = np.full(len(rows), np.inf, dtype=np.float32)
    for i in range(1, n):
        last = chosen[i - 1]
        np.minimum(far, squares + squares[last] - 2 * (short @ short[last]), out=far)
        chosen[i] = far.argmax()
    return np.sort(chosen)


def unlikeness(distances: Distances) -> float:
    """How unlike the good ones a photo is: the mean distance of its most unlike patches."""
    count = max(1, ceil(WORST * distances.size))
    return float(np.sort(distances, axis=None)[-count:].mean())


def limit_for(scores: Sequence[float], false_alarms: float) -> float:
    """The unlikeness that at most this share of further good photos exceeds, from those of good photos.

    If new photos come from where the good ones do, the share holds on average over all of them.
    """
    place = ceil((len(scores) + 1) * (1 - false_alarms))
    if place > len(scores):
        needed = ceil(1 / false_alarms) - 1
        raise FeatxError(
            "class-too-small",
            f"{len(scores)} good photos are too few for {percent(false_alarms)} false alarms, which takes {needed:,}",
            "name more good photos, or allow more: `--false-alarms 0.1`",
        )
    return float(np.sort(scores)[place - 1])
