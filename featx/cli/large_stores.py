"""What comparing every photo with every other will take, said before it begins, where that is more than a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featx.cli.output import Output
from featx.views.quantities import duration

if TYPE_CHECKING:
    from featx.store import Store

# Fewer photos take seconds.
LARGE = 20_000
# How often all photos are compared with all: each pair once is half.
DUPLICATES = 0.5
# To group copies, for the neighbours of each photo, and for copies in two splits.
ISSUES = 2.0
# To group copies, and to count those that lie between folds; training comes on top.
FIT = 1.5
# The same, the nearest neighbours of each fold, and the look-alikes of each photo.
COMPARE = 3.0
# Its checks of labels and copies.
REPORT = ISSUES + DUPLICATES


def say_cost_of_pairs(store: Store, times: float, advice: str, products: int | None, out: Output) -> None:
    """Say how long it takes to compare the photos of a store with each other so often, and what to do instead.

    Nothing where some `products` are drawn, or where it is done within a minute.
    """
    if products is not None or len(store) <= LARGE:
        return
    from featx.compute.pairs_pace import seconds_of_pairs

    seconds = times * seconds_of_pairs(store.features_map())
    if seconds >= 60:
        about = duration(60 * round(seconds / 60)).removesuffix(" 0 s")
        out.warn(
            f"{len(store):,} photos are compared with each other, which takes {about} or more on this machine; {advice}"
        )
