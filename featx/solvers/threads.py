"""How many threads a matrix product is worth."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped,unused-ignore]

# Multiplications in one product from which on several threads are quicker than one.
WORTH_THREADS = 2e8


def threads_for(multiplications: float) -> AbstractContextManager[object]:
    """One thread for small products: threads that wait for one another take twice the time, and many times the work."""
    if multiplications >= WORTH_THREADS:
        return nullcontext()
    held: AbstractContextManager[object] = _libraries().limit(limits=1)
    return held


@cache
def _libraries() -> ThreadpoolController:
    """The linear algebra libraries that are loaded; looking for them takes longer than many a training."""
    return ThreadpoolController()
