"""The photos that a table names: which exist, and that none lies outside the folder of the table."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from featx.catalogue.items import Skipped
from featx.errors import FeatxError
from featx.images.objects import SCHEMES
from featx.images.places import INSIDE, packed

# Whoever wrote a table must not choose which servers are asked; buckets are named by people with keys to them.
WEB = ("http://", "https://")


@dataclass(frozen=True)
class LocatedPhotos:
    """The rows of a table whose photo exists, its path, and the other rows with the reason."""

    rows: list[int]
    paths: list[str]
    skipped: list[tuple[int, Skipped]]

    def cells(self, column: Sequence[str | None]) -> Sequence[str | None]:
        """The cells of a column in these rows."""
        return column if len(self.rows) == len(column) else [column[row] for row in self.rows]


def locate_photos(cells: Iterable[str | None], table: Path, root: str, allow_outside: bool) -> LocatedPhotos:
    """Look for the photo that each row names."""
    real_root = os.path.realpath(root)
    inside: dict[str, bool] = {}
    rows: list[int] = []
    paths: list[str] = []
    skipped: list[tuple[int, Skipped]] = []
    for row, cell in enumerate(cells):
        name = (cell or "").strip()
        if not name:
            skipped.append((row, Skipped("", "missing", "a row names no photo")))
            continue
        if name.startswith(SCHEMES):
            if name.startswith(WEB) and not allow_outside:
                raise _outside(table, name, root)
            rows.append(row)
            paths.append(name)
            continue
        path = os.path.join(root, name) if root != "." else name
        inside_archive = packed(path) if INSIDE in path else None
        whole, path = path, inside_archive.archive if inside_archive else path
        if not _is_possible(path):
            skipped.append((row, Skipped(path, "missing", "no file can have such a name")))
            continue
        mode = _mode(path)
        if mode is None and "\\" in name:
            slashed = os.path.join(root, name.replace("\\", "/"))
            mode = _mode(slashed)
            path = slashed if mode is not None else path
        link = mode is not None and stat.S_ISLNK(mode)
        if not allow_outside and not _inside(path, link, real_root, inside):
            raise _outside(table, name, root)
        if mode is None or (link and not os.path.exists(path)):
            skipped.append((row, Skipped(path, "missing")))
            continue
        rows.append(row)
        paths.append(whole if inside_archive else path)
    return LocatedPhotos(rows, paths, skipped)


def _outside(table: Path, name: str, root: str) -> FeatxError:
    return FeatxError(
        "path-escapes",
        f"{table} names `{name}`, which is outside `{root}`",
        "put the table beside its photos, or allow it: `--allow-outside`",
    )


def _mode(path: str) -> int | None:
    """The kind of entry at a path, links not followed; None if there is nothing."""
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):
        return None


def _inside(path: str, link: bool, real_root: str, folders: dict[str, bool]) -> bool:
    """Whether a path leads into the root, links followed; where a folder leads is looked up once."""
    folder, name = os.path.split(path)
    if link or name in ("", ".", ".."):
        return os.path.commonpath([real_root, os.path.realpath(path)]) == real_root
    if folder not in folders:
        folders[folder] = os.path.commonpath([real_root, os.path.realpath(folder)]) == real_root
    return folders[folder]


def _is_possible(path: str) -> bool:
    """Whether a file could have this name at all."""
    if path.isascii():
        return "\0" not in path
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False
