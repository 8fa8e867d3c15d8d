"""A network with its own preprocessing, frozen: photos in, features out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from featx.backbones.devices import raises_out_of_memory
from featx.backbones.fingerprint import Fingerprint
from featx.backbones.network_encoder import NetworkEncoder
from featx.backbones.preprocessing import PhotoForm, preset_of


class FrozenNetwork(NetworkEncoder):
    """A network of torchvision or timm: photos prepared as its weights want them, features out."""

    def __init__(
        self,
        network: Any,
        transforms: Callable[[Image.Image], Any],
        fingerprint: Fingerprint,
        *,
        read: Callable[[Any], Any],
        device: str,
        device_reason: str,
        weights_file: str = "",
        split: Callable[[Any], tuple[Any, Any] | None] = lambda network: None,
        reopen: Callable[[], NetworkEncoder] | None = None,
    ) -> None:
        """Freeze a network; `split` parts it at its last feature maps, `reopen` opens it once more."""
        preset = preset_of(transforms)
        self._split_at_maps = split
        self._preset = preset
        self._prepare: Callable[[Image.Image], Any] = preset or transforms
        super().__init__(
            network,
            read,
            None if preset is None else (preset.mean, preset.std),
            fingerprint,
            device=device,
            device_reason=device_reason,
            decode_size=None if preset is None else preset.decode_size,
            weights_file=weights_file,
            reopen=reopen,
        )

    def _split_network(self) -> tuple[Any, Any]:
        parts = self._split_at_maps(self.network)
        return super()._split_network() if parts is None else parts

    def prepare(self, source: Image.Image) -> Any:
        """The photo as the weights were trained to see it."""
        return self._prepare(source)

    def photo_form(self) -> PhotoForm:
        """How `prepare` makes bytes of a photo, for programs without featx."""
        return super().photo_form() if self._preset is None else self._preset.form

    @raises_out_of_memory
    def features(self, batch: Sequence[Any]) -> np.ndarray:
        """Features of prepared photos: (n, width), float32."""
        if not batch:
            return np.zeros((0, self.fingerprint.width), dtype=np.float32)
        return self._compute(np.stack([np.asarray(photo) for photo in batch]))
