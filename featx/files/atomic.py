"""Write files atomically, under a temporary name that is then renamed: readers see the old file or the new one."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO

from featx.errors import FeatxError

# Without this mark spreadsheets assume an older encoding, and umlauts break.
SPREADSHEET = "utf-8-sig"

# Seconds without a write after which the writer of a temporary file must have been killed.
ABANDONED = 3600.0


@contextmanager
def atomic_writer(path: Path, *, synced: bool = True, swept: bool = True) -> Iterator[BinaryIO]:
    """A file to write into; it becomes `path`, synced, when the block succeeds, and is removed when it fails.

    `synced=False` is for files that can be verified, such as those named by their digest.
    `swept=False` is for writers of many files, which would search the folder for leftovers each time.
    """
    if swept:
        remove_stale_temporaries(path)
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            yield file
            if synced:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if synced:
        # If a folder cannot be synced, a power cut may bring the old file back, which is complete too.
        with suppress(OSError):
            fsync_folder(path.parent)


def temporary_path(path: Path) -> Path:
    """A new name beside `path` to write under, known to `remove_stale_temporaries`."""
    return path.with_name(f"{_start(path.name.lstrip('.'))}.{os.getpid()}.{os.urandom(3).hex()}.new")


def link_atomic(link: Path, target: str) -> None:
    """Let a symbolic link lead elsewhere; readers find the old target or the new one."""
    temporary = temporary_path(link)
    try:
        temporary.symlink_to(target, target_is_directory=True)
        os.replace(temporary, link)
    finally:
        temporary.unlink(missing_ok=True)


def replace_durably(temporary: Path, path: Path) -> None:
    """Give a file that was synced its name, and make that survive a power cut too."""
    os.replace(temporary, path)
    fsync_folder(path.parent)


@contextmanager
def atomic_text_writer(path: Path) -> Iterator[TextIO]:
    """Write a text file atomically; a FeatxError says why it cannot be written. File names in any bytes are allowed."""
    encoding = SPREADSHEET if path.suffix.lower() == ".csv" else "utf-8"
    try:
        with atomic_writer(path) as file:
            text = TextIOWrapper(file, encoding=encoding, errors="surrogateescape", newline="", write_through=True)
            yield text
            text.detach()
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError, hint: str = "choose another place") -> FeatxError:
    """The error for a file that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = "disk-full" if full else "no-permission"
    return FeatxError(code, f"cannot write `{path}`: {error.strerror or error}", hint)


def write_atomic(path: Path, data: bytes, *, synced: bool = True, swept: bool = True) -> None:
    """Write bytes as `atomic_writer` does."""
    with atomic_writer(path, synced=synced, swept=swept) as file:
        file.write(data)


def _start(name: str) -> str:
    """The start of a temporary name; a name of maximum length leaves no room for a suffix."""
    data = os.fsencode(name)
    return "." + (name if len(data) <= 200 else data[:200].decode("utf-8", "ignore"))


def remove_stale_temporaries(path: Path, *, alone: bool = False) -> None:
    """Remove leftovers of killed writers of `path`; at once with `alone`, when no other writer can be at work."""
    long_ago = float("inf") if alone else time.time() - ABANDONED
    with suppress(OSError):
        for entry in os.scandir(path.parent):
            if entry.name.startswith(f"{_start(path.name)}.") and entry.name.endswith(".new"):
                with suppress(OSError):
                    if entry.stat().st_mtime < long_ago:
                        os.unlink(entry.path)  # noqa: PTH108


def fsync_folder(folder: Path) -> None:
    """Make a new or renamed name durable, on systems that can open a folder: Windows cannot."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
