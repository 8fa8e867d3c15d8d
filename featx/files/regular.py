"""Read only regular files: a pipe would block, and a device has no end."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Flags for opening files; systems that lack one do not need it.
BINARY = getattr(os, "O_BINARY", 0)
CLOEXEC = getattr(os, "O_CLOEXEC", 0)
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_seeking = threading.Lock()


def open_regular(path: Path | str) -> io.BufferedReader:
    """Open a regular file for reading; OSError if it is anything else."""
    fd = os.open(path, os.O_RDONLY | BINARY | CLOEXEC | NONBLOCK)
    try:
        require_regular(fd, path)
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def require_regular(fd: int, path: Path | str) -> None:
    """Raise OSError unless an open file is regular."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))


def read_regular(path: Path | str) -> bytes:
    """All bytes of a regular file."""
    with open_regular(path) as file:
        return file.read()


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes from `offset` on; the file's own position stays where it was."""
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    with _moved_to(fd, offset):
        return os.read(fd, size)


def write_at(fd: int, data: bytes, offset: int) -> int:
    """Write at `offset`, and tell how many bytes the system took; the file's own position stays where it was."""
    if hasattr(os, "pwrite"):
        return os.pwrite(fd, data, offset)
    with _moved_to(fd, offset):
        return os.write(fd, data)


@contextmanager
def _moved_to(fd: int, offset: int) -> Iterator[None]:
    """For systems without `pread`: seek there and back, one thread at a time."""
    with _seeking:
        before = os.lseek(fd, 0, os.SEEK_CUR)
        os.lseek(fd, offset, os.SEEK_SET)
        try:
            yield
        finally:
            os.lseek(fd, before, os.SEEK_SET)


def same_place(name: str, path: Path) -> bool:
    """Whether a recorded name refers to a path; a name that no file can have never does."""
    try:
        return Path(name).resolve() == path.resolve()
    except (OSError, ValueError):
        return False


def read_json(path: Path | str) -> Any:
    """The content of a regular JSON file; OSError or ValueError if it cannot be read."""
    return parse_json(read_regular(path))


def parse_json(data: bytes) -> Any:
    """Parse JSON bytes; ValueError if they are not JSON."""
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("its brackets go too deep") from error
