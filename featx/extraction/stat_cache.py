"""Which bytes each path held, and which photos could not be used: what spares a second look."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from featx.catalogue.items import Skipped
from featx.errors import FeatxError
from featx.files.atomic import atomic_writer, cannot_write
from featx.files.regular import read_json
from featx.files.spreadsheet import csv_bytes
from featx.store import SkippedItem, Store, StoreWriter

# About 200 bytes a photo; of a larger note than this nothing is believed.
MOST_SEEN = 2**31


class StatCache:
    """Which bytes each path held when its size and time were last looked at: spares reading unchanged photos.

    Only a cache: losing it costs reading, never a wrong answer. A photo touched after two seconds before the run began
    is read again, because a file system's clock may be that coarse and the photo may change once more while we run.
    """

    def __init__(self, store: Path) -> None:
        self.path = store.with_name(store.name + ".seen")
        self._begun = time.time_ns()
        self._known: dict[str, tuple[int, int, str]] = {}
        self._fresh: dict[str, tuple[int, int, str]] = {}
        try:
            if self.path.stat().st_size > MOST_SEEN:
                raise ValueError("no note of this size was ever written")
            said = read_json(self.path)
            trusted_before = int(said["at"]) - 2_000_000_000
            for path, (size, at, digest) in said["files"].items():
                if at < trusted_before:
                    self._known[path] = (size, at, digest)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._known = {}

    def digest(self, path: str, mark: tuple[int, int]) -> str | None:
        """The digest a path had when it last looked exactly like this, if that can be trusted."""
        size, at, digest = self._known.get(path, (-1, -1, ""))
        return digest if (size, at) == mark else None

    def note(self, path: str, mark: tuple[int, int], digest: str) -> None:
        """Remember what a path holds now."""
        self._fresh[path] = (*mark, digest)

    def write(self) -> None:
        """Keep the note for the next run; where it cannot be kept, the next run reads the photos again."""
        with suppress(OSError):
            _replace(self.path, self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        """The note as JSON, one photo at a time: the whole of it would be a large text for a large catalogue."""
        yield f'{{"at": {self._begun}, "files": {{'.encode()
        comma = ""
        for files, hidden in ((self._known, self._fresh), (self._fresh, {})):
            for path, held in files.items():
                if path not in hidden:
                    yield f"{comma}{json.dumps(path)}: {json.dumps(held)}".encode()
                    comma = ", "
        yield b"}}"


class SkipLog:
    """Photos that could not be used: remembered in the store, and listed for people."""

    def __init__(self, path: Path, known: Store | None) -> None:
        self._bad = dict(known.known_skipped()) if known is not None else {}
        self._noted: dict[str, tuple[Skipped, tuple[int, int] | None]] = {}
        self._looked: set[str] = set()

    @staticmethod
    def check_writable(path: Path) -> None:
        """Refuse a folder that cannot be written into before any work is done."""
        folder = path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FeatxError(
                "no-permission", f"cannot create `{folder}`: {error.strerror}", "choose another `--store`"
            ) from error
        if not os.access(folder, os.W_OK):
            raise FeatxError(
                "no-permission", f"cannot write into `{folder}`", "make it writable or choose another `--store`"
            )

    def still_bad(self, path: str, mark: tuple[int, int]) -> Skipped | None:
        """The same verdict as last time, while the file is the same; a changed file gets a new try."""
        bad = self._bad.get(path)
        if bad is None or (bad.size, bad.mtime_ns) != mark:
            return None
        return Skipped(path, bad.reason, bad.detail)

    def note(self, skip: Skipped, mark: tuple[int, int] | None) -> None:
        """Remember that a photo could not be used, and what its file looked like."""
        self._noted[skip.path] = (skip, mark)

    def commit(self, writer: StoreWriter) -> None:
        """Hand what was noted to the store."""
        writer.note_skipped(
            [
                SkippedItem(skip.path, skip.reason, skip.detail, *(mark or (-1, -1)))
                for skip, mark in self._noted.values()
            ]
        )

    @staticmethod
    def write_list(skipped: Sequence[Skipped], path: Path) -> str:
        """artifacts/skipped.csv of this run; an old list is removed when nothing was skipped."""
        try:
            return SkipLog._written(skipped, path)
        except OSError as error:
            raise cannot_write(path, error, "make room for it there; what was extracted is in the store") from error

    @staticmethod
    def _written(skipped: Sequence[Skipped], path: Path) -> str:
        if not skipped:
            path.unlink(missing_ok=True)
            return ""
        rows = [(skip.path, skip.reason, skip.detail) for skip in sorted(skipped, key=lambda skip: skip.path)]
        _replace(path, [csv_bytes(("path", "reason", "detail"), rows)])
        return str(path)


def _replace(path: Path, pieces: Iterable[bytes]) -> None:
    with atomic_writer(path) as file:
        file.writelines(pieces)
