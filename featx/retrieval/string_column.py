"""Columns of text, possibly in a mapped file: a name is found or read without creating all the other strings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

SEPARATOR = b"\0"
# A table of all names is sooner made than so many of them are looked for from one end to the other.
WORTH_A_TABLE = 64
# How many names are taken out of their bytes at a time: a million of them would take more memory than the bytes.
PIECE = 16_384


class StringColumn(Sequence[str]):
    """Texts in row order, kept as bytes: a zero byte before each and one at the end."""

    def __init__(self, blob: bytes | memoryview, ends: NDArray[np.int64]) -> None:
        self.blob = blob
        self.ends = ends
        self._bytes: bytes | None = blob if isinstance(blob, bytes) else None
        self._looked_for = 0

    @classmethod
    def of(cls, texts: Iterable[str]) -> StringColumn:
        """The names of a list; a zero byte inside one, which no file name has, becomes a space."""
        data = [text.replace("\0", " ").encode("utf-8", "surrogateescape") for text in texts]
        ends = np.cumsum(np.fromiter((len(text) + 1 for text in data), np.int64, len(data)), dtype=np.int64)
        return cls(SEPARATOR + SEPARATOR.join([*data, b""]) if data else SEPARATOR, ends)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> list[str]: ...
    def __getitem__(self, i: int | slice) -> str | list[str]:
        """One name, or some of them."""
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        n = len(self.ends)
        if not -n <= i < n:
            raise IndexError(i)
        return self._bytes_at(i % n).decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return (text.decode("utf-8", "surrogateescape") for text in self._each())

    def rows_of(self, text: str) -> list[int]:
        """Every row that has exactly this name."""
        wanted = text.encode("utf-8", "surrogateescape")
        if self._looked_for < WORTH_A_TABLE:
            self._looked_for += 1
            return self._rows_at(SEPARATOR + wanted + SEPARATOR)
        hashes, rows = self._table
        first, end = np.searchsorted(hashes, hash(wanted), "left"), np.searchsorted(hashes, hash(wanted), "right")
        return [row for row in rows[first:end].tolist() if self._bytes_at(row) == wanted]

    def expect_many(self) -> None:
        """Make the table of all names now, as a server does before anybody asks it."""
        self._looked_for = WORTH_A_TABLE
        _ = self._table

    def rows_with(self, part: str) -> list[int]:
        """Every row whose name contains a text."""
        return self._rows_at(part.encode("utf-8", "surrogateescape")) if part else []

    def rows_ending(self, part: str) -> list[int]:
        """Every row whose name ends so."""
        return self._rows_at(part.encode("utf-8", "surrogateescape") + SEPARATOR)

    def rows_in_any_case(self, text: str) -> list[int]:
        """Every row that has this name, in upper or lower case."""
        if not text.isascii():
            return [row for row, name in enumerate(self) if name.casefold() == text.casefold()]
        return self._rows_at(SEPARATOR + text.lower().encode() + SEPARATOR, self._whole().lower())

    def rows_with_in_any_case(self, part: str) -> list[int]:
        """Every row whose name contains a text, in upper or lower case."""
        if not part.isascii():
            return [row for row, name in enumerate(self) if part.casefold() in name.casefold()]
        return self._rows_at(part.lower().encode(), self._whole().lower()) if part else []

    @cached_property
    def _table(self) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """The hashes of all names in order, and the row of each; rows of one name stay in their order."""
        hashes = np.fromiter(map(hash, self._each()), np.int64, len(self))
        rows = np.argsort(hashes, kind="stable")
        return hashes[rows], rows

    def _each(self) -> Iterator[bytes]:
        """The bytes of every name, piece by piece."""
        for start in range(0, len(self), PIECE):
            end = min(start + PIECE, len(self))
            first = 1 + (int(self.ends[start - 1]) if start else 0)
            yield from bytes(self.blob[first : int(self.ends[end - 1])]).split(SEPARATOR)

    def _bytes_at(self, row: int) -> bytes:
        start = 1 + (int(self.ends[row - 1]) if row else 0)
        return bytes(self.blob[start : int(self.ends[row])])

    def _rows_at(self, wanted: bytes, data: bytes | None = None) -> list[int]:
        if SEPARATOR in wanted[1:-1]:
            return []
        rows: list[int] = []
        data, position = data if data is not None else self._whole(), 0
        while (position := data.find(wanted, position)) >= 0:
            row = int(np.searchsorted(self.ends, position, side="right"))
            if row < len(self.ends) and (not rows or rows[-1] != row):
                rows.append(row)
            position += 1
        return rows

    def _whole(self) -> bytes:
        if self._bytes is None:
            self._bytes = bytes(self.blob)
        return self._bytes
