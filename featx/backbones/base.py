"""What a backbone is and what makes its features what they are; light, nothing here loads a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from featx.backbones.fingerprint import Fingerprint

if TYPE_CHECKING:
    from PIL import Image


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
