"""Threads that decode photos; one that takes too long over a photo is given up, and another takes its place.

A thread cannot be ended from outside, so one that was given up goes on until its photo is decoded, and then ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Generic, TypeVar

from featx.compute.threads import cores

Job = TypeVar("Job")
# More threads than these are not added, however many photos never end.
MOST_GIVEN_UP = 8


# While one thread waits for the interpreter, another has a photo for its core.
SPARE = 1


class Decoders(Generic[Job]):
    """Hands jobs to threads, one for each core and one to spare."""

    def __init__(self, decode: Callable[[Job], object], give_up: Callable[[Job], object], seconds: float) -> None:
        """`decode` never raises; `give_up` is called for a job that is `limited` for more than `seconds`."""
        self._decode, self._give_up, self._seconds = decode, give_up, seconds
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._busy: dict[threading.Thread, tuple[float, Job]] = {}
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self.given_up = 0

    @property
    def exhausted(self) -> bool:
        """Whether so many threads are held up that no photo should be taken."""
        return self.given_up >= MOST_GIVEN_UP

    def submit(self, job: Job) -> None:
        """Have a job decoded by the next free thread."""
        with self._lock:
            if not self._threads:
                threading.Thread(target=self._watch, name="decode-watch", daemon=True).start()
                for _ in range(cores() + SPARE):
                    self._add_thread()
        self._jobs.put(job)

    @contextmanager
    def limited(self, job: Job) -> Iterator[None]:
        """The part of decoding a job whose time is limited; to wait for the network is not."""
        me = threading.current_thread()
        self._busy[me] = time.monotonic(), job
        try:
            yield
        finally:
            self._busy.pop(me, None)

    def stop(self) -> None:
        """Finish what waits, and end the threads that are not held up."""
        self._stopped.set()
        with self._lock:
            threads = list(self._threads)
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            thread.join(self._seconds)

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="decode", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        me = threading.current_thread()
        while (job := self._jobs.get()) is not None:
            self._decode(job)
            del job  # or its photo would be kept until the next one comes
            with self._lock:
                if me not in self._threads:  # another has taken its place
                    self.given_up -= 1
                    return

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds / 4):
            for thread, (begun, job) in list(self._busy.items()):
                if time.monotonic() - begun > self._seconds and not self.exhausted:
                    self._replace(thread, job)

    def _replace(self, thread: threading.Thread, job: Job) -> None:
        if self._busy.pop(thread, None) is None:
            return
        with self._lock:
            self.given_up += 1
            self._threads.discard(thread)
            self._add_thread()
        self._give_up(job)
