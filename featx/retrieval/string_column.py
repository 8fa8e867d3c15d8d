"""Columns of text, possibly in a mapped file: a name is found or read without creating all the other strings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

SEPARATOR = b"\0"


class StringColumn(Sequence[str]):
    """Texts in row order, kept as bytes: a zero byte before each and one at the end."""

    def __init__(self, blob: bytes | memoryview, ends: NDArray[np.int64]) -> None:
        self.blob = blob
        self.ends = ends
        self._bytes: bytes | None = blob if isinstance(blob, bytes) else None

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
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        i %= len(self)
        start = 1 + (int(self.ends[i - 1]) if i else 0)
        return bytes(self.blob[start : int(self.ends[i])]).decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        if not len(self):
            return iter(())
        return (text.decode("utf-8", "surrogateescape") for text in self._whole()[1:-1].split(SEPARATOR))

    def rows_of(self, text: str) -> list[int]:
        """Every row that has exactly this name."""
        return self._rows_at(SEPARATOR + text.encode("utf-8", "surrogateescape") + SEPARATOR)

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
