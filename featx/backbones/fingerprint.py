"""What made the features: the identity that stores, indexes and classifiers carry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


def feature_difference(one: Mapping[str, object], other: Mapping[str, object]) -> str:
    """What makes the features of two fingerprints different things; empty when they can be compared."""
    for what in ("backbone", "weights_sha256", "layer", "pool", "preprocessing", "width"):
        if one.get(what) != other.get(what):
            return what
    return ""


@dataclass(frozen=True)
class Fingerprint:
    """The identity of what makes features: two stores may be mixed only if every field is the same."""

    backbone: str
    weights: str
    weights_sha256: str
    layer: str
    pool: str
    preprocessing: str
    precision: str
    width: int
    views: int = 1

    def digest(self) -> str:
        """A short name for the whole fingerprint."""
        told = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def to_dict(self) -> dict[str, object]:
        """As a store keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Fingerprint:
        """From what a store keeps; fields of later versions are ignored."""
        return cls(**{field.name: told[field.name] for field in fields(cls) if field.name in told})
