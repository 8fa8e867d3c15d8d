"""What made the features: the identity that stores, indexes and classifiers carry, and the rule for mixing them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Literal

from featx.errors import FeatxError

Use = Literal["search", "classify", "append"]

_SAME_FEATURES = ("backbone", "weights_sha256", "layer", "pool", "preprocessing", "precision", "width")
# The fields that must be equal before features of one fingerprint are used with those of another.
COMPARED: Mapping[Use, tuple[str, ...]] = MappingProxyType(
    {
        # A query and a classifier use one view of each photo, however many the store keeps.
        "search": _SAME_FEATURES,
        "classify": _SAME_FEATURES,
        # Rows of one store have one shape.
        "append": (*_SAME_FEATURES, "views"),
    }
)


@dataclass(frozen=True)
class Fingerprint:
    """The identity of what makes features; :meth:`difference` decides which features may be used together."""

    backbone: str
    weights: str
    weights_sha256: str
    layer: str
    pool: str
    preprocessing: str
    precision: str
    width: int
    views: int = 1

    def difference(self, other: Fingerprint, use: Use) -> str:
        """The first field that keeps the two apart in this use; empty when their features may be used together."""
        for field in COMPARED[use]:
            if getattr(self, field) != getattr(other, field):
                return field
        # Weights without a digest, as those of one's own backbone may be, are known by their name alone.
        return "weights" if not self.weights_sha256 and self.weights != other.weights else ""

    def digest(self) -> str:
        """A short name for the whole fingerprint."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def to_dict(self) -> dict[str, object]:
        """The record that stores, classifiers and reports keep."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: object, *, width: int | None = None) -> Fingerprint:
        """A fingerprint from its record; `width` is that of the features, and fields of later versions are ignored.

        Stores of the first format may leave fields out. A damaged record is a FeatxError
        `store-broken`; whoever reads another kind of file gives it that file's code.
        """
        if not isinstance(record, Mapping):
            raise _damaged("it is not an object")
        if width is not None and record.get("width", width) != width:
            raise _damaged(f"its `width` is {record['width']}, but the features have {width}")
        return cls(
            backbone=_text(record, "backbone"),
            weights=_text(record, "weights", ""),
            weights_sha256=_text(record, "weights_sha256", ""),
            layer=_text(record, "layer", ""),
            pool=_text(record, "pool", ""),
            preprocessing=_text(record, "preprocessing", ""),
            precision=_text(record, "precision", "fp32"),
            width=_count(record, "width", width),
            views=_count(record, "views", 1),
        )


def _text(record: Mapping[str, object], field: str, default: str | None = None) -> str:
    value = record.get(field, default)
    if not isinstance(value, str):
        raise _damaged(f"its `{field}` is not text")
    return value


def _count(record: Mapping[str, object], field: str, default: int | None) -> int:
    value = record.get(field, default)
    if type(value) is not int or value < 1:
        raise _damaged(f"its `{field}` is not a positive whole number")
    return value


def _damaged(reason: str) -> FeatxError:
    return FeatxError("store-broken", f"the fingerprint of its features is damaged: {reason}")
