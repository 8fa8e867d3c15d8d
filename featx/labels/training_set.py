"""Training photos and held-out photos: splits of one store, or another store to score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from featx.compute.hashes import number_for
from featx.errors import FeatxError, did_you_mean
from featx.labels.decisions import labels_after_decisions
from featx.labels.folds import NestedFolds, foldable_categories, groups_of
from featx.labels.seen import seen_by, seen_rows
from featx.store import Store
from featx.store.in_memory import rows_in_memory

HELD_OUT = ("test", "val")
# Of a category no fewer products are drawn than two for each of the usual folds.
FEWEST_DRAWN = 10

# The digest of a photo and its category.
Lesson = tuple[str, str]


@dataclass(frozen=True)
class HeldOut:
    """Photos that are scored and never learned from: rows of a store, with the labels of all its rows.

    `learned` counts photos that were left out because their very bytes are used for training, `seen` those that a tuned
    network learned from.
    """

    store: Store
    labels: np.ndarray
    rows: np.ndarray
    learned: int = 0
    seen: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def features(self) -> np.ndarray:
        """The features of the held-out photos."""
        return np.asarray(self.store.features[self.rows])

    @property
    def truth(self) -> np.ndarray:
        """Their categories."""
        return np.asarray(self.labels[self.rows])

    @property
    def groups(self) -> np.ndarray:
        """Photos of one product share a number."""
        return np.unique([self.store.product_of(int(i)) for i in self.rows], return_inverse=True)[1]


@dataclass(frozen=True)
class TrainingSet:
    """Rows to learn from with their labels and groups that stay together, and the photos to score."""

    store: Store
    labels: np.ndarray
    learn: np.ndarray
    held: HeldOut
    groups: np.ndarray
    # At a coarser level: the labels of all rows as they are, where each belongs to one category of that level.
    finer: np.ndarray | None = None
    # How many products there are to learn from; where fewer were drawn, more than are in the set.
    known_products: int = 0

    @cached_property
    def seen(self) -> np.ndarray:
        """Which of the rows to learn from a tuned network has seen: they are learned from, and never scored."""
        return np.asarray(seen_rows(self.store)[self.learn])

    def nested_folds(self, folds: int, seed: int) -> NestedFolds:
        """The folds of these rows, cut once for all classifiers that are tried in them."""
        if (folds, seed) not in self._nested_folds:
            self._nested_folds[folds, seed] = NestedFolds(self.labels[self.learn], self.groups, folds, seed)
        return self._nested_folds[folds, seed]

    @cached_property
    def _nested_folds(self) -> dict[tuple[int, int], NestedFolds]:
        return {}

    @property
    def classes(self) -> list[str]:
        """The categories that can be learned."""
        return sorted(set(self.labels[self.learn].tolist()))

    def scored_rows(self, folds: int) -> np.ndarray:
        """Which of the rows to learn from count in cross-validation: those of categories with a product per fold.

        None that a tuned network has seen.
        """
        labels = self.labels[self.learn]
        counted: np.ndarray = np.isin(labels, foldable_categories(labels, self.groups, folds)) & ~self.seen
        return counted


def training_set_of(
    store: Store,
    level: str | None = None,
    test: Sequence[str] = HELD_OUT,
    elsewhere: Store | None = None,
    products: int | None = None,
    seed: int = 0,
) -> TrainingSet:
    """Split the labelled rows of a store; rows of the splits in `test` are scored and never learned from.

    The labels are those that people decided on. With a store `elsewhere` its photos are scored instead, except those
    whose very bytes are used for training. With `products` about so many of them are learned from, drawn at random.
    """
    decided = labels_for(store, level)
    learn = np.array(_learnable(store, decided, test), dtype=int)
    held = held_out_of(store, level, test, elsewhere)
    labels = _texts(decided)
    held_back = sum(label is not None for label in decided) - len(learn)
    _enough(Counter(labels[learn].tolist()), len(store), held_back)
    owners = np.array([store.product_of(i) for i in learn], dtype=object)
    known = len(set(owners.tolist()))
    finer = None
    if products is not None and products < known:
        drawn = drawn_products(owners, labels[learn], products, seed)
        learn, owners = learn[drawn], owners[drawn]
        finer = _finer(store, labels, learn) if level else None
        store, labels, learn, held, finer = _with_no_others(store, labels, learn, held, finer)
    elif level:
        finer = _finer(store, labels, learn)
    groups = groups_of(owners.tolist(), [store.digests[i] for i in learn], store.features[learn])
    return TrainingSet(store, labels, learn, held, groups, finer, known)


def _with_no_others(
    store: Store, labels: np.ndarray, learn: np.ndarray, held: HeldOut, finer: np.ndarray | None
) -> tuple[Store, np.ndarray, np.ndarray, HeldOut, np.ndarray | None]:
    """The rows to learn from and to score as a store of their own: of the others no feature is kept in memory."""
    inside = held.store is store
    rows = np.union1d(learn, held.rows) if inside else learn
    some, labels = rows_in_memory(store, rows), labels[rows]
    if inside:
        held = replace(held, store=some, labels=labels, rows=np.searchsorted(rows, held.rows))
    return some, labels, np.searchsorted(rows, learn), held, None if finer is None else finer[rows]


def drawn_products(owners: np.ndarray, labels: np.ndarray, products: int, seed: int) -> np.ndarray:
    """Which rows belong to the drawn products: of each category in proportion, and no fewer than a few."""
    names, first, owner = np.unique(owners.astype(str), return_index=True, return_inverse=True)
    _, category, sizes = np.unique(labels[first], return_inverse=True, return_counts=True)
    quota = np.maximum(np.rint(sizes * (products / len(names))).astype(int), FEWEST_DRAWN)
    # By a number of its own, a product is drawn from every store alike, whatever else is there.
    dice = np.fromiter((number_for(f"{seed} {name}") for name in names.tolist()), np.uint64, len(names))
    order = np.lexsort((dice, category))
    rank = np.arange(len(names)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    drawn = np.zeros(len(names), dtype=bool)
    drawn[order] = rank < quota[category[order]]
    kept: np.ndarray = drawn[owner]
    return kept


def note_on_seen(training: TrainingSet, scored: int = 0) -> str:
    """What is in no score because a tuned network learned from it, in a sentence; empty where nothing is.

    So many of these photos are `scored` by trainings that left them out.
    """
    held = training.held
    n = len(training.learn) + len(held) + held.seen
    return seen_by(training.store.fingerprint).note(int(training.seen.sum()) + held.seen, n, scored)


def _finer(store: Store, labels: np.ndarray, learn: np.ndarray) -> np.ndarray | None:
    """The labels below a level; None where some are missing, span two categories of the level, or are no finer."""
    finer = labels_for(store)
    if any(finer[i] is None for i in learn):
        return None
    texts = _texts(finer)
    pairs, coarse = set(zip(texts[learn], labels[learn], strict=True)), set(labels[learn])
    return texts if len(set(texts[learn])) == len(pairs) > len(coarse) else None


def lessons_of(store: Store, level: str | None = None, test: Sequence[str] = HELD_OUT) -> list[Lesson]:
    """What a training set of these rows teaches: the digest of each photo that is learned from, and its category."""
    labels = labels_for(store, level)
    return [(store.digests[i], str(labels[i])) for i in _learnable(store, labels, test)]


def held_out_of(
    store: Store, level: str | None = None, test: Sequence[str] = HELD_OUT, elsewhere: Store | None = None
) -> HeldOut:
    """The photos to score: labelled rows of the splits in `test`, or all labelled ones of another store."""
    labels = labels_for(store, level)
    if elsewhere is None:
        held = [i for i, label in enumerate(labels) if label is not None and store.splits[i] in test]
        rows = _unseen(store, held)
        return HeldOut(store, _texts(labels), rows, seen=len(held) - len(rows))
    elsewhere = elsewhere.suited_to(store.fingerprint)
    _must_match(elsewhere, store)
    others = labels_for(elsewhere, level)
    labelled = [i for i, label in enumerate(others) if label is not None]
    learned = {store.digests[i] for i in _learnable(store, labels, test)}
    new = [i for i in labelled if elsewhere.digests[i] not in learned]
    rows = _unseen(elsewhere, new)
    if not len(rows):
        raise FeatxError(
            "class-too-small",
            f"no labelled photo of {elsewhere.path} is left to score"
            + (f": all {len(labelled):,} are used for training" if labelled else ""),
            "name a store made from other photos, or a split",
        )
    return HeldOut(elsewhere, _texts(others), rows, len(labelled) - len(new), len(new) - len(rows))


def _unseen(store: Store, rows: Sequence[int]) -> np.ndarray:
    """The rows that no tuned network behind the features learned from."""
    chosen = np.array(rows, dtype=int)
    return np.asarray(chosen[~seen_rows(store)[chosen]])


def _learnable(store: Store, labels: Sequence[str | None], test: Sequence[str]) -> list[int]:
    held_out = {*HELD_OUT, *test}
    return [i for i, label in enumerate(labels) if label is not None and store.splits[i] not in held_out]


def _must_match(store: Store, learned_from: Store) -> None:
    field = learned_from.fingerprint.difference(store.fingerprint, "classify")
    if field:
        has, wanted = store.fingerprint.values_of(field, learned_from.fingerprint)
        raise FeatxError(
            "other-backbone",
            f"{store.path} was made with {has}, {learned_from.path} with {wanted}",
            f"extract its photos as the others were: `featx extract PHOTOS --backbone"
            f" {learned_from.fingerprint.backbone} --store OTHER.h5`",
        )


def require_splits(requested: Iterable[str], stores: Sequence[Store], otherwise: str = "") -> None:
    """Refuse a split that no photo of these stores belongs to."""
    known = sorted({split for store in stores for split in store.splits if split})
    unknown = next((split for split in requested if split not in known), None)
    if unknown is not None:
        raise FeatxError(
            "bad-flag",
            f"no photo in {stores[0].path} belongs to split `{unknown}`",
            did_you_mean(unknown, known, f"its splits: {', '.join(known) or 'none'}{otherwise}"),
        )


def labels_for(store: Store, level: str | None = None) -> Sequence[str | None]:
    """The labels to learn from and to score: those people decided on, at a level; None where a photo is left out."""
    return labels_at_level(store, labels_after_decisions(store).labels, level)


def labels_at_level(store: Store, labels: Sequence[str | None], level: str | None) -> Sequence[str | None]:
    """The labels themselves, or another level: a column, or the first parts of labels such as `Fruit/Apple`."""
    if level is None:
        return labels
    if level in store.columns:
        return [None if value is None else str(value) for value in store.columns[level]]
    if level.isdigit() and int(level) > 0:
        parts = int(level)
        return [None if label is None else "/".join(label.split("/")[:parts]) for label in labels]
    raise FeatxError(
        "bad-column",
        f"no column `{level}` in {store.path} to take the categories from",
        did_you_mean(level, list(store.columns), "name a column of the table, or a number of levels, such as `1`"),
    )


def _texts(labels: Sequence[str | None]) -> np.ndarray:
    return np.array([str(label) for label in labels], dtype=object).astype(str)


def _enough(sizes: Counter[str], n: int, held: int) -> None:
    if not sizes:
        raise FeatxError(
            "class-too-small",
            f"none of the {n:,} training photos has a category"
            + (f" ({held:,} more are held out for testing)" if held else ""),
            "put each category into a folder of its own, or name the column: `featx extract TABLE --label-col COLUMN`",
        )
    if len(sizes) < 2:
        (only,) = sizes
        raise FeatxError(
            "class-too-small",
            f"there is only one category, `{only}`, and a classifier needs two",
            "extract the folder above, so that its folders are the categories",
        )
