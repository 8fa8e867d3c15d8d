"""Small plots for a terminal: a bar for a share, blocks for a curve; ASCII where the encoding has no blocks."""

from __future__ import annotations

import sys
from collections.abc import Sequence

EIGHTHS = " ▏▎▍▌▋▊▉█"
STEPS = "▁▂▃▄▅▆▇█"
PLAIN_STEPS = "_.-~^"


def bar(share: float | None, width: int = 10) -> str:
    """A share between 0 and 1 as a bar of at most `width` characters."""
    if share is None:
        return ""
    share = min(1.0, max(0.0, share))
    if not _blocks():
        return "#" * round(share * width)
    eighths = round(share * width * 8)
    return (EIGHTHS[8] * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def curve(values: Sequence[float | None], low: float = 0.0, high: float = 1.0) -> str:
    """Values between `low` and `high` as one character each; a gap for a missing value."""
    steps = STEPS if _blocks() else PLAIN_STEPS
    span = max(high - low, 1e-12)

    def block(value: float | None) -> str:
        if value is None:
            return " "
        return steps[min(len(steps) - 1, max(0, int((value - low) / span * len(steps))))]

    return "".join(block(value) for value in values)


def _blocks() -> bool:
    try:
        (EIGHTHS + STEPS).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
