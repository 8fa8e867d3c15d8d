"""Threads where they pay: inside one large matrix product, or one for each of several trainings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from threading import Event, local
from typing import TypeVar

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped,unused-ignore]

# Multiplications in one product from which on several threads are quicker than one.
WORTH_THREADS = 4e9

_mine = local()

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def threads_for(multiplications: float) -> AbstractContextManager[object]:
    """One thread for small products: threads that wait for one another take twice the time, and many times the work."""
    return nullcontext() if multiplications >= WORTH_THREADS else one_thread()


def side_by_side(work: Callable[[Item], Answer], items: Sequence[Item], at_once: int) -> Iterator[Answer]:
    """What `work` makes of each item, in their order; so many at a time, each with one thread of its own."""
    at_once = min(at_once, len(items))
    if at_once < 2:
        yield from map(work, items)
        return
    from joblib import Parallel, delayed  # only those who train pay for this import

    over = Event()

    def done(item: Item) -> Answer:
        _mine.over = over
        still_wanted()  # what has not begun when the whole is stopped never begins
        return work(item)

    # Threads, not processes: matrix products let go of Python's lock, and the features are never copied.
    with one_thread():
        try:
            parallel = Parallel(n_jobs=at_once, backend="threading", return_as="generator", pre_dispatch="n_jobs")
            yield from parallel(delayed(done)(item) for item in items)
        finally:
            over.set()


class NoLongerWanted(Exception):
    """What ends a training whose answer nobody waits for."""


def still_wanted() -> None:
    """Called between the steps of long work: ends it when the whole was stopped, by Ctrl-C or by an error beside it."""
    over = getattr(_mine, "over", None)
    if over is not None and over.is_set():
        raise NoLongerWanted


def one_thread() -> AbstractContextManager[object]:
    """Matrix products on one thread."""
    held: AbstractContextManager[object] = _libraries().limit(limits=1)
    return held


@cache
def _libraries() -> ThreadpoolController:
    """The linear algebra libraries that are loaded; looking for them takes longer than many a training."""
    import scipy.linalg  # noqa: F401 (it brings its own)

    return ThreadpoolController()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
