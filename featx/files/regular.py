"""What featx reads again is read only from plain files: a pipe would keep it waiting, and a device has no end."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any


def open_regular(path: Path | str) -> io.BufferedReader:
    """A file to read; OSError where something else lies under its name."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        require_regular(fd, path)
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def require_regular(fd: int, path: Path | str) -> None:
    """OSError unless an open file is a plain one."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))


def read_regular(path: Path | str) -> bytes:
    """All bytes of a plain file."""
    with open_regular(path) as file:
        return file.read()


def same_place(said: str, path: Path) -> bool:
    """Whether a name that was written down is that of a path; no name that no file can have is."""
    try:
        return Path(said).resolve() == path.resolve()
    except (OSError, ValueError):
        return False


def read_json(path: Path | str) -> Any:
    """What a plain JSON file holds; OSError or ValueError where it cannot be told."""
    return parse_json(read_regular(path))


def parse_json(data: bytes) -> Any:
    """What bytes of JSON say; ValueError where it cannot be told."""
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("its brackets go too deep") from error
