"""Tables as spreadsheets read and write them: with the mark of UTF-8, and no cell that is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from featx.errors import FeatxError
from featx.files.atomic import SPREADSHEET, cannot_write, write_atomic
from featx.files.cells import Cell, safe_cell


class TableWriter:
    """Writes rows into an open text file, every cell safe from being taken for a formula."""

    def __init__(self, file: TextIO, delimiter: str = ",") -> None:
        self._csv = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")

    def row(self, cells: Iterable[Cell]) -> None:
        """Write one row; a missing value becomes an empty cell."""
        self._csv.writerow([safe_cell(cell) for cell in cells])

    def rows(self, rows: Iterable[Iterable[Cell]]) -> None:
        """Write several rows."""
        for cells in rows:
            self.row(cells)


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, errors: str = "surrogateescape") -> bytes:
    """A table as the bytes of a CSV file; `errors` is the handler for undecodable names."""
    text = io.StringIO(newline="")
    table = TableWriter(text)
    table.row(columns)
    table.rows(rows)
    return text.getvalue().encode(SPREADSHEET, errors)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table as a CSV file, whole or not at all."""
    write_whole(path, csv_bytes(columns, rows))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file at a path the user named, atomically; a FeatxError explains a failure."""
    if not path.name:
        raise FeatxError("bad-flag", f"`{path}` is not a file name", "name a file, such as `found.html`")
    try:
        write_atomic(path, data)
    except OSError as error:
        raise cannot_write(path, error) from error
