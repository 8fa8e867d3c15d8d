"""What a backbone is and what makes its features what they are; light, nothing here loads a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


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


class Backbone(Protocol):
    """A frozen network: photos are prepared in any thread, features are computed in one."""

    name: str
    width: int
    fingerprint: Fingerprint
    device: str
    device_reason: str
    versions: Mapping[str, str]

    def prepare(self, image: Image.Image) -> Any:
        """One upright RGB photo as the network wants it; of one fixed shape; called from many threads."""

    def features(self, prepared: Sequence[Any]) -> np.ndarray:
        """Features of prepared photos: (n, width), float32, finite; called from one thread only."""


class OutOfMemory(Exception):
    """The device has too little memory for a batch of this size; a smaller one may do."""
