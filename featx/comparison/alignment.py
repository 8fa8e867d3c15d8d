"""The same photos in every store: aligned by id, with the groups that no fold may split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.errors import FeatxError, did_you_mean
from featx.labels.folds import union_groups
from featx.labels.seen import seen_rows
from featx.labels.training_set import (
    HELD_OUT,
    TrainingSet,
    labels_for,
    note_on_seen,
    require_splits,
    training_set_of,
)
from featx.store import Store

Part = tuple[Store, np.ndarray]


@dataclass(frozen=True)
class AlignedStores:
    """Rows that every store has: the training set, then the held-out rows; `groups` are those of the training set."""

    stores: list[Store]
    names: list[str]
    ids: list[str]
    labels: np.ndarray
    coarse: np.ndarray | None
    coarse_name: str | None
    products: list[str]
    n_learn: int
    groups: np.ndarray
    parts: list[tuple[Part, Part]]
    grouped_by: str
    notes: list[str]
    # Which photos of the training set a tuned network of any store has seen: they are in no score.
    seen: np.ndarray

    @property
    def learned_labels(self) -> np.ndarray:
        """The categories of the photos that may be learned from."""
        return self.labels[: self.n_learn]

    @property
    def classes(self) -> list[str]:
        """The categories that can be learned."""
        return sorted(set(self.learned_labels.tolist()))

    def features(self, index: int) -> np.ndarray:
        """The features of one store, a row for each aligned photo."""
        return np.concatenate([store.features[rows] for store, rows in self.parts[index]])

    @property
    def paths(self) -> list[str]:
        """The paths of the photos in the first store."""
        return [store.paths[i] for store, rows in self.parts[0] for i in rows]

    @property
    def digests(self) -> list[str]:
        """The digests of their bytes."""
        return [store.digests[i] for store, rows in self.parts[0] for i in rows]


def align(
    stores: Sequence[Store],
    level: str | None = None,
    coarse: str | None = None,
    test: Sequence[str] = HELD_OUT,
    group: str | None = None,
    elsewhere: Sequence[Store] = (),
) -> AlignedStores:
    """Align the photos that all stores have; photos that only some have are counted and left out.

    With stores `elsewhere` (one for each backbone) the held-out photos are theirs.
    """
    require_splits([split for split in test if split not in HELD_OUT], stores[:1])
    others_of = _paired(stores, elsewhere)
    training_sets = [training_set_of(store, level, test, other) for store, other in zip(stores, others_of, strict=True)]
    ids_learn, ids_held = _shared_ids(training_sets)
    n = len(ids_learn)
    parts = [_rows_of(training_set, ids_learn, ids_held) for training_set in training_sets]
    labels = _labels(training_sets[0], parts[0])
    if len(set(labels[:n].tolist())) < 2:
        raise FeatxError(
            "class-too-small",
            "the photos that all stores share have only one category",
            "compare stores that were made from the same photos",
        )
    notes = _notes(training_sets, parts, labels, n, scored_elsewhere=bool(elsewhere))
    seen = np.logical_or.reduce([seen_rows(store)[rows] for (store, rows), _ in parts])
    groups = _groups(training_sets, ids_learn)
    grouped_by = str(stores[0].provenance.get("product_source") or "none")
    products = [store.product_of(int(i)) for store, rows in parts[0] for i in rows]
    if group is not None:
        products = _column(parts[0], group, products)
        groups = union_groups(groups, np.unique(products[:n], return_inverse=True)[1])
        grouped_by = f"column `{group}`"
    higher, name = _coarser(parts[0], labels, coarse)
    return AlignedStores(
        list(stores),
        _names(stores),
        ids_learn + ids_held,
        labels,
        higher,
        name,
        products,
        n,
        groups,
        parts,
        grouped_by,
        notes,
        seen,
    )


def _shared_ids(training_sets: Sequence[TrainingSet]) -> tuple[list[str], list[str]]:
    """The photos that every store has: those to learn from, and those held out."""
    learn = [_ids(training_set.store, training_set.learn) for training_set in training_sets]
    held = [_ids(training_set.held.store, training_set.held.rows) for training_set in training_sets]
    shared_learn, shared_held = _in_all(learn), _in_all(held)
    if not shared_learn:
        raise FeatxError(
            "bad-flag",
            f"{training_sets[0].store.path} and {training_sets[1].store.path} have no labelled photo in common",
            "compare stores that were made from the same photos",
        )
    if held[0] and not shared_held:
        raise FeatxError(
            "bad-flag",
            f"{training_sets[0].held.store.path} and the others to score have no photo in common",
            "make them from the same photos",
        )
    return shared_learn, shared_held


def _ids(store: Store, rows: np.ndarray) -> list[str]:
    return [store.ids[i] for i in rows]


def _in_all(listed: Sequence[list[str]]) -> list[str]:
    others = [set(ids) for ids in listed[1:]]
    return [item for item in listed[0] if all(item in known for known in others)]


def _rows_of(training_set: TrainingSet, learn: Sequence[str], held: Sequence[str]) -> tuple[Part, Part]:
    """The rows of these photos in one store, and in the store whose photos are held out."""
    scored = training_set.held
    return (
        (training_set.store, _numbered(_ids(training_set.store, training_set.learn), training_set.learn, learn)),
        (scored.store, _numbered(_ids(scored.store, scored.rows), scored.rows, held)),
    )


def _numbered(ids: Sequence[str], numbers: np.ndarray, wanted: Sequence[str]) -> np.ndarray:
    """The numbers that belong to the ids that are wanted, in their order."""
    number_of = dict(zip(ids, numbers.tolist(), strict=True))
    return np.array([number_of[item] for item in wanted], dtype=int)


def _groups(training_sets: Sequence[TrainingSet], ids: Sequence[str]) -> np.ndarray:
    """Photos that any store keeps together stay together."""
    groups = np.arange(len(ids))
    for training_set in training_sets:
        listed = _ids(training_set.store, training_set.learn)
        groups = union_groups(groups, _numbered(listed, training_set.groups, ids))
    return groups


def _notes(
    training_sets: Sequence[TrainingSet],
    parts: Sequence[tuple[Part, Part]],
    labels: np.ndarray,
    n: int,
    *,
    scored_elsewhere: bool,
) -> list[str]:
    """What was left out, and where the stores differ."""
    notes = []
    first, path = training_sets[0], training_sets[0].store.path
    missing = max(len(training_set.learn) for training_set in training_sets) - n
    if missing:
        notes.append(f"{missing:,} photos are not in every store and were left out")
    differing = sum(
        int((_labels(other, part) != labels).sum()) for other, part in zip(training_sets[1:], parts[1:], strict=True)
    )
    if differing:
        notes.append(f"{differing:,} photos have another category in another store; {path} decides")
    if scored_elsewhere:
        notes += [
            f"{training_set.held.learned:,} photos of {training_set.held.store.path} are learned from, and not scored"
            for training_set in training_sets
            if training_set.held.learned
        ]
    unlabelled = len(first.store) - len(first.learn) - (0 if scored_elsewhere else len(first.held))
    if unlabelled:
        single = unlabelled == 1
        photos = f"{unlabelled:,} photo{'' if single else 's'}"
        notes.append(f"{photos} without a category, or held out, {'was' if single else 'were'} left out")
    return notes + list(dict.fromkeys(note for each in training_sets if (note := note_on_seen(each))))


def _paired(stores: Sequence[Store], elsewhere: Sequence[Store]) -> list[Store | None]:
    """For each store, the one with the same kind of features whose photos it is scored on."""
    if not elsewhere:
        return [None] * len(stores)
    pairs: list[Store | None] = []
    for store in stores:
        suited = [(other, other.suited_to(store.fingerprint).fingerprint) for other in elsewhere]
        fitting = [other for other, made in suited if not store.fingerprint.difference(made, "classify")]
        # Where none fits, its training set is refused in a sentence that says what differs.
        pairs.append(fitting[0] if fitting else elsewhere[0])
    spare = [store for store in elsewhere if store not in pairs]
    if spare:
        raise FeatxError(
            "bad-flag",
            f"{spare[0].path} matches none of the compared stores, or is named twice",
            "name one store to score for each store that is compared",
        )
    return pairs


def _labels(training_set: TrainingSet, parts: tuple[Part, Part]) -> np.ndarray:
    return np.concatenate([training_set.labels[parts[0][1]], training_set.held.labels[parts[1][1]]])


def _column(parts: tuple[Part, Part], name: str, otherwise: list[str]) -> list[str]:
    values = []
    for store, rows in parts:
        if name not in store.columns and len(rows):
            raise FeatxError(
                "bad-column",
                f"no column `{name}` in {store.path} to group by",
                did_you_mean(name, list(store.columns), f"its columns: {', '.join(store.columns) or 'none'}"),
            )
        values += [store.columns[name][i] for i in rows]
    return [other if value is None else str(value) for value, other in zip(values, otherwise, strict=True)]


def _coarser(
    parts: tuple[Part, Part], labels: np.ndarray, requested: str | None
) -> tuple[np.ndarray | None, str | None]:
    """A coarser level of the categories: the requested one, else the first part of labels such as `Fruit/Apple`."""
    if requested is not None:
        values: list[str | None] = []
        for store, rows in parts:
            coarser = labels_for(store, requested) if len(rows) else []
            values += [coarser[i] for i in rows]
        missing = sum(value is None for value in values)
        if missing:
            raise FeatxError(
                "bad-column",
                f"{missing:,} photos have no `{requested}`",
                "fill in the column, or choose a level that every photo has",
            )
        return np.array([str(value) for value in values]), requested
    above = [label.rsplit("/", 1)[0] for label in labels]
    nested = sum("/" in label for label in labels) > len(labels) / 2
    if nested and 1 < len(set(above)) < len(set(labels.tolist())):
        return np.array(above), "the folder above"
    return None, None


def _names(stores: Sequence[Store]) -> list[str]:
    """A name for each store: its backbone, or its file where two have the same."""
    backbones = [store.fingerprint.backbone for store in stores]
    stems = [Path(store.path).stem for store in stores]
    for names in (backbones, stems):
        if max(Counter(names).values()) == 1:
            return names
    return [str(store.path) for store in stores]
