"""Records what a writer asks of the file system, and rebuilds the folder as a crash would have left it.

After each write, truncation, sync, rename and removal there is a moment in which the process may die (the folder is
then as it stands) or the power may go (of what was not synced, any part may be lost, torn, or there as zeros).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECTOR = 512
Change = tuple[int, bytes | None]  # (offset, bytes), or (new length, None) for a truncation
NameChange = tuple[str, int | None]  # a name and what it stands for from now on; None: it is gone


@dataclass
class File:
    """What is on the disk for certain, and what was asked for since."""

    durable: bytes = b""
    pending: list[Change] = field(default_factory=list)

    def now(self) -> bytes:
        return applied(self.durable, self.pending)


@dataclass(frozen=True)
class Moment:
    """The folder between two system calls, and which of the states of the store are allowed to be found."""

    files: dict[int, tuple[bytes, tuple[Change, ...]]]
    names: dict[str, int]
    durable_names: dict[str, int]
    pending_names: tuple[NameChange, ...]
    step: int
    call: str


def applied(data: bytes, changes: list[Change] | tuple[Change, ...]) -> bytes:
    out = bytearray(data)
    for at, piece in changes:
        if piece is None:
            out[:] = out[:at].ljust(at, b"\0")
        else:
            out[:] = out.ljust(at, b"\0")
            out[at : at + len(piece)] = piece
    return bytes(out)


class Recorder:
    """Watches one folder through `os`; `step` says how far the writer's own story has come."""

    def __init__(self, folder: Path, deaf_to: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.deaf_to = deaf_to
        self.moments: list[Moment] = []
        self.step = 0
        self._files: dict[int, File] = {}
        self._held: list[int] = []
        self._names: dict[str, int] = {}
        self._durable_names: dict[str, int] = {}
        self._pending_names: list[NameChange] = []

    @contextmanager
    def watching(self, patch: Any) -> Iterator[None]:
        """Record everything done in this block."""
        for name in ("write", "pwrite", "ftruncate", "fsync", "fdatasync", "replace", "rename", "unlink"):
            if name in self.deaf_to:
                patch.setattr(os, name, lambda fd: None)
            else:
                self._watch(patch, name, getattr(os, name))
        self._look("begin")
        yield
        self._look("end")

    def _watch(self, patch: Any, name: str, real: Any) -> None:
        def called(*words: Any, **named: Any) -> Any:
            before = self._before(name, words)
            done = real(*words, **named)
            self._after(name, words, done, before)
            return done

        patch.setattr(os, name, called)

    def _before(self, name: str, words: tuple[Any, ...]) -> int:
        return os.lseek(words[0], 0, os.SEEK_CUR) if name == "write" and self._known(words[0]) else 0

    def _known(self, fd: int) -> bool:
        self._discover()
        return os.fstat(fd).st_ino in self._files

    def _after(self, name: str, words: tuple[Any, ...], done: Any, at: int) -> None:
        if name in ("replace", "rename", "unlink"):
            self._look(name)
            return
        self._discover()
        ino = os.fstat(words[0]).st_ino
        if ino == self.folder.stat().st_ino:
            self._durable_names, self._pending_names = dict(self._names), []
        elif ino in self._files:
            file = self._files[ino]
            if name in ("write", "pwrite"):
                file.pending.append((at if name == "write" else words[2], bytes(words[1])[:done]))
            elif name == "ftruncate":
                file.pending.append((words[1], None))
            else:
                self._take_in(ino)
                file.durable, file.pending = file.now(), []
        else:
            return
        self._look(name)

    def _discover(self) -> None:
        """New names and files; what another process wrote is there, but not synced."""
        numbers = {}
        for entry in os.scandir(self.folder):
            numbers[entry.name] = entry.inode()
            if entry.inode() not in self._files:
                self._held.append(os.open(entry.path, os.O_RDONLY))  # so that its number is not given to another file
                self._files[entry.inode()] = File()
        for name in sorted({*self._names, *numbers}):
            if self._names.get(name) != numbers.get(name):
                self._pending_names.append((name, numbers.get(name)))
        self._names = numbers

    def _take_in(self, ino: int) -> None:
        fd = next(fd for fd in self._held if os.fstat(fd).st_ino == ino)
        real = os.pread(fd, os.fstat(fd).st_size, 0)
        if real != self._files[ino].now():
            self._files[ino].pending += [(0, None), (0, real)]

    def _look(self, call: str) -> None:
        self._discover()
        for ino in self._names.values():
            self._take_in(ino)
        files = {ino: (file.durable, tuple(file.pending)) for ino, file in self._files.items()}
        self.moments.append(
            Moment(files, self._names, self._durable_names, tuple(self._pending_names), self.step, call)
        )

    def close(self) -> None:
        for fd in self._held:
            os.close(fd)


def killed(moment: Moment) -> dict[str, bytes]:
    """The folder when only the process dies."""
    return {name: applied(*moment.files[ino]) for name, ino in moment.names.items()}


def power_lost(moment: Moment, chance: random.Random) -> dict[str, bytes]:
    """One of the folders a power cut may leave: names as of some moment since the last sync, data lost or torn."""
    names: dict[str, int | None] = dict(moment.durable_names)
    names.update(moment.pending_names[: chance.randint(0, len(moment.pending_names))])
    return {name: _torn(*moment.files[ino], chance) for name, ino in names.items() if ino is not None}


def _torn(durable: bytes, pending: tuple[Change, ...], chance: random.Random) -> bytes:
    how = chance.randrange(4)
    if how == 0:
        return durable
    if how == 1:
        return applied(durable, pending[: chance.randint(0, len(pending))])
    kept: list[Change] = []
    for at, piece in pending:
        if piece is None or chance.random() < 0.5:
            kept.append((at, piece))
            continue
        cut = chance.randint(0, len(piece)) // (SECTOR if chance.random() < 0.5 else 1) * (SECTOR if how == 2 else 1)
        part = piece[:cut]
        if how == 3:  # the length reached the disk and the data did not
            part = part.ljust(len(piece), b"\0")
        kept.append((at, part))
    return applied(durable, kept)
