"""Heavy work in a process of its own, so that it takes neither the interpreter nor the cores from answers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, TypeVar

from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.server.jobs import Progress

Result = TypeVar("Result")
# Answers to people come first.
NICENESS = 10


class Processes:
    """Runs functions, each in a process of its own; all of them end with the server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[BaseProcess] = set()
        self._stopped = False

    def run(self, work: Callable[..., Result], *arguments: object, progress: Progress) -> Result:
        """What `work(*arguments, progress=…)` returns there; an error that it raises is raised here."""
        ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
        with ours:
            process = self._start(theirs, work, arguments)
            theirs.close()
            try:
                return _received(ours, progress)  # type: ignore[no-any-return]
            finally:
                process.join()
                with self._lock:
                    self._running.discard(process)

    def stop(self) -> None:
        """End those that run; what they would have found is found when the next server is asked."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()

    def _start(self, pipe: Connection[Any, Any], work: Callable[..., Any], arguments: Sequence[object]) -> BaseProcess:
        process = multiprocessing.get_context("spawn").Process(
            target=_answer, args=(pipe, work, arguments), daemon=True
        )
        with self._lock:
            if self._stopped:
                raise _ended()
            process.start()
            self._running.add(process)
        return process


def _received(pipe: Connection[Any, Any], progress: Progress) -> Any:
    while True:
        try:
            kind, value = pipe.recv()
        except (EOFError, OSError) as error:
            raise _ended() from error
        if kind == "result":
            return value
        if kind == "error":
            raise FeatxError(*value)
        progress(*value)


def _answer(pipe: Connection[Any, Any], work: Callable[..., Any], arguments: Sequence[object]) -> None:
    """The whole life of such a process."""
    # Ctrl-C reaches every process of a terminal; this one ends with the server.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(AttributeError, OSError):  # not every system knows it
        os.nice(NICENESS)
    try:
        answer: tuple[str, Any] = (
            "result",
            work(*arguments, progress=lambda done, total: pipe.send(("progress", (done, total)))),
        )
    except FeatxError as error:
        answer = ("error", (error.code, error.message, error.hint))
    pipe.send(answer)


def _ended() -> FeatxError:
    return FeatxError("worker-died", "the work ended early", "ask again; where it ends again, look at the server's log")
