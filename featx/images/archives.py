"""Photos inside tar archives, as WebDataset writes them, and inside Parquet files, as Hugging Face's datasets do."""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

from featx.errors import FeatxError
from featx.images.reading import MAX_BYTES, UnreadablePhoto, too_many_bytes

OPEN_ARCHIVES, KEPT_GROUPS = 64, 4
_reading = Lock()


@dataclass(frozen=True)
class Member:
    """Where a file lies in an archive."""

    offset: int
    size: int


def read_packed(archive: str, member: str, name: str) -> bytes:
    """The bytes of a photo inside an archive; errors call it `name`."""
    try:
        if archive.lower().endswith(".parquet"):
            return _read_cell(archive, member, name)
        return _read_member(archive, member, name)
    except FileNotFoundError as error:
        raise UnreadablePhoto(name, "missing", "no such archive") from error
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise UnreadablePhoto(name, "unreadable", str(error) or "the archive is damaged") from error


def mark_of_packed(archive: str, member: str) -> tuple[int, int] | None:
    """Size and time of a photo in an archive: those of the archive, which are those of all its photos."""
    try:
        stat = os.stat(archive)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def members_of(archive: str) -> dict[str, Member]:
    """The regular files of a tar archive, in order; its headers are read once."""
    stat = os.stat(archive)
    return _members(archive, stat.st_size, stat.st_mtime_ns)


@lru_cache(OPEN_ARCHIVES)
def _members(archive: str, size: int, time: int) -> dict[str, Member]:
    with tarfile.open(archive, "r:") as tar:
        return {
            entry.name: Member(entry.offset_data, entry.size) for entry in tar if entry.isreg() and not entry.issparse()
        }


def read_text_member(archive: str, member: str) -> str:
    """A small text of an archive."""
    return _read_member(archive, member, f"{archive}!/{member}").decode("utf-8", "replace")


def _read_member(archive: str, member: str, name: str) -> bytes:
    found = members_of(archive).get(member)
    if found is None:
        raise UnreadablePhoto(name, "missing", "the archive has no such file")
    if found.size > MAX_BYTES:
        raise too_many_bytes(name, found.size)
    with open(archive, "rb") as file:  # noqa: PTH123
        file.seek(found.offset)
        data = file.read(found.size)
    if len(data) != found.size:
        raise UnreadablePhoto(name, "truncated", "the archive ends before the photo does")
    return data


# --- Parquet ----------------------------------------------------------------------------------------------------------


def image_column(schema: Any) -> str | None:
    """The column of a Parquet file that holds photos: bytes, or bytes beside a path as Hugging Face writes them."""
    import pyarrow as pa

    for field in schema:
        kind = field.type
        if pa.types.is_struct(kind) and {"bytes", "path"} <= {kind.field(i).name for i in range(kind.num_fields)}:
            return str(field.name)
    named = [field.name for field in schema if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)]
    return str(named[0]) if named else None


def open_parquet(path: str) -> Any:
    """A Parquet file, opened."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise FeatxError(
            "extra-missing", "reading Parquet needs one more package", 'pip install "featx[parquet]"'
        ) from error
    return parquet.ParquetFile(path)


def _read_cell(archive: str, member: str, name: str) -> bytes:
    if not member.isdecimal():
        raise UnreadablePhoto(name, "missing", "rows of a Parquet file have numbers")
    stat = os.stat(archive)
    with _reading:  # a group of rows is read once, by the first of its photos
        cell = _cell(archive, stat.st_size, stat.st_mtime_ns, int(member))
    if cell is None:
        raise UnreadablePhoto(name, "missing", "the cell is empty, or there is no such row")
    if len(cell) > MAX_BYTES:
        raise too_many_bytes(name, len(cell))
    return cell


def _cell(archive: str, size: int, time: int, row: int) -> bytes | None:
    for group, (start, end) in enumerate(_groups(archive, size, time)):
        if start <= row < end:
            value = _group(archive, size, time, group)[row - start].as_py()
            value = value["bytes"] if isinstance(value, dict) else value
            return None if value is None else bytes(value)
    return None


@lru_cache(OPEN_ARCHIVES)
def _groups(archive: str, size: int, time: int) -> tuple[tuple[int, int], ...]:
    """The rows of each group of a file."""
    with open_parquet(archive) as file:
        groups, start = [], 0
        for number in range(file.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            groups.append((start, start + rows))
            start += rows
        return tuple(groups)


@lru_cache(KEPT_GROUPS)
def _group(archive: str, size: int, time: int, group: int) -> Any:
    with open_parquet(archive) as file:
        column = image_column(file.schema_arrow)
        if column is None:
            raise ValueError("it has no column of photos")
        return file.read_row_group(group, columns=[column])[column]
