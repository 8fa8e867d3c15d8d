"""Good photos → what is usual: a bank of their patches, and how unlike it each of them is without itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.backbones import Encoder
from featx.errors import FeatxError
from featx.images import PhotoLike
from featx.inspection.bank import PatchBank, limit_for, unlikeness
from featx.inspection.patches import patched_photos

FEWEST = 10


@dataclass(frozen=True)
class Learned:
    """What good photos taught: their patches, and for each photo, measured without its own product, its unlikeness
    and the distance of its most unlike patch.
    """

    bank: PatchBank
    scores: NDArray[np.float64]
    worst: NDArray[np.float64]
    n_products: int
    # Why some photos could not be read.
    skipped: list[str]

    def limit(self, false_alarms: float) -> float:
        """The unlikeness above which a photo is unlike the good ones."""
        return limit_for(self.scores.tolist(), false_alarms)

    def usual(self, false_alarms: float) -> float:
        """The distance that few good photos have a patch above."""
        return float(np.quantile(self.worst, 1 - false_alarms))


def learn(good: Sequence[PhotoLike], encoder: Encoder, products: Sequence[str | None] | None = None) -> Learned:
    """Learn from good photos; `products` says which show the same one, and copies count once.

    Photos of one product say less of others than their number promises: each is measured without its own product.
    """
    owners, photos, skipped, seen = [], [], [], set[str]()
    numbers: dict[object, int] = {}
    named = products or [None] * len(good)
    for photo, product in zip(patched_photos(good, encoder), named, strict=True):
        if photo.patches is None:
            skipped.append(str(photo.unreadable))
        elif photo.digest not in seen:  # a copy would be its own proof
            seen.add(photo.digest)
            photos.append(photo.patches)
            owners.append(numbers.setdefault(product or photo.digest, len(numbers)))
    if len(numbers) < FEWEST:
        raise FeatxError(
            "class-too-small",
            f"there are {len(numbers)} good photos of different products, and {FEWEST} are needed",
            "name more of them: `--good FOLDER`",
        )
    bank = PatchBank.of(photos, owners)
    maps = [bank.distances(patches, without=owner) for patches, owner in zip(photos, owners, strict=True)]
    scores = np.array([unlikeness(distances) for distances in maps])
    worst = np.array([float(distances.max()) for distances in maps])
    return Learned(bank, scores, worst, len(numbers), skipped)
