"""Where photos are: files, members of tar archives, cells of Parquet files, objects in clouds; the bytes of each.

`photos.tar!/a/b.jpg` is a member of an archive, `photos.parquet!/17` row 17 of a table with the photos in it,
`s3://bucket/key` (`gs://`, `az://`, `https://`) an object. Only the bytes of that photo are read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from featx.images.archives import mark_of_packed, read_packed
from featx.images.objects import SCHEMES, Mark, mark_of_object, read_object
from featx.images.reading import read_file

# Between an archive and the photo inside.
INSIDE = "!/"
ARCHIVES = (".tar", ".parquet")


@dataclass(frozen=True)
class Packed:
    """A photo in an archive."""

    archive: str
    member: str


def is_object(path: str) -> bool:
    """Whether this is the URL of an object, and no path."""
    return path.startswith(SCHEMES)


def packed(path: str) -> Packed | None:
    """The archive and the member that a path names; None for other paths."""
    archive, mark, member = path.partition(INSIDE)
    return Packed(archive, member) if mark and member and archive.lower().endswith(ARCHIVES) else None


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a photo, wherever it is; `UnreadablePhoto` says why not."""
    name = os.fspath(path)
    if is_object(name):
        return read_object(name)[0]
    inside = packed(name)
    return read_file(path) if inside is None else read_packed(inside.archive, inside.member, name)


def read_with_mark(path: str) -> tuple[bytes, Mark | None]:
    """All bytes of a photo, and the size and time that they had before; an object is asked for once."""
    if is_object(path):
        return read_object(path)
    mark = mark_of(path)
    return read_bytes(path), mark


def mark_of(path: str) -> Mark | None:
    """Size and time of a photo's bytes, by which a change is noticed; None if they cannot be read."""
    if is_object(path):
        return mark_of_object(path)
    if (inside := packed(path)) is not None:
        return mark_of_packed(inside.archive, inside.member)
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
