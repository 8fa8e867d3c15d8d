"""Work that tests count in place of seconds: the same on a slow machine, a busy one and any number of cores."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Calls:
    """How many functions were called so far, Python's own and those of compiled libraries."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Count one event of `sys.setprofile`."""
        if event in ("call", "c_call"):
            self.made += 1


@contextmanager
def counted_calls() -> Iterator[Calls]:
    """Count what this thread calls meanwhile."""
    calls, before = Calls(), sys.getprofile()
    sys.setprofile(calls)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for something another process or thread does; the limit only ends a test that would hang."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)
