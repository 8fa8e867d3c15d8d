"""The joined sets that pay: backbones that are better together than the best of them alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.backbones.joined import MOST
from featx.classifiers.suited_blocks import FOLDS, correct_in_folds, some_groups
from featx.comparison.alignment import AlignedStores, align
from featx.compute.left_out import centred_cosines
from featx.labels.folds import grouped_folds
from featx.metrics.block_choice import FEWEST
from featx.metrics.significance import clearly_best
from featx.store import Store

Parts = tuple[int, ...]


def joined_sets_that_pay(stores: Sequence[Store], test: Sequence[str], seed: int = 0) -> list[Parts]:
    """Sets of stores, by number, whose features joined are clearly better than those of the best store alone.

    A quick classifier answers in grouped folds. Beginning with the best store, the set grows by the store that helps
    most, as long as the larger set is better by a paired test; each of these larger sets is in the list.
    """
    if len(stores) < 2:
        return []
    measured = _Measured.of(align(stores, test=test), seed)
    return [] if measured is None else measured.growing_sets()


class _Measured:
    """What the quick classifier says of each set; a set's products are the mean of its members'."""

    def __init__(self, products: list[NDArray[np.float32]], labels: NDArray[np.str_], groups: NDArray[np.intp]) -> None:
        self.products, self.labels, self.groups = products, labels, groups
        self.folds = grouped_folds(labels.tolist(), groups, FOLDS, 0)

    @classmethod
    def of(cls, aligned: AlignedStores, seed: int) -> _Measured | None:
        """None where too few photos are labelled, or no fold can be cut."""
        rows = some_groups(aligned.groups, seed)
        if len(rows) < FEWEST:
            return None
        products = [centred_cosines(aligned.features(number)[rows]) for number in range(len(aligned.stores))]
        measured = cls(products, aligned.learned_labels[rows], aligned.groups[rows])
        return measured if measured.folds else None

    def correct(self, parts: Parts) -> NDArray[np.bool_]:
        """Whether each photo is right by the joined features of these stores."""
        together = np.mean([self.products[number] for number in parts], axis=0)
        return correct_in_folds(together, self.labels, self.folds)

    def growing_sets(self) -> list[Parts]:
        """Each set that is clearly better than the one before, the best single store being the first."""
        answers: dict[Parts, NDArray[np.bool_]] = {
            (number,): self.correct((number,)) for number in range(len(self.products))
        }
        chosen: Parts = max(answers, key=lambda parts: int(answers[parts].sum()))
        better: list[Parts] = []
        while len(chosen) < min(MOST, len(self.products)):
            larger = [tuple(sorted((*chosen, more))) for more in range(len(self.products)) if more not in chosen]
            answers |= {parts: self.correct(parts) for parts in larger}
            best, _ = clearly_best([answers[chosen], *(answers[parts] for parts in larger)], self.groups)
            if not best:
                break
            chosen = larger[best - 1]
            better.append(chosen)
        return better
