"""A photo's bytes from the disk, or a plain reason why not."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

MAX_BYTES = 64 * 2**20


class UnreadablePhoto(Exception):
    """A file that cannot be read as a photo: its path, the reason as a fixed word, and the detail for people.

    `reason` is one of missing, unreadable, truncated, not-an-image, too-large.
    """

    def __init__(self, path: str, reason: str, detail: str = "") -> None:
        super().__init__(path, reason, detail)
        self.path = path
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        text = f"{self.reason} ({self.detail})" if self.detail else self.reason
        return f"{self.path}: {text}" if self.path else text


def read_file(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a photo file; refuses one that is not regular, is over 64 MiB, or changes while it is read."""
    name = os.fspath(path)
    try:
        # Without O_NONBLOCK a named pipe called x.jpg would wait for a writer for ever.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(name, flags)
    except (OSError, ValueError) as error:
        raise _cannot_open(name, error) from error
    try:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise UnreadablePhoto(name, "not-an-image", f"this is {_kind_of_node(before.st_mode)}")
        if before.st_size > MAX_BYTES:
            raise too_many_bytes(name, before.st_size)
        data = read_up_to(handle, before.st_size + 1)
        after = os.fstat(handle)
    except OSError as error:
        raise UnreadablePhoto(name, "unreadable", _system_words(error)) from error
    finally:
        os.close(handle)
    if len(data) != before.st_size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise UnreadablePhoto(name, "unreadable", "the file changed while it was read")
    return data


def too_many_bytes(name: str, size: int) -> UnreadablePhoto:
    """The refusal of a photo file that is too large to read."""
    detail = f"{size / 2**20:,.0f} MiB, the limit is {MAX_BYTES // 2**20} MiB"
    return UnreadablePhoto(name, "too-large", detail)


def read_up_to(handle: int, most: int) -> bytes:
    """The bytes of an open file, at most so many."""
    parts: list[bytes] = []
    left = most
    while left and (part := os.read(handle, left)):
        parts.append(part)
        left -= len(part)
        if left == 1:  # the size by fstat; growth since then shows in the second fstat
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _cannot_open(name: str, error: OSError | ValueError) -> UnreadablePhoto:
    if isinstance(error, ValueError):
        return UnreadablePhoto(name, "missing", "no file can have this name")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        link = Path(name).is_symlink()
        return UnreadablePhoto(name, "missing", "the link points nowhere" if link else "no such file")
    if error.errno == errno.ENAMETOOLONG:
        return UnreadablePhoto(name, "missing", "the name is too long for a file")
    if error.errno == errno.ENXIO:
        return UnreadablePhoto(name, "not-an-image", "this is a socket or a device")
    if Path(name).is_dir():  # where folders cannot be opened at all
        return UnreadablePhoto(name, "not-an-image", "this is a folder")
    return UnreadablePhoto(name, "unreadable", _system_words(error))


def _system_words(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "no permission to read it"
    if error.errno == errno.ELOOP:
        return "the link points at itself"
    return (error.strerror or str(error)).lower()


def _kind_of_node(mode: int) -> str:
    kinds: tuple[tuple[Callable[[int], bool], str], ...] = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((words for is_kind, words in kinds if is_kind(mode)), "no regular file")
