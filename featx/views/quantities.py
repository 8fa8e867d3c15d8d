"""Quantities as people read them: percents, sizes, times, counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal


def percent(value: float | None, digits: int = 1) -> str:
    """0.8812 as 88.1%, a dash if not measured; the only function that rounds shares.

    Cards and documents keep four decimals. Rounded from more, 0.79748 would show as 79.7% here and, read from a card,
    as 79.8% there; so every share is first cut to what is kept, and halves go up.
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return f"{value:.{digits}%}"
    kept = Decimal(f"{value:.4f}") * 100
    return f"{kept.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)}%".replace("-", "−")


def percent_range(low: float | None, high: float | None) -> str:
    """An interval of shares: 81.7% – 92.6%."""
    return f"{percent(low)} – {percent(high)}"


def size(n_bytes: float) -> str:
    """Bytes in decimal units, as file managers show them."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= limit:
            value = n_bytes / limit
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{n_bytes:.0f} B"


def duration(seconds: float) -> str:
    """Time spent: 40 ms, 8.1 s, 42 s, 3 min 24 s, 2 h 1 min."""
    if seconds < 0.1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def clock(seconds: float) -> str:
    """Time left, as a kitchen timer shows it: 3:24, 2:01:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def some_of(names: Sequence[str], n: int = 5) -> str:
    """The first of several names, and a sign that there are more."""
    return ", ".join(names[:n]) + (", …" if len(names) > n else "")


def pluralise(n: int, one: str, many: str = "") -> str:
    """`1 image`, `12 images`, `1,200 categories`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
