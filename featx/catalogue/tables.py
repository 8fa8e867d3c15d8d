"""Tables of a catalogue: a CSV, TSV, JSON Lines or Parquet file in, its columns and cells out.

A million rows are not unusual: cells are kept by column, and repeated words are kept once.
"""

from __future__ import annotations

import csv
import json
import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from math import isfinite, isnan
from pathlib import Path
from typing import Any, TextIO

from featx.catalogue.own_columns import Value
from featx.catalogue.suffixes import IMAGE_SUFFIXES
from featx.errors import FeatxError
from featx.files.regular import open_regular
from featx.files.text_tables import (
    UTF8,
    WINDOWS,
    WORKBOOK,
    TextFormat,
    is_broken_utf8,
    is_declaration,
    possible_encodings,
    separator_of,
)

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
ROWS = 10_000
WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
PADDED = re.compile(r"-?0[0-9]")
COMMA_NUMBER = re.compile(r"-?([0-9]+|[1-9][0-9]{0,2}(\.[0-9]{3})+)(,[0-9]+)?")
THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}([.,][0-9]{3})+")


class Table(ABC):
    """The rows of a table, numbered from 0."""

    header: list[str]
    # How the text of the table was read, in words, where that is unusual.
    note: str = ""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def texts(self, column: str) -> Sequence[str | None]:
        """The cells of a column as text; None for empty ones."""

    @abstractmethod
    def facts(self, indices: Sequence[int], without: Collection[str | None]) -> Iterator[dict[str, Value]]:
        """The other columns of some rows, numbers as numbers; may be called once."""


