"""`NAME.h5.decisions.jsonl`: the decisions taken on the page, one a line, each on the disk before it is confirmed.

The log keeps who decided what, when, and what was decided before, so that a decision can be undone. The decisions
themselves are in force through artifacts/fixes.csv, as everybody's are; `NAME.h5.decisions.applied` says how much of
the log is in there, and after a crash the rest follows.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import cannot_write, fsync_folder, write_atomic
from featx.files.locks import one_writer
from featx.files.regular import BINARY, CLOEXEC, NOFOLLOW, read_regular, require_regular
from featx.labels.decisions import DECISIONS, Fix, decided, where, write
from featx.workspace import Workspace

UNDO = "undo"


@dataclass(frozen=True)
class Decision:
    """One line of the log: a decision about a photo, or `undo` of an earlier one."""

    key: str
    id: str
    digest: str
    decision: str
    says: str
    new_label: str
    when: str
    who: str
    # What was decided about the photo before, which an undo brings back.
    before: Fix | None = None
    undoes: str | None = None

    @property
    def fix(self) -> Fix:
        """The decision as artifacts/fixes.csv keeps it."""
        return Fix(self.id, self.digest, self.decision, self.says, self.new_label, self.when)


class DecisionLog:
    """Takes decisions, durably, and brings them into force."""

    def __init__(self, store: Path, fixes: Path | None = None) -> None:
        """The log of a store; what a crash left out of `fixes` (artifacts/fixes.csv) is put in."""
        self.path = store.with_name(store.name + ".decisions.jsonl")
        self._applied = store.with_name(store.name + ".decisions.applied")
        self._fixes = fixes or where()
        self._lock = threading.Lock()
        self._lines = {line.key: line for line in read_log(self.path)}
        if self.path.exists():
            self._apply()

    def __iter__(self) -> Iterator[Decision]:
        """Every line, the oldest first."""
        with self._lock:
            return iter(list(self._lines.values()))

    def decide(self, wanted: Decision) -> Decision:
        """Take a decision; the same key again is the same decision, and changes nothing."""
        with self._lock:
            known = self._lines.get(wanted.key)
            if known is not None:
                return _same(known, wanted)
            return self._take(replace(wanted, before=self._in_force().get((wanted.id, wanted.digest))))

    def undo(self, key: str, who: str) -> Decision:
        """Take a decision back; what was decided before is in force again."""
        with self._lock:
            known = self._lines.get(key)
            if known is None or known.decision == UNDO:
                raise FeatxError("not-in-store", f"no decision `{key}`", "the list of decisions has their keys")
            undo = f"{UNDO}-{key}"
            if undo in self._lines:
                return self._lines[undo]
            return self._take(replace(known, key=undo, decision=UNDO, when=now(), who=who, undoes=key))

    def _take(self, line: Decision) -> Decision:
        self._append(line)
        self._lines[line.key] = line
        self._apply()
        return line

    def _append(self, line: Decision) -> None:
        """Write one line and wait until the disk has it."""
        new = not self.path.exists()
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | BINARY | CLOEXEC | NOFOLLOW, 0o666)
            try:
                require_regular(fd, self.path)
                data = (json.dumps(asdict(line)) + "\n").encode()
                size = os.fstat(fd).st_size
                if size and os.pread(fd, 1, size - 1) != b"\n":
                    # A power cut left half a line, which nobody was told of.
                    data = b"\n" + data
                try:
                    if os.write(fd, data) != len(data):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(fd)
                except OSError:
                    os.ftruncate(fd, size)
                    raise
            finally:
                os.close(fd)
            if new:
                fsync_folder(self.path.parent)
        except OSError as error:
            raise cannot_write(self.path, error, "make room or the folder writable; nothing was decided") from error

    def _in_force(self) -> dict[tuple[str, str], Fix]:
        return {fix.key: fix for fix in decided(self._fixes)}

    def _apply(self) -> None:
        """Bring the lines that are not in force yet into force."""
        if self._fixes == where():
            Workspace.here().make()
        with one_writer(self._fixes.parent, "decisions"):
            left = _after(_last_applied(self._applied), list(self._lines.values()))
            if not left:
                return
            fixes = self._in_force()
            for line in left:
                now_in_force = line.before if line.decision == UNDO else line.fix
                fixes.pop((line.id, line.digest), None)
                if now_in_force is not None:
                    fixes[line.id, line.digest] = now_in_force
            write(fixes.values(), self._fixes)
            write_atomic(self._applied, left[-1].key.encode())


def read_log(path: Path) -> list[Decision]:
    """The lines of a log; half a line at its end was never confirmed, and is left out."""
    try:
        data = read_regular(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FeatxError("no-such-file", f"cannot read `{path}`: {error.strerror}", "make it readable") from error
    return [line for text in data.split(b"\n") if (line := _line(text)) is not None]


def _line(text: bytes) -> Decision | None:
    try:
        record = json.loads(text)
        before = record.pop("before", None)
        line = Decision(**record, before=None if before is None else Fix(**before))
    except (ValueError, TypeError, AttributeError):
        return None
    return line if line.decision in (*DECISIONS, UNDO) else None


def _same(known: Decision, wanted: Decision) -> Decision:
    if (known.id, known.decision, known.new_label) == (wanted.id, wanted.decision, wanted.new_label):
        return known
    raise FeatxError(
        "duplicate-id", f"the key `{wanted.key}` belongs to another decision", "give each decision a key of its own"
    )


def _last_applied(path: Path) -> str:
    try:
        return read_regular(path).decode("utf-8", "replace")
    except OSError:
        return ""


def _after(key: str, lines: list[Decision]) -> list[Decision]:
    """The lines after the one of that key; all of them where it is not there."""
    keys = [line.key for line in lines]
    return lines[keys.index(key) + 1 :] if key in keys else lines


def now() -> str:
    """The time as the log writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
