"""Check a classifier's arrays before its first use: names, types, shapes and numbers, and that it answers.

The arrays come from the file; everything around them is built by featx (see `encoding`), so no more needs checking.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from featx.classifiers.spec import SavedArray


class UntrustedClassifier(ValueError):
    """A classifier's file contains something that featx does not write."""


def take_array(
    arrays: dict[str, np.ndarray], owner: str, name: str, wanted: SavedArray, lengths: dict[str, int]
) -> np.ndarray:
    """Take the array `owner.name` out of `arrays`, checked; `lengths` gains those not known yet."""
    array = arrays.pop(f"{owner}.{name}", None)
    if array is None:
        raise UntrustedClassifier(f"it has no `{name}` of its {owner}")
    if array.dtype.kind != ("i" if wanted.whole else "f"):
        raise UntrustedClassifier(f"`{name}` of its {owner} has the type {array.dtype}")
    if array.ndim != len(wanted.lengths):
        raise UntrustedClassifier(f"`{name}` of its {owner} has the shape {array.shape}")
    for length, what in zip(array.shape, wanted.lengths, strict=True):
        if lengths.setdefault(what, length) != length:
            raise UntrustedClassifier(
                f"`{name}` of its {owner} has the shape {array.shape}, which does not fit: {what} is {lengths[what]}"
            )
    if not wanted.whole and not np.isfinite(array).all():
        raise UntrustedClassifier(f"`{name}` of its {owner} holds values that are not finite numbers")
    return array


def require_all_taken(arrays: Mapping[str, np.ndarray]) -> None:
    """UntrustedClassifier if a file contains more than its classifier needs."""
    if arrays:
        raise UntrustedClassifier(f"it holds arrays that no classifier of featx has: {', '.join(sorted(arrays)[:3])}")


def require_answers(pipeline: Any, width: int) -> None:
    """UntrustedClassifier unless it answers for a few rows: zeros, ordinary numbers, and large ones."""
    from featx.classifiers.pipelines import scores_of

    rows = np.random.default_rng(0).standard_normal((3, width)).astype(np.float32)
    rows *= np.array([[0], [1], [1e4]], dtype=np.float32)
    require_finite(lambda: scores_of(pipeline, rows, pipeline.classes_.tolist()))


def require_finite(answers: Callable[[], np.ndarray]) -> None:
    """UntrustedClassifier where nothing answers, or not in finite numbers."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            scores = answers()
        except (ValueError, ArithmeticError, LookupError, TypeError) as error:
            raise UntrustedClassifier(f"it gives no answer ({error})") from error
    if not np.isfinite(scores).all():
        raise UntrustedClassifier("its answers are not finite numbers")
