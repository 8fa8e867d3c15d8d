"""Which photos are learned from, and which only judge: whole products, near-copies with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from featx.backbones import Fingerprint
from featx.catalogue.items import Item
from featx.errors import FeatxError
from featx.labels.folds import grouped_folds, near_duplicate_rate
from featx.labels.training_set import TrainingSet, training_set_of
from featx.store import Store
from featx.store.in_memory import store_in_memory

# Below so many photos in the usual category a network learns the photos, not the category.
FEWEST = 5
JUDGE, TEST = "val", "test"


@dataclass(frozen=True)
class Photos:
    """The labelled photos of a run: rows of a store in memory, divided into those that are learned from and others.

    `store` has the judging photos in the split `val`, so that whatever takes a store holds them out.
    """

    store: Store
    labels: NDArray[np.str_]
    learn: NDArray[np.intp]
    judge: NDArray[np.intp]
    test: NDArray[np.intp]
    groups: NDArray[np.intp]
    # The products of the photos that are learned from, with their near-copies, by number.
    kept_together: NDArray[np.intp]
    # How far a discriminant analysis shrinks its covariances.
    shrinkage: float = 0.1

    @cached_property
    def twins(self) -> float:
        """The share of the judging photos that nearly are photos which are learned from."""
        features = self.store.features
        return near_duplicate_rate(features[self.judge], features[self.learn])

    @property
    def categories(self) -> list[str]:
        """The categories that are learned, in their order in the head."""
        return sorted(set(self.labels[self.learn].tolist()))

    @property
    def digests(self) -> list[str]:
        """The SHA-256 of each photo."""
        return self.store.digests

    def truth(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """The numbers of the categories of some rows; -1 for one that is not learned."""
        numbers = {label: i for i, label in enumerate(self.categories)}
        return np.array([numbers.get(label, -1) for label in self.labels[rows]], dtype=np.intp)

    def with_features(self, features: NDArray[np.float32], fingerprint: Fingerprint) -> Store:
        """The same rows with other features."""
        return store_in_memory(
            str(self.store.path), list(self.store.known().values()), features, fingerprint, self.store.provenance
        )


def divided(
    items: Sequence[Item],
    features: NDArray[np.float32],
    fingerprint: Fingerprint,
    provenance: dict[str, object],
    name: str,
    val: str,
    seed: int,
    judged_before: Collection[str] = (),
) -> Photos:
    """Labelled photos as `--val` wants them divided: by a split of the catalogue, or by a share of the products.

    Photos that judged an earlier training, by their digests, judge again, and all others are learned from.
    """
    share = _share(val)
    if judged_before:
        items = [replace(item, split=JUDGE) if item.digest in judged_before else item for item in items]
    if share is None or any(item.split == JUDGE and item.label is not None for item in items):
        items = [replace(item, split=_renamed(item.split, val if share is None else JUDGE)) for item in items]
    whole = store_in_memory(name, items, features, fingerprint, provenance)
    training = training_set_of(whole, test=(JUDGE, TEST))
    _enough_of_each(training)
    if not any(item.split == JUDGE and item.label is not None for item in items):
        if share is None:
            raise FeatxError(
                "bad-flag", f"no labelled photo is in the split `{val}`", "name another, or a share: `--val 0.2`"
            )
        judging = set(_fold(training, share, seed).tolist()) if not training.seen.any() else _judged_before(training)
        items = [replace(item, split=JUDGE) if i in judging else item for i, item in enumerate(items)]
        whole = store_in_memory(name, items, features, fingerprint, provenance)
        training = training_set_of(whole, test=(JUDGE, TEST))
    splits = np.array([item.split or "" for item in items])
    held = training.held.rows
    judge = held[splits[held] == JUDGE]
    if len(set(training.labels[judge].tolist())) < 2:
        raise FeatxError(
            "class-too-small",
            "the photos that judge are of fewer than two categories, which no network can mistake",
            "name more products in each category, or another share: `--val 0.3`",
        )
    tested, groups = held[splits[held] == TEST], _all_groups(whole)
    return Photos(whole, training.labels, training.learn, judge, tested, groups, training.groups)


def _fold(training: TrainingSet, share: float, seed: int) -> NDArray[np.intp]:
    """Rows of about this share of the products, every category as well as can be."""
    labels = training.labels[training.learn].tolist()
    folds = grouped_folds(labels, training.groups, max(2, round(1 / share)), seed)
    if not folds:
        raise FeatxError(
            "class-too-small",
            "all photos are of one product, or near-copies of each other, so none can judge the others",
            "name the product of each photo: `--group-col COLUMN`",
        )
    return np.asarray(training.learn[folds[0][1]])


def _judged_before(training: TrainingSet) -> set[int]:
    """Of a network that was tuned before only what it has not learned from can judge: the same photos as then."""
    judging = set(training.learn[~training.seen].tolist())
    if not judging:
        raise FeatxError(
            "class-too-small",
            "the network has learned from all of these photos, so none of them can judge it",
            "let others judge: `--val SPLIT`, or tune the network that it came from",
        )
    return judging


def _all_groups(store: Store) -> NDArray[np.intp]:
    products = [store.product_of(i) for i in range(len(store))]
    return np.asarray(np.unique(products, return_inverse=True)[1])


def _enough_of_each(training: TrainingSet) -> None:
    sizes = Counter(training.labels[training.learn].tolist())
    usual = float(np.median(list(sizes.values())))
    if usual < FEWEST:
        raise FeatxError(
            "class-too-small",
            f"half of the {len(sizes):,} categories have {usual:.0f} photos or fewer: a network would learn the photos "
            f"themselves, not the category; tuning needs {FEWEST}",
            "`featx fit` does well with so few; tune when there are more",
        )


def _share(val: str) -> float | None:
    """The share that `--val` names; None where it names a split."""
    try:
        share = float(val)
    except ValueError:
        return None
    if not 0.05 <= share <= 0.5:
        raise FeatxError("bad-flag", f"`--val {val}` is not a share from 0.05 to 0.5", "such as `--val 0.2`")
    return share


def _renamed(split: str | None, judging: str) -> str | None:
    """The split of a photo where the photos of `judging` judge, and other held-out ones only test."""
    if split == judging:
        return JUDGE
    return TEST if split in (JUDGE, TEST) else split