def read_table(path: Path) -> Table:
    """Read a table by the ending of its name."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    try:
        for encoding in _encodings(path):
            try:
                # Rows end with a line feed: cells may contain other line ends of Unicode.
                with TextIOWrapper(open_regular(path), encoding=encoding, newline=_line_end(path)) as file:
                    lines = suffix in (".jsonl", ".ndjson")
                    return _json_lines(path, file) if lines else _separated(path, file, encoding)
            except UnicodeDecodeError:
                continue
    except OSError as error:
        raise FeatxError(
            "no-permission", f"cannot read {path}: {error.strerror or error}", "make it readable"
        ) from error
    raise FeatxError(
        "bad-manifest",
        f"line {_first_odd_line(path)} of {path} is not UTF-8, nor is the table in another encoding that featx knows",
        "save the table as UTF-8 (CSV UTF-8 in a spreadsheet)",
    )


def _encodings(path: Path) -> Iterator[str]:
    """The encodings to try, the likeliest first; the whole table is looked at only where it is not UTF-8."""
    with open_regular(path) as file:
        head = file.read(4)
    if head == WORKBOOK:
        raise FeatxError(
            "bad-manifest", f"{path} is a workbook, not a text file", "save the sheet as CSV UTF-8, and name that file"
        )
    separated = path.suffix.lower() not in (".jsonl", ".ndjson")
    for encoding in possible_encodings(head):
        if encoding != WINDOWS or (separated and not is_broken_utf8(path.read_bytes())):
            yield encoding


def _line_end(path: Path) -> str:
    """What ends the rows: old spreadsheets of the Macintosh end them with a carriage return alone."""
    with open_regular(path) as file:
        head = file.read(1 << 16)
    return "\r" if b"\r" in head and b"\n" not in head else "\n"


def _first_odd_line(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


# --- CSV and its like -------------------------------------------------------------------------------------------------


@dataclass
class _Columns(Table):
    """Cells by column, as they were written."""

    header: list[str]
    cells: dict[str, list[str]]
    rows: int
    commas: bool = False
    note: str = ""

    def __len__(self) -> int:
        return self.rows

    def texts(self, column: str) -> Sequence[str | None]:
        return [cell.strip() or None for cell in self.cells[column]]

    def facts(self, indices: Sequence[int], without: Collection[str | None]) -> Iterator[dict[str, Value]]:
        names = [name for name in self.header if name not in without]
        read = _typed_with_commas if self.commas else _typed
        typed = [read(self.cells.pop(name)) for name in names]
        if not names:
            return iter({} for _ in indices)
        picked = zip(*([column[index] for index in indices] for column in typed), strict=True)
        return (dict(zip(names, values, strict=True)) for values in picked)


def _typed(cells: Sequence[str]) -> Sequence[Value]:
    """A column of nothing but numbers becomes numbers; any other column stays text, unchanged."""
    plain = [cell.strip() for cell in cells]
    kind: type[int] | type[float] | None = None
    if any(plain):
        if all(not cell or WHOLE_NUMBER.fullmatch(cell) for cell in plain):
            kind = int
        elif all(not cell or (NUMBER.fullmatch(cell) and not PADDED.match(cell)) for cell in plain):
            kind = float if all(not cell or isfinite(float(cell)) for cell in plain) else None
    if kind is None:
        return [cell or None for cell in plain]
    return [kind(cell) if cell else None for cell in plain]


def _typed_with_commas(cells: Sequence[str]) -> Sequence[Value]:
    """The same where semicolons part the cells: 1,5 is a number too; what may as well be thousands stays text."""
    plain = [cell.strip() for cell in cells]
    marked = [cell for cell in plain if "," in cell or "." in cell]
    if marked and all(THOUSANDS.fullmatch(cell) for cell in marked):
        return [cell or None for cell in plain]
    comma = any("," in cell for cell in marked)
    if comma and all(not cell or (COMMA_NUMBER.fullmatch(cell) and not PADDED.match(cell)) for cell in plain):
        numbers = [float(cell.replace(".", "").replace(",", ".")) if cell else None for cell in plain]
        if all(number is None or isfinite(number) for number in numbers):
            return numbers
    return _typed(cells)


def _separated(path: Path, file: TextIO, encoding: str = UTF8) -> Table:
    csv.field_size_limit(64 * 2**20)
    first = file.readline()
    above = int(is_declaration(first))
    if not above:
        file.seek(0)
    mark = separator_of(first, path.suffix)
    reader = csv.reader(file, delimiter=mark, skipinitialspace=True)
    lines = ((reader.line_num + above, line) for line in reader if line)
    try:
        number, line = next(lines, (0, []))
        if not line:
            raise FeatxError("bad-manifest", f"{path} is empty", "list one photo per line under a header")
        _not_too_wide(path, len(line))
        header, waiting = _header(path, number, line)
        kept = _Kept(header)
        while waiting := waiting + list(islice(lines, ROWS)):
            odd = next((line for line in waiting if len(line[1]) != len(header)), None)
            if odd is not None:
                raise FeatxError(
                    "bad-manifest",
                    f"line {odd[0]} of {path} has {len(odd[1])} cells, but there are {len(header)} columns",
                    f"fix the line; quote a cell that contains `{mark}`" if mark != "\t" else "fix the line",
                )
            kept.take([line for _, line in waiting])
            number, line = waiting[-1]
            waiting = []
        if any("\n" in cell for cell in line) and not _ends_in_a_quote(path):
            raise FeatxError(
                "bad-manifest",
                f"a quote opened in the last row of {path}, which ends in line {number:,}, is never closed",
                'close it, or double a quote that is part of the text: `""`',
            )
    except csv.Error as error:
        raise FeatxError(
            "bad-manifest", f"line {reader.line_num + above} of {path}: {error}", "fix the line"
        ) from error
    read = TextFormat(encoding, mark, "\t" if path.suffix.lower() == ".tsv" else ",")
    return _Columns(header, kept.cells, kept.rows, commas=mark == ";", note=read.note)


def _ends_in_a_quote(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        return file.read().rstrip(b"\0\r\n\t ;,").endswith(b'"')


# A catalogue has dozens; sealing a store takes time for each.
MOST_COLUMNS = 2_000


def _not_too_wide(path: Path, columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise FeatxError(
            "bad-manifest",
            f"{path} has {columns:,} columns, and a catalogue at most {MOST_COLUMNS:,}",
            "leave out those you do not need",
        )


def _header(path: Path, number: int, line: list[str]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and the first line where it is a row already."""
    header, rows = [name.strip() for name in line], []
    if os.path.splitext(header[0])[1].lower() in IMAGE_SUFFIXES:
        # A bare list: path first, then labels from fine to coarse, as data sets often come.
        header, rows = (
            ["image", "label", *(f"column{i}" for i in range(3, len(header) + 1))][: len(header)],
            [(number, line)],
        )
    doubled = [name for name, n in Counter(header).items() if n > 1]
    if doubled:
        raise FeatxError("bad-manifest", f"{path} has two columns called `{doubled[0]}`", "rename one of them")
    return header, rows


