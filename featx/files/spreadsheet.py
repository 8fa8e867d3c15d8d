"""Tables that a spreadsheet opens safely: with the mark of UTF-8, and no cell that is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import SPREADSHEET, cannot_write, write_atomic
from featx.files.cells import Cell, safe_cell


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, errors: str = "surrogateescape") -> bytes:
    """A table as the bytes of a CSV file; `errors` is what becomes of names that are no text."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(columns)
    table.writerows([["" if cell is None else safe_cell(cell) for cell in row] for row in rows])
    return text.getvalue().encode(SPREADSHEET, errors)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table as a CSV file, whole or not at all."""
    write_whole(path, csv_bytes(columns, rows))


def write_whole(path: Path, data: bytes) -> None:
    """Put a file that a person named in place, whole or not at all; a FeatxError says why it cannot be."""
    if not path.name:
        raise FeatxError("bad-flag", f"`{path}` is not a file name", "name a file, such as `found.html`")
    try:
        write_atomic(path, data)
    except OSError as error:
        raise cannot_write(path, error) from error
