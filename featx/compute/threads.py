"""Threads where they pay: inside one large matrix product, or one for each of several trainings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from threading import Event, local
from typing import TypeVar

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped,unused-ignore]

# From this many multiplications in one product, several threads are faster than one.
WORTH_THREADS = 4e9

_mine = local()

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def threads_for(multiplications: float) -> AbstractContextManager[object]:
    """One thread for small products: threads that wait for each other take twice the time, and many times the CPU."""
    return nullcontext() if multiplications >= WORTH_THREADS else one_thread()


def side_by_side(work: Callable[[Item], Answer], items: Sequence[Item], at_once: int) -> Iterator[Answer]:
    """The result of `work` for each item, in order; `at_once` at a time, each on a thread of its own."""
    at_once = min(at_once, len(items))
    if at_once < 2:
        yield from map(work, items)
        return
    from joblib import Parallel, delayed  # only those who train pay for this import

    over = Event()

    def done(item: Item) -> Answer:
        _mine.over = over
        still_wanted()  # items that have not started when the run is stopped never start
        return work(item)

    # Threads, not processes: matrix products release the interpreter lock, and the features are never copied.
    with one_thread():
        try:
            parallel = Parallel(n_jobs=at_once, backend="threading", return_as="generator", pre_dispatch="n_jobs")
            yield from parallel(delayed(done)(item) for item in items)
        finally:
            over.set()


class NoLongerWanted(Exception):
    """Ends a training whose result nobody waits for."""


def still_wanted() -> None:
    """Called between the steps of long work: ends it after Ctrl-C, or after an error in another thread."""
    over = getattr(_mine, "over", None)
    if over is not None and over.is_set():
        raise NoLongerWanted


def one_thread() -> AbstractContextManager[object]:
    """Matrix products on one thread."""
    held: AbstractContextManager[object] = _libraries().limit(limits=1)
    return held


def one_thread_each() -> AbstractContextManager[object]:
    """Every matrix product on one thread, for a server, whose cores are kept busy by other photos."""
    held: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return held


@cache
def _libraries() -> ThreadpoolController:
    """The loaded linear algebra libraries; finding them takes longer than many trainings."""
    import scipy.linalg  # noqa: F401 (it brings its own)

    return ThreadpoolController()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
