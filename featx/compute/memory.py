"""Memory that large arrays leave behind."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Settings of glibc's allocator, by their numbers in malloc.h: from which size an array gets pages of its own, and how
# many free bytes are kept. Once set they no longer adapt, so both end where they would have come to by themselves.
OWN_PAGES_FROM, KEPT_FREE = -3, -1


@contextmanager
def freed_at_once() -> Iterator[None]:
    """Give the memory of large arrays back once they are freed, so that the next ones find no gaps they do not fit.

    The C library of most Linux systems keeps such memory, which pays where one batch of the same size follows another.
    """
    try:
        # Looked up in the process itself; only glibc has it.
        set_limit = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        yield
        return
    set_limit(OWN_PAGES_FROM, 2**16)
    try:
        yield
    finally:
        set_limit(OWN_PAGES_FROM, 2**25)
        set_limit(KEPT_FREE, 2**26)
