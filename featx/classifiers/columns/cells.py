"""A cell of a table: whether it says anything, and the number in it.

This file travels with a deployment, beside a Python that has no featx: it imports nothing of featx.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import SupportsFloat

# Longer texts hold no price and are no choice.
LONGEST_CHOICE = 60
PRICED = re.compile(r"([^\d\s.,-]{0,4})\s*(-?[\d.,\s]*\d)\s*([^\d\s.,]{0,4})")


def is_missing(value: object) -> bool:
    """Whether a cell says nothing."""
    if isinstance(value, float):
        return not isfinite(value)
    return value is None or (isinstance(value, str) and not value.strip())


def number_in(value: object) -> float | None:
    """The number of a cell, also in `1.299,00 €`; None where there is none."""
    if isinstance(value, str):
        match = priced(value)
        return None if match is None else _number(match[2])
    return float(value) if isinstance(value, SupportsFloat) and isfinite(value) else None


def priced(text: str) -> re.Match[str] | None:
    """A number with the sign of its money or unit before or behind it; None where a text is no such thing."""
    return PRICED.fullmatch(text.strip()) if len(text) <= LONGEST_CHOICE else None


def _number(digits: str) -> float:
    """Digits with marks: the last mark parts the decimals if it stands once, any other parts thousands."""
    digits = re.sub(r"\s", "", digits)
    last = max(digits.rfind("."), digits.rfind(","))
    if last < 0 or digits.count(digits[last]) > 1:
        return float(re.sub("[.,]", "", digits))
    return float(f"{re.sub('[.,]', '', digits[:last])}.{digits[last + 1 :]}")
