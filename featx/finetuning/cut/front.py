"""The front of a network as an encoder, so that the one stream of photos runs it as it runs every other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import fx

from featx.backbones import Encoder, EncoderSpec
from featx.backbones.cuts import Cut, CutNetwork
from featx.backbones.tunable import TunableNetwork

# Photos that go through the front together on a CPU: the first layers are the widest, and plain torch frees none early.
TOGETHER = 4


class FrontEncoder(Encoder):
    """From photos to the output at a cut, flattened; with no cut to the prepared photos themselves."""

    def __init__(
        self, whole: Encoder, compute: Callable[[torch.Tensor], torch.Tensor] | None, together: int = 0
    ) -> None:
        self.whole, self.fingerprint, self._compute, self._together = whole, whole.fingerprint, compute, together

    @classmethod
    def up_to(cls, whole: Encoder, network: TunableNetwork, cut: Cut, parts: CutNetwork) -> FrontEncoder:
        """The front before a cut, frozen."""
        front, _ = parts.halves(cut)
        together = TOGETHER if network.device.type == "cpu" else 0
        return cls(whole, lambda photos: front(network.enter(photos.to(network.device))), together)

    @property
    def spec(self) -> EncoderSpec:
        """As the whole encoder reads photos, but run by plain torch."""
        whole = self.whole.spec
        return EncoderSpec(whole.name, whole.width, decode_size=whole.decode_size, batch_hint=self._together)

    def prepare(self, source: Any) -> Any:
        """As the whole encoder does it."""
        return self.whole.prepare(source)

    def features(self, batch: Sequence[Any]) -> np.ndarray:
        """The output of prepared photos, (n, numbers)."""
        photos = np.stack([np.asarray(photo) for photo in batch])
        if self._compute is None:
            return photos.reshape(len(photos), -1).astype(np.float32)
        with torch.inference_mode():
            maps = self._compute(torch.from_numpy(photos)).float().cpu().contiguous()
            return np.asarray(maps.flatten(1).numpy())


def digest_of(front: fx.GraphModule) -> str:
    """The SHA-256 of what a front computes: its steps and its numbers."""
    found = hashlib.sha256(front.code.encode())
    for name, tensor in front.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def even_part(n: int, most: int) -> NDArray[np.intp]:
    """The places of at most so many of n photos, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(np.intp))


def as_prepared(encoder: Encoder, rows: Sequence[np.ndarray]) -> NDArray[np.generic]:
    """The rows of a front without a cut as the photos that the network takes."""
    example = np.asarray(encoder.prepare(Image.new("RGB", (256, 256))))
    photos = np.stack(rows) if len(rows) else np.zeros((0, example.size))
    return photos.reshape(-1, *example.shape).astype(example.dtype)
