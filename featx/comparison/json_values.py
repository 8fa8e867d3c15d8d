"""Records as plain JSON values and back, with numbers in the decimals that they are kept in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

DECIMALS = 4
# Answers are kept more exactly: rounding must not part a confidence from the threshold that it reaches.
ANSWER_DECIMALS = 9
# Larger numbers are no counts and no shares, and Python's cannot all be printed as such.
LARGEST = 2**63


Record = TypeVar("Record", bound=msgspec.Struct)


def to_plain(record: object) -> Any:
    """A record as plain JSON values."""
    return _lists(msgspec.to_builtins(record))


def _lists(value: Any) -> Any:
    """JSON knows no tuples."""
    if isinstance(value, dict):
        return {key: _lists(inner) for key, inner in value.items()}
    return [_lists(inner) for inner in value] if isinstance(value, list | tuple) else value


def as_record(plain: Mapping[str, Any], kind: type[Record]) -> Record:
    """Plain values as a record; ValueError with the path of what does not fit."""
    return msgspec.convert(plain, kind)


def rounded(value: Any, decimals: int = DECIMALS) -> Any:
    """The same with scores in so many decimals, and Python's own numbers."""
    if isinstance(value, dict):
        return {str(key): rounded(inner, decimals) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner, decimals) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        # Times and chances may be far below a ten-thousandth and still mean something.
        return round(value, decimals) if abs(value) >= 0.001 else float(f"{value:.3g}")
    return value


def impossible_number(value: Any, place: str = "") -> str | None:
    """Where a number is not finite, or larger than any count."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return next(
            (bad for key, inner in items if (bad := impossible_number(inner, f"{place}.{key}".lstrip(".")))), None
        )
    return place if isinstance(value, int | float) and not abs(value) < LARGEST else None
