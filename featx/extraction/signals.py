"""Signals while an extraction runs."""

from __future__ import annotations

import os
import signal
import threading
from itertools import count
from typing import Any

from featx.extraction.options import ExtractionEvents


class Interrupts:
    """Ctrl-C and SIGTERM once: finish the batch, keep what is done. Twice: quit now (rows written are safe)."""

    def __init__(self, stop: threading.Event, listener: ExtractionEvents) -> None:
        self.stop, self.listener = stop, listener
        self._before: dict[int, Any] = {}
        # To count is one step. To set an event takes a lock, for which a second signal in its midst waits for ever.
        self._signals = count()

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            handled = [
                number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN
            ]
            for number in handled:  # a shell has a job in the background ignore Ctrl-C, and so it stays
                self._before[number] = signal.signal(number, self._caught)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _caught(self, number: int, _frame: object) -> None:
        if next(self._signals) or self.stop.is_set():
            os._exit(130)
        self.stop.set()
        self.listener.stopping()
