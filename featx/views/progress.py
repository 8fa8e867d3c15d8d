"""How far a long call is, in a notebook or a terminal."""

from __future__ import annotations

import sys
import time
from typing import Any

# A notebook redraws slowly, and nobody reads faster.
PAUSE = 0.1


class ProgressBar:
    """A bar to pass as `progress` to any function that takes one.

    In a notebook it is drawn below the cell, in a terminal on one line; elsewhere it shows nothing.
    `total` is for functions that do not say of how many steps.
    """

    def __init__(self, title: str = "", total: int = 0) -> None:
        self.title, self.total = title, total
        self._drawn, self._last = 0.0, -1
        self._cell: Any = None

    def __call__(self, done: int, total: int = 0, note: str = "") -> None:
        """Show that so much is done."""
        total = total or self.total
        now = time.monotonic()
        whole = bool(total) and done >= total
        if done == self._last or (not whole and now - self._drawn < PAUSE):
            return
        self._drawn, self._last = now, done
        if in_notebook():
            self._draw(done, total, note)
        elif sys.stderr.isatty():
            end = "\n" if whole else ""
            sys.stderr.write(f"\r\x1b[K{self.line(done, total, note)}{end}")
            sys.stderr.flush()

    def line(self, done: int, total: int = 0, note: str = "") -> str:
        """The words beside the bar."""
        count = f"{done:,} of {total:,}" if total else f"{done:,}"
        return "  ".join(part for part in (self.title, count, note) if part)

    def to_html(self, done: int, total: int = 0, note: str = "") -> str:
        """The bar of a notebook."""
        from html import escape

        value = f' value="{done}" max="{total}"' if total else ""
        return f"<div><progress{value}></progress> {escape(self.line(done, total, note))}</div>"

    def _draw(self, done: int, total: int, note: str) -> None:
        from IPython.display import HTML, display

        page = HTML(self.to_html(done, total, note))
        if self._cell is None:
            self._cell = display(page, display_id=True)
        else:
            self._cell.update(page)


def in_notebook() -> bool:
    """Whether a notebook shows what this process displays."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"
