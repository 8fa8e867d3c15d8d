"""Rows as records of the journal, after a check that they can be kept exactly."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from featx.catalogue.items import Item, Skipped
from featx.errors import FeatxError
from featx.store.snapshot import from_record, to_record


def checked_record(row: Item) -> list[Any]:
    """A row as a record of the journal; refuses what would not be read back the same."""
    for what, text in (("id", row.item_id), ("path", row.path), ("digest", row.digest), ("label", row.label),
                       ("product", row.product), ("split", row.split), ("source", row.source),
                       *row.extra.items()):  # fmt: skip
        if isinstance(text, str):
            require_plain_text(text, what)
    for name, value in row.extra.items():
        require_plain_text(name, "column name")
        if not (value is None or isinstance(value, str | int | float | bool)):
            raise TypeError(f"column {name!r} holds {type(value).__name__}, not text, a number, true or false")
    return to_record(from_record(to_record(row)))


def skip_record(skip: Skipped) -> list[Any]:
    """A skipped photo in the form of the journal; the columns of its table are not kept."""
    return [skip.path, skip.reason, skip.detail, skip.size, skip.mtime_ns]


def require_plain_text(text: str, what: str) -> None:
    """Refuse text that a store would not keep exactly."""
    if "\0" in text:
        raise FeatxError("bad-manifest", f"{what} {text!r} contains a NUL character", "remove it")
    if text.isascii():
        return
    try:
        same = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == text
    except UnicodeEncodeError as error:
        raise FeatxError(
            "bad-manifest", f"{what} {text!r} contains half a character (an unpaired surrogate)", "fix it"
        ) from error
    # Latin-1, for example, decodes every name, but the store would keep a different one.
    if what == "path" and same and sys.getfilesystemencoding() != "utf-8":
        with suppress(UnicodeEncodeError):
            same = os.fsencode(text) == text.encode("utf-8", "surrogateescape")
    if not same:
        raise FeatxError(
            "bad-config",
            f"{what} {text!r} was read as if file names were not UTF-8",
            "this comes from the system's locale; run with `PYTHONUTF8=1`",
        )
