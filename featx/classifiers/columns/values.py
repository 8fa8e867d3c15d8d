"""The columns of rows: which of them a store has, and what each one is: text, a number, or one of a few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import numpy as np

from featx.catalogue.own_columns import Value
from featx.classifiers.columns.cells import LONGEST_CHOICE, is_missing, priced
from featx.errors import FeatxError

# A value of each row, by column.
Columns = Mapping[str, Sequence[Value]]
# The column that no table has: what was read off the photo.
READ = "text"

# A column of words is a choice among a few if each of them stands, on average, with so many products.
SHARED = 5
# So many of the texts of a column have to be numbers for all of them to be taken as such.
MOSTLY = 0.95


class Kind(StrEnum):
    """What a column is; `MEANING` is a text whose sentences count too, beside its pieces of words."""

    TEXT = "text"
    MEANING = "meaning"
    NUMBER = "number"
    CHOICE = "choice"

    @property
    def is_text(self) -> bool:
        """Whether the column holds texts."""
        return self in (Kind.TEXT, Kind.MEANING)


def kind_of(values: Sequence[Value], groups: np.ndarray) -> Kind:
    """What a column is, from the rows to learn from; the rows of a group show one product."""
    given = [value for value in values if not is_missing(value)]
    if given and all(not isinstance(value, str) for value in given):
        return Kind.CHOICE if all(isinstance(value, bool) for value in given) else Kind.NUMBER
    texts = [str(value).strip() for value in given]
    if _mostly_priced(texts):
        return Kind.NUMBER
    products = len({(str(value), int(group)) for value, group in zip(values, groups, strict=True) if value is not None})
    few = len(set(texts)) * SHARED <= products and max(map(len, texts), default=0) <= LONGEST_CHOICE
    return Kind.CHOICE if given and few else Kind.TEXT


def _mostly_priced(texts: Sequence[str]) -> bool:
    """Whether nearly all are numbers with the same sign of money or unit."""
    matches = [priced(text) for text in texts]
    units = {(match[1], match[3]) for match in matches if match is not None}
    return bool(texts) and len(units) == 1 and sum(match is not None for match in matches) >= MOSTLY * len(texts)


def rows_of(columns: Columns, rows: Sequence[int] | np.ndarray) -> dict[str, list[Value]]:
    """Some rows of every column."""
    return {name: [values[int(row)] for row in rows] for name, values in columns.items()}


def length_of(columns: Columns) -> int:
    """How many rows the columns have."""
    return len(next(iter(columns.values()), ()))


def full_columns(columns: Columns | None, names: Sequence[str], n: int) -> dict[str, Sequence[Value]]:
    """These columns of n rows; a column that was not given has no value in any of them."""
    given = columns or {}
    for name in names:
        if name in given and len(given[name]) != n:
            raise FeatxError(
                "bad-column",
                f"the column `{name}` has {len(given[name]):,} values for {n:,} photos",
                "give a value for each photo, `None` where there is none",
            )
    return {name: given.get(name, [None] * n) for name in names}


def columns_of_records(records: Iterable[Mapping[str, Value]], names: Sequence[str]) -> dict[str, list[Value]]:
    """Columns from one record a row; a record without a column is a row without a value."""
    kept = list(records)
    return {name: [record.get(name) for record in kept] for name in names}
