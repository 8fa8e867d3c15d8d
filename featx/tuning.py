"""What a search for the best setting has found so far: kept in a file, so that a killed search goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from featx.aside import cannot_write, write_aside
from featx.plain import read_json


class Notes:
    """Counts by the step of the search that found them; those of another search are not believed."""

    def __init__(self, path: Path | None, search: Mapping[str, object]) -> None:
        self.path = path
        self.key = hashlib.sha256(json.dumps(search, sort_keys=True, default=str).encode()).hexdigest()
        self._known = self._read()
        self.resumed = len(self._known)

    def count(self, step: str, size: int, find: Callable[[], list[int]]) -> list[int]:
        """So many counts of a step: those that are known, else those that `find` returns, which are then kept."""
        if len(self._known.get(step, ())) != size:
            self._known[step] = find()
            self._write()
        return self._known[step]

    def done(self) -> None:
        """The search is over and needs no notes."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, list[int]]:
        if self.path is None:
            return {}
        try:
            told = read_json(self.path)
            if told["search"] != self.key:
                return {}
            return {str(step): [int(one) for one in found] for step, found in told["found"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Only notes: what cannot be read is searched again.
            return {}

    def _write(self) -> None:
        if self.path is None:
            return
        told = json.dumps({"search": self.key, "found": self._known}) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_aside(self.path, told.encode())
        except OSError as error:
            raise cannot_write(self.path, error, "free some space, or make the folder writable") from error
