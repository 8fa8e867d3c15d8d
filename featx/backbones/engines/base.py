"""A network as engines take it, and their common contract: the features of plain torch, within `TOLERANCE`."""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn

from featx.backbones.engines.int8_images import calibration_digest
from featx.backbones.engines.no_telemetry import import_without_telemetry
from featx.compute.threads import cores

if TYPE_CHECKING:
    from PIL import Image

    from featx.backbones.fingerprint import Fingerprint

# The least cosine between an engine's features of a photo and plain torch's at the same precision.
TOLERANCE = {"fp32": 0.9999, "bf16": 0.999, "fp16": 0.999, "int8": 0.97}
# Raised when featx converts networks differently; cached networks are then converted again.
CONVERSION = 1


class Engine(Protocol):
    """Computes features: a batch of prepared photos in, (n, width) float32 out."""

    name: str
    version: str
    # How many photos keep all cores busy; 0: any number.
    batch_hint: int
    # From how many threads it may be called, so that the cores never wait between two batches.
    parallel_calls: int

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Features of one batch."""


class EngineFailed(Exception):
    """An engine cannot run this network, or not with the same answer."""


class EmbeddingModule(nn.Module):
    """A network with its surroundings: bytes are normalised first, the output becomes rows."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        read: Callable[[Any], Any],
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__()
        self.network, self._read = network, read
        self.takes_bytes = mean is not None
        if mean is not None and std is not None:
            self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
            self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Rows of features from bytes (n, height, width, 3), or from numbers (n, 3, height, width)."""
        return self.read(self.network(self.enter(x)))

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """Prepared photos as the network takes them: bytes are normalised."""
        # A view of bytes in this order is in channels_last, which is what convolutions on a CPU want.
        return (x.permute(0, 3, 1, 2).float() - self.mean) / self.std if self.takes_bytes else x

    def read(self, output: Any) -> torch.Tensor:
        """The network's output as rows of features."""
        rows: torch.Tensor = self._read(output)
        return rows.float()


@dataclass(frozen=True)
class EngineJob:
    """A network for an engine to run: module, device, precision, and the preparation of photos."""

    module: EmbeddingModule
    example: np.ndarray
    fingerprint: Fingerprint
    prepare: Callable[[Image.Image], Any]
    device: str = "cpu"

    @property
    def precision(self) -> str:
        """In which numbers it computes."""
        return self.fingerprint.precision

    @cached_property
    def making(self) -> dict[str, object]:
        """Everything that determines the converted network; cached, since it reads all weights."""
        return making_of(self)


def making_of(job: EngineJob) -> dict[str, object]:
    """Everything that determines the converted network, and whether it was tested on this machine."""
    fingerprint = job.fingerprint.to_dict()
    del fingerprint["views"]
    packages = ["openvino", "torch", "torchvision", "timm", *(["nncf"] if job.precision == "int8" else [])]
    making: dict[str, object] = {
        "conversion": CONVERSION,
        "fingerprint": fingerprint,
        "tensors": _digest_of_tensors(job.module),
        "photo": [*job.example.shape[1:], str(job.example.dtype)],
        "versions": {name: _version(name) for name in packages},
        "cpu": import_without_telemetry("openvino").Core().get_property("CPU", "FULL_DEVICE_NAME"),
    }
    if job.precision == "int8":
        making["calibration"] = calibration_digest()
    return making


def _digest_of_tensors(module: EmbeddingModule) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted({**dict(module.named_parameters()), **dict(module.named_buffers())}.items()):
        plain = tensor.detach().contiguous()
        digest.update(json.dumps([name, str(plain.dtype), list(plain.shape)]).encode())
        digest.update(plain.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def example_photos(shape: tuple[int, ...], kind: np.dtype[Any], size: int) -> np.ndarray:
    """Soft random blobs in the form of prepared photos, to try an engine on."""
    random = np.random.default_rng(0)
    coarse = random.random((size, *(-(-side // 16) if side > 3 else side for side in shape)))
    for axis, side in enumerate(shape, start=1):
        if side > 3:
            coarse = np.repeat(coarse, 16, axis=axis).take(range(side), axis=axis)
    if kind == np.uint8:
        return np.ascontiguousarray((coarse * 255).astype(np.uint8))
    return np.ascontiguousarray((4 * coarse - 2).astype(np.float32))


def min_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The cosine of the two rows that differ most; NaN if features are."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(lengths, 1e-30)).min())


def fold_batch_norm(network: Any, probe: Any, read: Callable[[Any], Any]) -> Any:
    """The network with batch normalisations folded into the convolutions before them, where possible."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    from torch.fx.experimental.optimization import fuse

    try:
        with torch.inference_mode(False), torch.no_grad():
            fused = fuse(network)
    except Exception:  # data-dependent networks cannot be traced; they run unchanged  # noqa: BLE001
        return network
    with torch.inference_mode():
        least = min_cosine(read(network(probe)).numpy(), read(fused(probe)).numpy())
    return fused if least >= TOLERANCE["fp32"] else network


@contextmanager
def quiet_converter() -> Iterator[None]:
    """Silence converters, since the comparison with torch decides; write attention out, so that they can convert it."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def network_threads() -> int:
    """Threads for the network: as the environment says, else one for each core this process may use."""
    setting = os.environ.get("OMP_NUM_THREADS", "")
    return int(setting) if setting.isdecimal() and int(setting) > 0 else cores()
