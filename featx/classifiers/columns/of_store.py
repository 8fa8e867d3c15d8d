"""The columns of a store's rows: those of its table, and the text that was read off its photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from featx.catalogue.own_columns import Value
from featx.classifiers.columns.read_lines import weighed
from featx.classifiers.columns.values import READ
from featx.errors import FeatxError, did_you_mean
from featx.store import Store
from featx.text import PhotoText
from featx.text.of_store import photo_texts
from featx.text.reader import looks_among

# What the headings of a table that have a meaning of their own cannot be learned from as.
TAKEN = {
    "label": "the category itself",
    "item_id": "the id of each photo",
    "product": "the product",
    "split": "the split",
}


def require_columns(store: Store, names: Sequence[str], level: str | None = None) -> None:
    """An error that names the columns there are, where one is missing or cannot be learned from."""
    for name in names:
        if name == level:
            raise FeatxError("bad-column", f"`{name}` is the category itself", "name columns that describe the product")
        if name in store.columns or (name == READ and photo_texts(store)):
            continue
        if (meaning := TAKEN.get(store.headings.get(name, ""))) is not None:
            raise FeatxError("bad-column", f"`{name}` is {meaning}", f"name other columns: {_listed(store)}")
        if name == READ:
            raise FeatxError("bad-column", f"no text was read off the photos of {store.path}", "read it: `featx read`")
        known = _known(store)
        hint = did_you_mean(name, known, f"its columns: {_listed(store)}")
        raise FeatxError("bad-column", f"{store.path} has no column `{name}`", hint, {"columns": known})


def _known(store: Store) -> list[str]:
    """The columns of a store, and `text` where it was read off its photos."""
    return [*store.columns, *([READ] if READ not in store.columns and photo_texts(store) else [])]


def _listed(store: Store) -> str:
    return ", ".join(_known(store)) or "none; extract from a table that has some"


def columns_of(store: Store, rows: Sequence[int] | np.ndarray, names: Sequence[str]) -> dict[str, list[Value]]:
    """Some rows of these columns of a store; a column that it lacks has no value in any row."""
    read = photo_texts(store) if READ in names else {}
    return {name: _values(store, rows, name, read) for name in names}


def _values(store: Store, rows: Sequence[int] | np.ndarray, name: str, read: Mapping[str, PhotoText]) -> list[Value]:
    if name == READ and read:
        texts = (read.get(store.ids[int(row)]) for row in rows)
        return [None if text is None else weighed(text) for text in texts]
    column = store.columns.get(name)
    return [None if column is None else column[int(row)] for row in rows]


def looks_at_photos(store: Store, names: Sequence[str]) -> int:
    """How often the photos were looked at for `text`; 0 where none was read off them."""
    texts = photo_texts(store) if READ in names else {}
    return looks_among(text.reader for text in texts.values()) if texts else 0
