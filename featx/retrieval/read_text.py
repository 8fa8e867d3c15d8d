"""The text read off the photos of an index: as a column of conditions, and beside answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import overload

from featx.retrieval.rows import IndexRows
from featx.text.records import PhotoText
from featx.text.text_file import TextFile, load_texts, texts_beside
from featx.text.word_search import nothing_read

# The name of the column; `text` means it too, unless the catalogue has a column of that name.
COLUMN = "read_text"


class TextColumn(Sequence[str | None]):
    """The text of each row, read when first used; None where a photo was not read."""

    def __init__(self, rows: IndexRows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, i: int) -> str | None: ...
    @overload
    def __getitem__(self, i: slice) -> list[str | None]: ...
    def __getitem__(self, i: int | slice) -> str | list[str | None] | None:
        """The text of one row, or of some."""
        return self._texts[i]

    def __iter__(self) -> Iterator[str | None]:
        return iter(self._texts)

    @cached_property
    def _texts(self) -> list[str | None]:
        path = self._rows.path
        if path is None or not texts_beside(path).exists():
            raise nothing_read(path) if path is not None else KeyError(COLUMN)
        known = {digest: text.text for digest, text in load_texts(texts_beside(path)).items()}
        return [known.get(digest) for digest in self._rows.digests]


def texts_of_rows(rows: IndexRows, some: Sequence[int]) -> Mapping[int, PhotoText]:
    """The texts of some rows; none where the photos were never read."""
    if rows.path is None or not texts_beside(rows.path).exists():
        return {}
    digests = {row: rows.digests[row] for row in some}
    known = load_texts(texts_beside(rows.path), digests.values())
    return {row: known[digest] for row, digest in digests.items() if digest in known}


def unread_rows(rows: IndexRows) -> int:
    """How many photos of an index were not read yet, and cannot be found by their words."""
    file = None if rows.path is None else TextFile.open(texts_beside(rows.path))
    if file is None:
        return len(rows)
    with file:
        known = file.digests()
    return sum(digest not in known for digest in rows.digests)
