"""The columns of photos, such as titles and prices, as the numbers that the graph takes beside a photo."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from engine import refuse_if_changed  # type: ignore[import-not-found]

from featx.classifiers.columns.cells import is_missing
from featx.classifiers.columns.encoders import ChoiceEncoder, ColumnEncoder, NumberEncoder, TextEncoder

LEARNED, ARRAYS = "columns/learned.json", "columns/learned.npz"
TABLES = (".csv", ".tsv")
# What the column with the photos of a table may be called.
PHOTO = ("image", "path", "file_name", "filename", "file", "image_path", "photo", "picture")
Row = Mapping[str, Any]


class Columns:
    """Rows of a table in, rows of numbers out; the files are compared with their digests before they are read."""

    def __init__(self, folder: Path) -> None:
        for name in (LEARNED, ARRAYS):
            refuse_if_changed(folder, name)
        learned = json.loads((folder / LEARNED).read_text("utf-8"))
        with np.load(folder / ARRAYS, allow_pickle=False) as file:
            arrays = dict(file)
        self._encoders = {column["name"]: _encoder(column, i, arrays) for i, column in enumerate(learned)}

    def encode(self, rows: Sequence[Row]) -> np.ndarray:
        """A row of numbers for each row; zeros for what it does not say."""
        parts = [encoder.encode([row.get(name) for row in rows]) for name, encoder in self._encoders.items()]
        return np.hstack(parts).astype(np.float32)

    def says_nothing(self, row: Row) -> bool:
        """Whether a row has no value in any column, so that the photo alone is asked."""
        return all(is_missing(row.get(name)) for name in self._encoders)


def _encoder(column: dict[str, Any], i: int, arrays: Mapping[str, np.ndarray]) -> ColumnEncoder:
    own = {name: arrays[f"column {i}.{name}"] for name in column["arrays"]}
    if column["kind"] == "text":
        return TextEncoder(column["words"], own["weights"], own["directions"], column["unseen"], column["repeats"])
    return NumberEncoder(own["knots"]) if column["kind"] == "number" else ChoiceEncoder(column["words"])


def add_flags(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """A flag for each column: its name, or `--column-NAME` where the program has a flag of that name."""
    parser.epilog = "A table (CSV or TSV in UTF-8, photos in a column `path`) gives each photo its own columns."
    for name in names:
        words: dict[str, Any] = {"dest": f"column {name}", "metavar": "VALUE"}
        words["help"] = f"the {name} of the photos".replace("%", "%%")
        try:
            parser.add_argument(f"--{name}", **words)
        except argparse.ArgumentError:
            parser.add_argument(f"--column-{name}", **words)


def with_rows(paths: Iterable[Path], words: argparse.Namespace, columns: Columns) -> Iterator[tuple[Path, Row]]:
    """Photos with the columns that flags give them, and those of tables with their rows; a note of those without."""
    flags = {name.removeprefix("column "): value for name, value in vars(words).items() if name.startswith("column ")}
    given = {name: value for name, value in flags.items() if value is not None}
    without = 0
    for path in paths:
        for photo, row in rows_of_table(path) if path.suffix.lower() in TABLES else [(path, {})]:
            both = {**given, **row}
            without += columns.says_nothing(both)
            yield photo, both
    if without:
        print(f"{without:,} without {', '.join(flags)}: answered by the photo alone", file=sys.stderr)


def rows_of_table(table: Path) -> Iterator[tuple[Path, Row]]:
    """The photos of a CSV or TSV table in UTF-8, each with its row; paths begin at the table."""
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"cannot read {table}: {error}; save it as CSV in UTF-8")
    mark = max(",;\t|", key=text.partition("\n")[0].count)
    # Rows end with a line feed: cells may contain other line ends of Unicode.
    rows = csv.DictReader(io.StringIO(text, newline="\n"), delimiter=mark, skipinitialspace=True)
    own = {name.strip().lower(): name for name in rows.fieldnames or ()}
    photo = next((own[name] for name in PHOTO if name in own), None)
    if photo is None:
        sys.exit(f"{table} has no column with the paths of photos: call it `path`")
    for row in rows:
        cells = {name.strip(): value.strip() for name, value in row.items() if name and value}
        yield table.parent / cells.pop(photo.strip(), ""), cells