class _Kept:
    """Collects rows and keeps their cells by column; repeated words are kept once."""

    def __init__(self, header: Sequence[str]) -> None:
        self.cells: dict[str, list[str]] = {name: [] for name in header}
        self.rows = 0
        self._words: dict[str, dict[str, str]] = {name: {} for name in header}

    def take(self, rows: Sequence[Sequence[str]]) -> None:
        for (name, cells), column in zip(self.cells.items(), zip(*rows, strict=True), strict=True):
            words = self._words.get(name)
            if words is None:
                cells.extend(column)
                continue
            cells.extend(map(words.setdefault, column, column))
            # Ids, paths and titles differ from row to row: looking for them again would only cost.
            if len(words) > (self.rows + len(rows)) // 2 + ROWS // 10:
                del self._words[name]
        self.rows += len(rows)


# --- JSON Lines and Parquet -------------------------------------------------------------------------------------------


@dataclass
class _Rows(Table):
    """Rows that need not have the same columns; a row's facts omit the columns it lacks."""

    header: list[str]
    rows: list[dict[str, Value]]

    def __len__(self) -> int:
        return len(self.rows)

    def texts(self, column: str) -> Sequence[str | None]:
        cells = (row.get(column) for row in self.rows)
        return [None if cell is None or cell == "" else str(cell) for cell in cells]

    def facts(self, indices: Sequence[int], without: Collection[str | None]) -> Iterator[dict[str, Value]]:
        for index in indices:
            yield {name: value for name, value in self.rows[index].items() if name not in without}


def _json_lines(path: Path, file: TextIO) -> Table:
    rows: list[dict[str, Value]] = []
    header: dict[str, str] = {}
    words: dict[str, str] = {}
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.rstrip("\r\n"))
        except (ValueError, RecursionError) as error:
            raise FeatxError("bad-manifest", f"line {number} of {path} is not JSON: {error}", "fix the line") from error
        if not isinstance(row, dict):
            raise FeatxError(
                "bad-manifest", f"line {number} of {path} is not a JSON object", "write one object per line"
            )
        rows.append({header.setdefault(name, name): _plain(value, words) for name, value in row.items()})
        _not_too_wide(path, len(header))
        if len(words) > len(rows) + ROWS:
            words.clear()
    if not rows:
        raise FeatxError("bad-manifest", f"{path} is empty", "write one JSON object per line, with the photo's path")
    return _Rows(list(header), rows)


def _plain(value: object, words: dict[str, str]) -> Value:
    if isinstance(value, str):
        return words.setdefault(value, value)
    return _number(value) if isinstance(value, int | float | bool | None) else json.dumps(value)


def _number(value: Value) -> Value:
    """Some programs write NaN for an empty cell."""
    return None if isinstance(value, float) and isnan(value) else value


def _parquet(path: Path) -> Table:
    file = open_parquet_table(path)
    try:
        read = file.read()
    except Exception as error:
        raise _unreadable(path, error) from error
    return ArrowTable(list(read.column_names), read)


def open_parquet_table(path: Path) -> Any:
    """A Parquet file as pyarrow has it, its columns counted."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise FeatxError(
            "extra-missing", "reading Parquet needs one more package", 'pip install "featx[parquet]"'
        ) from error
    try:
        file = parquet.ParquetFile(path)
    except Exception as error:
        raise _unreadable(path, error) from error
    _not_too_wide(path, len(file.schema_arrow.names))
    return file


def _unreadable(path: Path, error: Exception) -> FeatxError:
    return FeatxError("bad-manifest", f"{path} is not a readable Parquet file: {error}", "write it again")


@dataclass
class ArrowTable(Table):
    """Rows in columns, as Parquet has them; they become Python's objects some thousand at a time."""

    header: list[str]
    read: Any

    def __len__(self) -> int:
        return int(self.read.num_rows)

    def texts(self, column: str) -> Sequence[str | None]:
        """The cells of a column as text."""
        cells: list[str | None] = []
        words: dict[str, str] = {}
        for batch in self.read.select([column]).to_batches(ROWS):
            plain = map(_cell, batch.column(0).to_pylist())
            cells += [None if cell is None or cell == "" else words.setdefault(str(cell), str(cell)) for cell in plain]
            if len(words) > len(cells) // 2 + ROWS:
                words.clear()
        return cells

    def facts(self, indices: Sequence[int], without: Collection[str | None]) -> Iterator[dict[str, Value]]:
        """The other columns of some rows."""
        names = [name for name in self.header if name not in without]
        others = self.read.select(names)
        for start in range(0, len(indices), ROWS):
            for row in others.take(list(indices[start : start + ROWS])).to_pylist() if names else ():
                yield {name: _cell(value) for name, value in row.items()}
        if not names:
            yield from ({} for _ in indices)


def _cell(value: object) -> Value:
    """A value of Parquet as a cell: what is neither text nor number is written out."""
    return _number(value) if isinstance(value, str | int | float | bool | None) else str(value)
