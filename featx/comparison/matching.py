"""The same pictures in every store: matched by id, with the groups that no fold may split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.errors import FeatxError, did_you_mean
from featx.fitting import labels_at, lesson_of
from featx.folds import joined
from featx.store import Store


@dataclass(frozen=True)
class Matched:
    """Rows that every store has: what may be learned first, then what is held out; `groups` are of what is learned."""

    stores: list[Store]
    names: list[str]
    ids: list[str]
    labels: np.ndarray
    coarse: np.ndarray | None
    coarse_name: str | None
    products: list[str]
    n_learn: int
    groups: np.ndarray
    rows: list[np.ndarray]
    grouped_by: str
    notes: list[str]

    @property
    def learned_labels(self) -> np.ndarray:
        """The categories of the pictures that may be learned from."""
        return self.labels[: self.n_learn]

    @property
    def classes(self) -> list[str]:
        """The categories that can be learned."""
        return sorted(set(self.learned_labels.tolist()))

    def features(self, place: int) -> np.ndarray:
        """The features of one store, a row for each matched picture."""
        return np.asarray(self.stores[place].features[self.rows[place]])


def match(
    stores: Sequence[Store],
    level: str | None = None,
    coarse: str | None = None,
    test: Sequence[str] = ("test", "val"),
    group: str | None = None,
) -> Matched:
    """Take what all stores have in common; what one alone has is named and left out."""
    there = sorted({split for split in stores[0].splits if split})
    for split in test:
        if split not in there and split not in ("test", "val"):
            raise FeatxError(
                "bad-flag",
                f"no picture of {stores[0].path} is in split `{split}`",
                did_you_mean(split, there, f"there is {', '.join(there) or 'no split at all'}"),
            )
    lessons = [lesson_of(store, level, test) for store in stores]
    first, others = lessons[0], lessons[1:]
    notes = []
    learn = [{lesson.store.ids[i]: int(i) for i in lesson.learn} for lesson in lessons]
    held = [{lesson.store.ids[i]: int(i) for i in lesson.held} for lesson in lessons]
    ids_learn = [one for one in learn[0] if all(one in known for known in learn[1:])]
    ids_held = [one for one in held[0] if all(one in known for known in held[1:])]
    if not ids_learn:
        raise FeatxError(
            "bad-flag",
            f"{stores[0].path} and {stores[1].path} have no labelled picture in common",
            "compare stores that were made from the same photos",
        )
    most = max(len(known) for known in learn)
    if len(ids_learn) < most:
        notes.append(f"{most - len(ids_learn):,} pictures are not in every store and were left out")
    ids = ids_learn + ids_held
    rows = [
        np.array([known[one] for one in ids_learn] + [apart[one] for one in ids_held], dtype=int)
        for known, apart in zip(learn, held, strict=True)
    ]
    labels = first.labels[rows[0]]
    strange = sum(int((lesson.labels[row] != labels).sum()) for lesson, row in zip(others, rows[1:], strict=True))
    if strange:
        notes.append(f"{strange:,} pictures have another category in another store; {stores[0].path} decides")
    if len(set(labels[: len(ids_learn)].tolist())) < 2:
        raise FeatxError(
            "class-too-small",
            "the pictures that every store has are of one category only",
            "compare stores that were made from the same photos",
        )
    unlabelled = len(stores[0]) - len(first.learn) - len(first.held)
    if unlabelled:
        notes.append(f"{unlabelled:,} pictures without a category, or set apart, were left out")
    groups = np.arange(len(ids_learn))
    for lesson, known in zip(lessons, learn, strict=True):
        place = {int(row): i for i, row in enumerate(lesson.learn)}
        groups = joined(groups, lesson.groups[[place[known[one]] for one in ids_learn]])
    grouped_by = str(stores[0].provenance.get("product_source") or "none")
    products = [stores[0].product_of(int(i)) for i in rows[0]]
    if group is not None:
        products = _column(stores[0], group, rows[0], products)
        groups = joined(groups, np.unique(products[: len(ids_learn)], return_inverse=True)[1])
        grouped_by = f"column `{group}`"
    higher, name = _coarser(stores[0], rows[0], labels, coarse)
    return Matched(
        list(stores),
        _names(stores),
        ids,
        labels,
        higher,
        name,
        products,
        len(ids_learn),
        groups,
        rows,
        grouped_by,
        notes,
    )


def _column(store: Store, name: str, rows: np.ndarray, otherwise: list[str]) -> list[str]:
    if name not in store.columns:
        raise FeatxError(
            "bad-column",
            f"no column `{name}` in {store.path} to group by",
            did_you_mean(name, list(store.columns), f"there is {', '.join(store.columns) or 'no column at all'}"),
        )
    values = store.columns[name]
    return [other if values[i] is None else str(values[i]) for i, other in zip(rows, otherwise, strict=True)]


def _coarser(
    store: Store, rows: np.ndarray, labels: np.ndarray, asked: str | None
) -> tuple[np.ndarray | None, str | None]:
    """A coarser level of the categories: the one asked for, else the first part of labels such as `Fruit/Apple`."""
    if asked is not None:
        told = labels_at(store, asked)
        missing = sum(told[i] is None for i in rows)
        if missing:
            raise FeatxError(
                "bad-column",
                f"{missing:,} pictures have no `{asked}`",
                "fill in the column, or choose a level that every picture has",
            )
        return np.array([str(told[i]) for i in rows]), asked
    above = [label.rsplit("/", 1)[0] for label in labels]
    nested = sum("/" in label for label in labels) > len(labels) / 2
    if nested and 1 < len(set(above)) < len(set(labels.tolist())):
        return np.array(above), "the folder above"
    return None, None


def _names(stores: Sequence[Store]) -> list[str]:
    """What each store is called: its backbone, or its file where two have the same."""
    backbones = [str(store.fingerprint.get("backbone")) for store in stores]
    stems = [Path(store.path).stem for store in stores]
    for names in (backbones, stems):
        if max(Counter(names).values()) == 1:
            return names
    return [str(store.path) for store in stores]
