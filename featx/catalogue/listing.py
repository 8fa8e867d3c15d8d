"""`featx list`: every photo of a source into one table, so that no later run lists it again.

Sources are those of `extract`, and: `s3://bucket/folder` and other clouds, tar archives as WebDataset writes them
(the files of a sample share a name: `0001.jpg`, `0001.cls`, `0001.json`), and Parquet files with the photos inside.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from featx.catalogue.items import Catalogue
from featx.catalogue.own_columns import Value
from featx.catalogue.path_layout import PathLayout
from featx.catalogue.reading import read_catalogue
from featx.catalogue.suffixes import IMAGE_SUFFIXES
from featx.errors import FeatxError
from featx.files.atomic import atomic_writer, cannot_write
from featx.images.archives import image_column, members_of, open_parquet, read_text_member
from featx.images.objects import list_objects
from featx.images.places import INSIDE, is_object

Row = Mapping[str, Value]
FIRST = ("path", "id", "label", "product", "split")
WRITTEN_AT_ONCE = 50_000


@dataclass(frozen=True)
class Listed:
    """What was listed: how many photos, and where they are written."""

    table: Path
    n: int
    columns: Sequence[str] = field(default_factory=tuple)


def list_photos(source: str, table: Path) -> Listed:
    """Write the photos of a source into a Parquet table that `extract` reads."""
    if table.suffix.lower() != ".parquet":
        raise FeatxError(
            "bad-flag", f"the list is a Parquet file, and `{table}` is none", "name it like photos.parquet"
        )
    rows = _rows(source, table)
    first = list(islice(rows, WRITTEN_AT_ONCE))
    if not first:
        raise FeatxError("no-images", f"no photo in `{source}`", f"photos end in {', '.join(sorted(IMAGE_SUFFIXES))}")
    columns = list(dict.fromkeys(chain(FIRST, *(row.keys() for row in first))))
    try:
        with atomic_writer(table) as file:
            return Listed(table, _write(file, columns, first, rows), columns)
    except OSError as error:
        raise cannot_write(table, error) from error


def _rows(source: str, table: Path) -> Iterator[Row]:
    if is_object(source):
        return _objects(source)
    suffix = Path(source).suffix.lower()
    if suffix == ".tar":
        return _samples(source, table)
    if suffix == ".parquet" and (cells := _cells(source, table)) is not None:
        return cells
    return _items(read_catalogue(source), table)


def _items(catalogue: Catalogue, table: Path) -> Iterator[Row]:
    for item in catalogue.items:
        own = {"id": item.item_id, "label": item.label, "product": item.product, "split": item.split}
        yield {"path": _beside(item.path, table), **own, **{k: v for k, v in item.extra.items() if k not in FIRST}}


def _objects(source: str) -> Iterator[Row]:
    """Photos in a bucket: labels and splits from their folders, as for files."""
    layout = PathLayout(None, None, None, True)
    prefix = source.rstrip("/") + "/"
    for listed in list_objects(source):
        if os.path.splitext(listed.url)[1].lower() in IMAGE_SUFFIXES:
            short = listed.url.removeprefix(prefix)
            item = layout.item(short, listed.url, short, "")
            yield {"path": listed.url, "id": short, "label": item.label, "product": None, "split": item.split,
                   "bytes": listed.size}  # fmt: skip


def _samples(archive: str, table: Path) -> Iterator[Row]:
    """The samples of a tar archive: a photo, and what files of the same name say of it."""
    try:
        members = members_of(archive)
    except OSError as error:
        raise FeatxError("no-such-file", f"cannot read `{archive}`: {error.strerror or error}", "check it") from error
    samples: dict[str, dict[str, str]] = {}
    for name in members:
        folder, base = os.path.split(name)
        stem, _, ending = base.partition(".")
        samples.setdefault(os.path.join(folder, stem), {})["." + ending.lower()] = name
    layout = PathLayout(None, None, None, True)
    for key, files in samples.items():
        photo = next((name for ending, name in files.items() if ending in IMAGE_SUFFIXES), None)
        if photo is None:
            continue
        item = layout.item(key, photo, photo, "")
        row: dict[str, Value] = {"path": _beside(archive, table) + INSIDE + photo, "id": key, "label": item.label,
                                 "product": None, "split": item.split}  # fmt: skip
        for ending in (".cls", ".label"):
            if ending in files:
                row["label"] = read_text_member(archive, files[ending]).strip() or row["label"]
        if ".json" in files:
            row |= _facts(read_text_member(archive, files[".json"]))
        yield row


def _facts(text: str) -> dict[str, Value]:
    """The plain values of a sample's JSON; `path` is the photo's own."""
    with suppress(ValueError):
        read = json.loads(text)
        if isinstance(read, dict):
            return {k: v for k, v in read.items() if k != "path" and isinstance(v, str | int | float | bool)}
    return {}


def _cells(source: str, table: Path) -> Iterator[Row] | None:
    """The rows of a Parquet file with photos inside; None where it has none."""
    if not Path(source).is_file():
        return None
    with open_parquet(source) as file:
        schema = file.schema_arrow
        column = image_column(schema)
    return None if column is None else _cell_rows(source, table, column, _class_names(schema))


def _cell_rows(source: str, table: Path, column: str, classes: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    stem, number = Path(source).stem, 0
    with open_parquet(source) as file:
        others = [name for name in file.schema_arrow.names if name != column]
        for batch in file.iter_batches(columns=others) if others else [None] * file.num_row_groups:
            for row in batch.to_pylist() if batch is not None else [{}] * file.metadata.num_rows:
                plain = {name: _plain(value, classes.get(name)) for name, value in row.items()}
                own = {"id": f"{stem}-{number}", "label": None, "product": None, "split": None}
                yield {"path": f"{_beside(source, table)}{INSIDE}{number}", **own, **plain}
                number += 1
            if batch is None:
                return


def _plain(value: object, names: Sequence[str] | None) -> Value:
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _class_names(schema: Any) -> dict[str, Sequence[str]]:
    """The names of numbered classes that Hugging Face's datasets write into their files."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature["names"] for name, feature in features.items() if feature.get("_type") == "ClassLabel"}
    return {}


def _beside(path: str, table: Path) -> str:
    """A path as the table names it: from its own folder where the photo is below, else from the root."""
    whole, folder = Path(path).absolute(), table.absolute().parent
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else str(whole)


def _write(file: Any, columns: Sequence[str], first: list[Row], more: Iterator[Row]) -> int:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise FeatxError(
            "extra-missing", "writing Parquet needs one more package", 'pip install "featx[parquet]"'
        ) from error
    kinds = {"path": pa.string(), "id": pa.string(), "label": pa.string(), "product": pa.string(), "split": pa.string()}
    schema = pa.schema(
        [pa.field(name, kinds.get(name) or _kind(pa, [row.get(name) for row in first])) for name in columns]
    )
    n = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for part in _batches(first, more):
            arrays = [pa.array([_cell(row.get(f.name), pa, f.type) for row in part], f.type) for f in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            n += len(part)
    return n


def _batches(first: list[Row], more: Iterator[Row]) -> Iterable[list[Row]]:
    part = first
    while part:
        yield part
        part = list(islice(more, WRITTEN_AT_ONCE))


def _kind(pa: Any, values: Sequence[Value]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float} else pa.string()


def _cell(value: Value, pa: Any, kind: Any) -> Value:
    """A value in the one type of its column; what does not fit later on is left out."""
    if value is None:
        return None
    if kind == pa.string():
        return str(value)
    return value if isinstance(value, int | float) and not (kind == pa.int64() and isinstance(value, float)) else None
