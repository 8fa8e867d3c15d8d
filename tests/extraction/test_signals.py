"""Ctrl-C once saves the work, twice ends at once."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from featx.extraction.options import ExtractionEvents
from featx.extraction.signals import Interrupts


class Ended(BaseException):
    """Stands for the end of the process."""


class SignalledAgain(threading.Event):
    """An event that the next signal interrupts while it is being set and holds its lock."""

    def set(self) -> None:
        with self._cond:
            signal.raise_signal(signal.SIGTERM)
        super().set()


def test_a_second_signal_in_the_midst_of_the_first_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both in one moment left a process that waited for itself and heard no further signal."""

    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", end)
    stop = SignalledAgain()
    with pytest.raises(Ended, match="130"), Interrupts(stop, ExtractionEvents()):
        signal.raise_signal(signal.SIGTERM)
