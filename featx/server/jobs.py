"""Work that takes longer than a request may: begun by the first who asks, done once, and kept for the others."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from featx.errors import FeatxError
from featx.server.problems import Problem

MOST_RESULTS = 12
AT_ONCE = 2
Progress = Callable[[int, int], object]


@dataclass
class Job:
    """One piece of work: how far it is, and its result or its failure."""

    done: int = 0
    total: int = 0
    result: Any = None
    failure: Exception | None = None
    finished: bool = False

    @property
    def state(self) -> str:
        """`working`, `ready` or `failed`."""
        return "failed" if self.failure is not None else "ready" if self.finished else "working"

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return 1.0 if self.finished else min(1.0, self.done / self.total) if self.total else 0.0

    def progress(self, done: int, total: int) -> None:
        """Called by the work itself."""
        self.done, self.total = done, total

    def ready(self) -> Any | None:
        """The result; None while it is worked on. What went wrong is raised."""
        if isinstance(self.failure, FeatxError):
            raise self.failure
        if self.failure is not None:
            raise Problem(500, "bug", f"featx broke ({type(self.failure).__name__}: {self.failure})")
        return self.result if self.finished else None


class Jobs:
    """Runs two jobs at a time, each in a process of its own, so that no view waits for all others."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[Hashable, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="job")

    def job(self, key: Hashable, work: Callable[[Progress], Any]) -> Job:
        """The job of that key, begun where there is none."""
        with self._lock:
            if key not in self._jobs:
                self._jobs[key] = Job()
                self._worker.submit(_run, self._jobs[key], work)
                while len(self._jobs) > MOST_RESULTS:
                    self._jobs.popitem(last=False)
            self._jobs.move_to_end(key)
            return self._jobs[key]

    def stop(self) -> None:
        """Begin nothing more; the one under way is left to end with the process."""
        self._worker.shutdown(wait=False, cancel_futures=True)


def _run(job: Job, work: Callable[[Progress], Any]) -> None:
    try:
        job.result = work(job.progress)
        job.finished = True
    except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
        job.failure = error
