"""Which bytes each path held: spares reading photos that did not change."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from featx.files.atomic import atomic_writer
from featx.files.regular import read_json

# A photo takes about 200 bytes; a file larger than this was not written by featx.
MOST_BYTES = 2**31


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
            if self.path.stat().st_size > MOST_BYTES:
                raise ValueError("featx never wrote a file of this size")
            record = read_json(self.path)
            trusted_before = int(record["at"]) - 2_000_000_000
            for path, (size, changed, digest) in record["files"].items():
                if changed < trusted_before:
                    self._known[path] = (size, changed, digest)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._known = {}

    def digest(self, path: str, mark: tuple[int, int]) -> str | None:
        """The digest a path had when it last looked exactly like this, if that can be trusted."""
        size, changed, digest = self._known.get(path, (-1, -1, ""))
        return digest if (size, changed) == mark else None

    def note(self, path: str, mark: tuple[int, int], digest: str) -> None:
        """Remember the content of a path."""
        self._fresh[path] = (*mark, digest)

    def write(self) -> None:
        """Keep the cache for the next run; if that fails, the next run reads the photos again."""
        with suppress(OSError), atomic_writer(self.path) as file:
            file.writelines(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        """The cache as JSON, one photo at a time: a large catalogue would make one large text."""
        yield f'{{"at": {self._begun}, "files": {{'.encode()
        comma = ""
        for files, hidden in ((self._known, self._fresh), (self._fresh, {})):
            for path, held in files.items():
                if path not in hidden:
                    yield f"{comma}{json.dumps(path)}: {json.dumps(held)}".encode()
                    comma = ", "
        yield b"}}"
