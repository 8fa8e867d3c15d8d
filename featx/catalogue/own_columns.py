"""The columns of the user's own table: looked up for a row, and written beside featx's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Protocol

Value = str | int | float | bool | None
# What a column of the table may be to featx, and the name featx itself writes it under.
FIELDS = {"item_id": "id", "product": "product", "label": "label", "split": "split"}


class Described(Protocol):
    """A row with its columns: an item of a catalogue or of a store."""

    @property
    def extra(self) -> Mapping[str, Value]:
        """The columns that mean nothing to featx."""


def own_columns(row: Described, headings: Mapping[str, str]) -> dict[str, Value]:
    """Every column of a row under the heading it has in the table; `headings` names those that featx understands."""
    return {**{heading: getattr(row, field) for heading, field in headings.items()}, **row.extra}


def checked_headings(recorded: object) -> dict[str, str]:
    """Headings as a file recorded them, without invalid ones."""
    if not isinstance(recorded, Mapping):
        return {}
    return {str(heading): str(field) for heading, field in recorded.items() if field in FIELDS}


def unlike_ours(headings: Mapping[str, str]) -> dict[str, str]:
    """The headings under which featx does not write the same cells anyway."""
    return {heading: field for heading, field in headings.items() if FIELDS[field] != heading}


def joined_headings(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """The headings after a second table: those of the first one stay."""
    return {**before, **{heading: field for heading, field in now.items() if field not in before.values()}}


def written_names(own: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """The name of each own column in a table of featx's: its own, with `_` behind it where featx has that name."""
    columns, ours = list(own), set(taken)
    used = ours | set(columns)
    names: dict[str, str] = {}
    for column in columns:
        name = column
        while (name != column and name in used) or name in ours:
            name += "_"
        used.add(name)
        names[column] = name
    return names


def beside(record: Mapping[str, Any], own: Mapping[str, Value]) -> dict[str, Any]:
    """A record of featx's with the row's own columns behind it."""
    if not own:
        return dict(record)
    names = written_names(own, record)
    return {**record, **{names[column]: _cell(value) for column, value in own.items()}}


def _cell(value: Value) -> Value:
    """A cell that JSON can hold, which knows no infinity."""
    return None if isinstance(value, float) and not isfinite(value) else value
