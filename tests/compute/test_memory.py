"""Memory that large arrays leave behind."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from featx.compute.memory import freed_at_once

MB = 2**20


def own_bytes() -> int:
    """How much memory this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="the allocator of another system"
)
def test_a_large_array_leaves_no_gap_where_another_lies_after_it():
    np.ones(24 * MB, dtype=np.uint8)  # from now on the C library keeps what arrays of this size leave
    with freed_at_once():
        before = own_bytes()
        large = np.ones(16 * MB, dtype=np.uint8)
        after_it = np.ones(MB // 4, dtype=np.uint8)
        del large
        assert own_bytes() - before < 8 * MB
    assert after_it.all()


def test_other_systems_go_on_as_they_are(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with freed_at_once():
        assert np.ones(8).sum() == 8
