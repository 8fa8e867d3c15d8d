"""`featx update` in a process of its own, begun from the page: how far it is, and what it changed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.files.regular import parse_json

# The exit code of a run after which photos wait for a person.
NEEDS_A_LOOK = 8


@dataclass(frozen=True)
class UpdateAnswer:
    """`idle`, `working`, `ready` or `failed`; the accuracy of the classifier before and after the last run."""

    state: str
    stage: str = ""
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    report: dict[str, Any] | None = None
    error: str = ""


class UpdateRun:
    """The update of this server: one at a time, in a process of its own, so that answers stay quick."""

    def __init__(self, store: Path, accuracy: Callable[[], float | None], finished: Callable[[], object]) -> None:
        """`accuracy` is that of the classifier of now; `finished` is called once there is a new one."""
        self._store, self._accuracy, self._finished, self._lock = store, accuracy, finished, threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self.answer = UpdateAnswer("idle")

    def start(self) -> UpdateAnswer:
        """Begin a run; the one that is under way is left alone."""
        with self._lock:
            if self.answer.state != "working":
                self.answer = UpdateAnswer("working", "starting", self._accuracy())
                words = ["update", "--store", str(self._store), "--json", "--verbose"]
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "featx", *words],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                )  # fmt: skip
                threading.Thread(target=self._follow, args=(self._process,), name="update", daemon=True).start()
            return self.answer

    def stop(self) -> None:
        """End the run with the server; what it has done so far is kept, and the next one goes on."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=20)

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None and process.stdout is not None
        said: list[str] = []
        before = self.answer.accuracy_before
        for line in process.stderr:
            said = [*said[-20:], line.rstrip()]
            if line.rstrip().endswith("…"):
                self.answer = UpdateAnswer("working", line.strip(" …\n"), before)
        out, code = process.stdout.read(), process.wait()
        process.stderr.close()
        process.stdout.close()
        if code not in (0, NEEDS_A_LOOK):
            self.answer = UpdateAnswer("failed", "", before, error=_error(said))
            return
        self._finished()
        self.answer = UpdateAnswer("ready", "", before, self._accuracy(), _report(out))


def _report(out: str) -> dict[str, Any] | None:
    try:
        report = parse_json(out.strip().splitlines()[-1].encode())
    except (ValueError, IndexError):
        return None
    return report if isinstance(report, dict) else None


def _error(said: list[str]) -> str:
    """The sentence with which the command ended."""
    for line in reversed(said):
        try:
            return str(parse_json(line.encode())["error"]["message"])
        except (ValueError, KeyError, TypeError):
            continue
    return said[-1] if said else "it was stopped"
