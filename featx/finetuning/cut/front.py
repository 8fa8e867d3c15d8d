"""The front of a network as an encoder, so that the one stream of photos runs it as it runs every other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import fx

from featx.backbones import Encoder, EncoderSpec
from featx.backbones.engines.base import EmbeddingModule, Engine, EngineFailed, EngineJob, example_photos, making_of
from featx.backbones.engines.choosing import choose_engine, make_engine
from featx.backbones.tunable import TunableNetwork

# Photos that go through the front together on a CPU: the first layers are the widest, and plain torch frees none early.
TOGETHER = 4
# From so many views on a front is converted for a quicker engine, which takes as long as some hundred views.
WORTH_CONVERTING = 1000
TORCH = "torch"


class FrontEncoder(Encoder):
    """From photos to the output at a cut, flattened; with no cut to the prepared photos themselves."""

    def __init__(self, whole: Encoder, run: Callable[[NDArray[Any]], NDArray[np.float32]], spec: EncoderSpec) -> None:
        self.whole, self.fingerprint, self._run, self._spec = whole, whole.fingerprint, run, spec

    @classmethod
    def of_photos(cls, whole: Encoder) -> FrontEncoder:
        """No front at all: the prepared photos."""
        return cls(whole, lambda photos: photos.reshape(len(photos), -1).astype(np.float32), _spec(whole, 0))

    @classmethod
    def up_to(cls, whole: Encoder, network: TunableNetwork, front: fx.GraphModule, engine: str) -> FrontEncoder:
        """The front before a cut, frozen, run by this engine; by plain torch where the engine cannot."""
        module = _Front(network, front)
        with suppress(EngineFailed):
            if engine != TORCH:
                made = make_engine(engine, _job(whole, module, digest_of(front)))
                return cls(whole, made, _spec(whole, made.batch_hint, made))
        return cls(whole, module.maps_of, _spec(whole, TOGETHER if network.device.type == "cpu" else 0))

    @property
    def spec(self) -> EncoderSpec:
        """As the whole encoder reads photos."""
        return self._spec

    def prepare(self, source: Any) -> Any:
        """As the whole encoder does it."""
        return self.whole.prepare(source)

    def features(self, batch: Sequence[Any]) -> np.ndarray:
        """The output of prepared photos, (n, numbers)."""
        return self._run(np.stack([np.asarray(photo) for photo in batch]))


class _Front(EmbeddingModule):
    """A front as engines take a network: from prepared photos to the output at the cut, flattened."""

    def __init__(self, network: TunableNetwork, front: fx.GraphModule) -> None:
        super().__init__(front, lambda maps: maps.flatten(1))
        self._enter, self._device = network.enter, network.device

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """Prepared photos as the network takes them."""
        return self._enter(x)

    def maps_of(self, photos: NDArray[Any]) -> NDArray[np.float32]:
        """The output by plain torch."""
        with torch.inference_mode():
            return np.asarray(self(torch.from_numpy(photos).to(self._device)).cpu().contiguous().numpy())


@dataclass(frozen=True)
class _FrontJob(EngineJob):
    """A front for an engine to run: other networks may have the same tensors."""

    front: str = ""

    @cached_property
    def making(self) -> dict[str, object]:
        """Everything that determines the converted front."""
        return {**making_of(self), "front": self.front}


def _job(whole: Encoder, module: _Front, front: str) -> EngineJob:
    prepared = np.asarray(whole.prepare(Image.new("RGB", (256, 256))))
    example = example_photos(prepared.shape, prepared.dtype, TOGETHER)
    return _FrontJob(module, example, whole.fingerprint, whole.prepare, front=front)


def _spec(whole: Encoder, together: int, engine: Engine | None = None) -> EncoderSpec:
    about = whole.spec
    if engine is None:
        return EncoderSpec(about.name, about.width, decode_size=about.decode_size, batch_hint=together)
    return EncoderSpec(
        about.name,
        about.width,
        engine=engine.name,
        decode_size=about.decode_size,
        batch_hint=together,
        parallel_calls=engine.parallel_calls,
    )


def suited_engine(whole: Encoder, network: TunableNetwork, front: fx.GraphModule, views: int) -> str:
    """The engine for so many views: it follows from their number alone, or a run that goes on would take another."""
    if whole.fingerprint.precision != "fp32":
        return TORCH
    device = network.device.type
    return choose_engine("auto", device=device, photos=views, network=front, worth_from=WORTH_CONVERTING)


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
