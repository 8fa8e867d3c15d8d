"""What the columns of photos become as numbers, for the page that classifies in a browser."""

from __future__ import annotations

import base64
import sys
import unicodedata
from functools import cache
from typing import Any

import numpy as np

from featx.classifiers.columns.encoders import ChoiceEncoder, ColumnEncoder, NumberEncoder, TextEncoder
from featx.classifiers.columns.learning import ColumnsEncoder
from featx.text.plain import folded


def learned_columns(encoder: ColumnsEncoder | None) -> dict[str, Any]:
    """What `columns.js` needs: each column with what it learned, and how letters are folded."""
    columns = {} if encoder is None else encoder.encoders
    return {
        "columns": [{"name": name, "width": column.width, **_learned(column)} for name, column in columns.items()],
        "folded": folded_letters() if columns else {},
    }


def _learned(column: ColumnEncoder) -> dict[str, Any]:
    if isinstance(column, NumberEncoder):
        return {"kind": "number", "knots": np.asarray(column.knots, dtype=np.float64).tolist()}
    if isinstance(column, ChoiceEncoder):
        return {"kind": "choice", "words": list(column.choices)}
    assert isinstance(column, TextEncoder)
    return {
        "kind": "text",
        "words": list(column.pieces),
        "weights": _base64(column.weights, "<f4"),
        "directions": _base64(column.directions, "<f2"),
        "unseen": column.unseen,
        "repeats": column.repeats,
    }


def _base64(array: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode("ascii")


@cache
def folded_letters() -> dict[str, str]:
    """Letters that are left once accents are parted from theirs, and what becomes of them: browsers fold otherwise."""
    letters = (chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
    whole = (letter for letter in letters if unicodedata.is_normalized("NFKD", letter))
    return {letter: other for letter in whole if (other := folded(letter)) != letter}
