"""Memory that large arrays leave behind."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Settings of glibc's allocator, by their numbers in malloc.h: from which size an array gets pages of its own, and how
# many free bytes are kept. Once set they no longer adapt, so both end where they would have come to by themselves.
OWN_PAGES_FROM, KEPT_FREE = -3, -1


@contextmanager
def freed_at_once() -> Iterator[None]:
    """Give the memory of large arrays back once they are freed, so that the next ones find no gaps they do not fit.

    The C library of most Linux systems keeps such memory, which pays where one batch of the same size follows another.
    """
    give_back()
    set_limit = _of_glibc("mallopt")
    set_limit(OWN_PAGES_FROM, 2**16)
    try:
        yield
    finally:
        set_limit(OWN_PAGES_FROM, 2**25)
        set_limit(KEPT_FREE, 2**26)


def give_back() -> None:
    """Give back the memory that lies free between what stays, such as that of an engine which is gone."""
    _of_glibc("malloc_trim")(0)


def _of_glibc(name: str) -> Callable[..., object]:
    """A function of glibc, looked up in the process itself; one that does nothing where there is another C library."""
    try:
        function: Callable[..., object] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return lambda *_: None
    return function
