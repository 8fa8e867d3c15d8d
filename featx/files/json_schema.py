"""What a JSON document must look like for all that reads it: plain descriptions, and the first thing that breaks one.

Types stand for themselves, None for anything. Of an object the named keys matter; a name that ends in a question mark
may be missing or null. A list holds any number of one shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

NUMBER = (int, float)
# Larger ones are no counts and no shares, and Python's cannot all be printed as such.
MOST = 2**63


@dataclass(frozen=True)
class Row:
    """A list of just so many values of one kind."""

    kind: Any
    length: int


@dataclass(frozen=True)
class Each:
    """An object whose keys are names of anything, and whose values are all of one shape."""

    shape: Any


@dataclass(frozen=True)
class Maybe:
    """A value of this shape, or null."""

    shape: Any


@dataclass(frozen=True)
class Either:
    """An object of the one shape, or what is not an object of the other."""

    told: dict[str, Any]
    plain: Any


def first_error(value: Any, wanted: Any, where: str = "") -> str | None:
    """What a document lacks of the shape that everything relies on; None where nothing.

    What may be missing is there afterwards, as null: an older document has fewer keys than a newer one.
    """
    if isinstance(wanted, Maybe):
        return None if value is None else first_error(value, wanted.shape, where)
    if isinstance(wanted, Either):
        wanted = wanted.told if isinstance(value, dict) else wanted.plain
    if isinstance(wanted, dict):
        return _of_object(value, wanted, where)
    if isinstance(wanted, Each):
        if not isinstance(value, dict):
            return f"`{where}` is not an object"
        return next((f for key, one in value.items() if (f := first_error(one, wanted.shape, f"{where}.{key}"))), None)
    if isinstance(wanted, Row):
        fits = isinstance(value, list) and len(value) == wanted.length
        return None if fits and all(_is(one, wanted.kind) for one in value) else f"`{where}` is broken"
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return f"`{where}` is not a list"
        return next((f for i, one in enumerate(value) if (f := first_error(one, wanted[0], f"{where}.{i}"))), None)
    return None if wanted is None or _is(value, wanted) else f"`{where}` is not what it should be"


def _of_object(value: Any, wanted: dict[str, Any], where: str) -> str | None:
    if not isinstance(value, dict):
        return f"`{where}` is not an object" if where else "it is not an object"
    for key, inner in wanted.items():
        name, optional = key.rstrip("?"), key.endswith("?")
        if value.get(name) is None and (optional or (name in value and inner is None)):
            value.setdefault(name, None)
            continue
        path = f"{where}.{name}" if where else name
        if name not in value:
            return f"it has no `{path}`"
        if (found := first_error(value[name], inner, path)) is not None:
            return found
    return None


def _is(value: Any, kind: Any) -> bool:
    """Whether a value is plainly of a kind; a yes or no counts as a number to Python, and as none here."""
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, int | float) and not (math.isfinite(value) if isinstance(value, float) else abs(value) < MOST):
        return False
    return isinstance(value, kind)
