"""One writer at a time: advisory locks on open files, released when the file is closed or its process ends."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from featx.errors import FeatxError
from featx.files.atomic import cannot_write
from featx.files.regular import BINARY, CLOEXEC, NOFOLLOW, NONBLOCK, read_at, require_regular, write_at

# Whoever holds a lock for this long without any progress is stopped or stuck; waiting on would be waiting for ever.
PATIENCE = 60.0
_PAUSE = 0.05
# Windows locks the first byte against readers too, so the process number stands behind it.
_PID_OFFSET = 1


class LockHeld(Exception):
    """Another process holds the lock: `pid` is its number, where it can be read."""

    def __init__(self, pid: int | None = None) -> None:
        super().__init__(f"held by process {pid}" if pid else "held by another process")
        self.pid = pid


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`, which names its holder's process; LockHeld at once where another has it."""
    fd = _open_lock_file(path)
    try:
        _take(fd, path)
        yield
    finally:
        os.close(fd)


@contextmanager
def held_or_busy(
    path: Path, busy: str, hint: str, details: Mapping[str, object] = MappingProxyType({})
) -> Iterator[None]:
    """Hold the lock file at `path`; where another process has it, a FeatxError `store-busy` that names its number.

    `busy` says what the other one does; the number joins the details where there are any.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_file(path))
        except LockHeld as error:
            process = f" (process {error.pid})" if error.pid else ""
            known = {**details, "pid": error.pid} if details else {}
            raise FeatxError("store-busy", f"{busy}{process}", hint, known) from error
        yield


@contextmanager
def folder_lock(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Let one writer at a time into a folder; LockHeld when the other one does not leave it.

    Where a folder cannot be locked, on some network disks, nobody waits.
    """
    fd = _open_folder(folder)
    try:
        with suppress(OSError):
            wait_for_lock(fd, patience)
        yield
    finally:
        os.close(fd)


@contextmanager
def one_writer(folder: Path, what: str, patience: float | None = None) -> Iterator[None]:
    """Keep other writers out of a folder, which is made where it is missing; readers are not held up.

    Whoever replaces a file after reading it does both in here, so that nothing is replaced unread. `what` names in the
    error what the other writer is saving.
    """
    with ExitStack() as lock:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.enter_context(folder_lock(folder, PATIENCE if patience is None else patience))
        except LockHeld as error:
            raise FeatxError(
                "store-busy",
                f"another featx has been saving {what} in {folder} for a minute",
                "wait until it is done, or save into another folder",
            ) from error
        except OSError as error:
            raise cannot_write(folder, error, "make the folder writable") from error
        yield


def wait_for_lock(fd: int, patience: float = PATIENCE, progress: Callable[[], object] = lambda: None) -> None:
    """Lock an open file as soon as it is free; LockHeld once `progress()` has not changed for `patience` seconds."""
    seen, since = progress(), time.monotonic()
    while not try_lock(fd):
        if (now := progress()) != seen:
            seen, since = now, time.monotonic()
        if time.monotonic() - since >= patience:
            raise LockHeld
        time.sleep(_PAUSE)


def try_lock(fd: int) -> bool:
    """Lock an open file unless another holds it; OSError where the disk knows no locks."""
    from filelock import lock_descriptor  # only writers pay for this import

    return lock_descriptor(fd, blocking=False)


def _open_lock_file(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A link would have its target emptied, and a pipe or another program's file is not our lock.
        return os.open(path, os.O_RDWR | os.O_CREAT | BINARY | CLOEXEC | NOFOLLOW | NONBLOCK, 0o666)
    except OSError as error:
        raise FeatxError(
            "no-permission", f"cannot write `{path}`: {error.strerror}", "make its folder writable"
        ) from error


def _take(fd: int, path: Path) -> None:
    try:
        require_regular(fd, path)
        locked = try_lock(fd)
        content = _content(fd)
        if content.strip(b"0123456789 \n\0"):  # zeros: a power cut
            raise OSError(errno.EINVAL, "it is not a lock of featx")
    except OSError as error:
        hint = "remove it, or choose another place" if error.errno == errno.EINVAL else "use a local disk"
        raise FeatxError("no-permission", f"cannot lock `{path}`: {error.strerror}", hint) from error
    if not locked:
        raise LockHeld(int(content) if content.strip().isdigit() else None)
    with suppress(OSError):
        os.ftruncate(fd, 0)
        write_at(fd, b" " * _PID_OFFSET + str(os.getpid()).encode(), 0)


def _content(fd: int) -> bytes:
    try:
        return read_at(fd, 32, 0)
    except PermissionError:
        return read_at(fd, 32, _PID_OFFSET)


def _open_folder(folder: Path) -> int:
    """A folder to lock, or a file in it where the system cannot open folders."""
    if hasattr(os, "O_DIRECTORY"):
        return os.open(folder, os.O_RDONLY | CLOEXEC)
    return os.open(folder / ".featx.lock", os.O_RDWR | os.O_CREAT | BINARY | CLOEXEC, 0o666)
