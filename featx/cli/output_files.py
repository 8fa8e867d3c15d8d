"""Results written into a file: tables for spreadsheets, lines for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from featx.errors import FeatxError
from featx.files.atomic import atomic_text_writer

if TYPE_CHECKING:
    from featx.files.cells import Cell

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")


def check_suffix(path: Path) -> None:
    """Refuse an unknown file type before any work is done."""
    if path.suffix.lower() not in SUFFIXES:
        raise FeatxError(
            "bad-flag", f"cannot write `{path.suffix or path}` files", f"use a name that ends in {', '.join(SUFFIXES)}"
        )


def write_records(path: Path, columns: Sequence[str], records: Iterable[Mapping[str, Cell]]) -> int:
    """Write records atomically and count them. Cells that a spreadsheet would run as formulas become text."""
    from featx.files.spreadsheet import TableWriter

    check_suffix(path)
    kind = path.suffix.lower()
    count = 0
    with atomic_text_writer(path) as file:
        if kind in (".csv", ".tsv"):
            table = TableWriter(file, "," if kind == ".csv" else "\t")
            table.row(columns)
            for record in records:
                table.row(record.get(column) for column in columns)
                count += 1
        else:
            opening, between, closing = ("[\n", ",\n", "\n]\n") if kind == ".json" else ("", "\n", "\n")
            file.write(opening)
            for record in records:
                file.write((between if count else "") + json.dumps(record, ensure_ascii=True))
                count += 1
            file.write(closing if count or kind == ".json" else "")
    return count
