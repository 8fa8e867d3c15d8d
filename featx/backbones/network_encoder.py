"""What every family with a network shares: a frozen network, and an engine that runs it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from featx.backbones.base import Encoder, EncoderSpec
from featx.backbones.devices import import_torch_alone, raises_out_of_memory, torch_versions
from featx.backbones.fingerprint import Fingerprint
from featx.backbones.nodes import PENULTIMATE
from featx.errors import FeatxError

if TYPE_CHECKING:
    from torch import Tensor, nn

    Parts = tuple[nn.Module, nn.Module]

    from featx.backbones.engines.base import EmbeddingModule, Engine, EngineJob
    from featx.backbones.tunable import TunableNetwork

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]


class NetworkEncoder(Encoder):
    """A network in eval mode that never changes; the engine that runs it may."""

    # Converting a network takes seconds; fewer photos than this are done sooner without.
    worth_converting = 300
    # A network that was converted before is read in a moment.
    worth_reading = 64
    unit_rows = False

    def __init__(
        self,
        network: Any,
        read: Callable[[Any], Any],
        normalisation: Normalisation | None,
        fingerprint: Fingerprint,
        *,
        device: str,
        device_reason: str,
        decode_size: tuple[int, int] | None = None,
        weights_file: str = "",
        reopen: Callable[[], NetworkEncoder] | None = None,
    ) -> None:
        """Freeze a network; `read` turns its output into rows, `normalisation` is the mean and deviation of bytes."""
        torch = import_torch_alone()
        self.fingerprint = _with_calibration(fingerprint) if fingerprint.precision == "int8" else fingerprint
        self.network = network.eval().requires_grad_(False).to(device)
        if device != "mps":
            self.network = self.network.to(memory_format=torch.channels_last)
        self._read, self._normalisation = read, normalisation
        self._device, self._device_reason = device, device_reason
        self._decode_size, self._weights_file = decode_size, weights_file
        self._reopen, self._is_folded = reopen, False
        self._split: Parts | None = None
        self._versions = {
            **{name: number for name, number in torch_versions().items() if number},
            "numpy": np.__version__,
        }
        # int8 needs a network of its own, which is read or made when the first photo comes.
        self._engine: Engine | None = None if fingerprint.precision == "int8" else self._torch_engine()

    @property
    def spec(self) -> EncoderSpec:
        """The facts that callers need, as they are with the engine of now."""
        engine = self._engine
        return EncoderSpec(
            name=self.fingerprint.backbone,
            width=self.fingerprint.width,
            device=self._device,
            device_reason=self._device_reason,
            versions=dict(self._versions),
            engine="openvino" if engine is None else engine.name,
            decode_size=self._decode_size,
            batch_hint=0 if engine is None else engine.batch_hint,
            parallel_calls=1 if engine is None else engine.parallel_calls,
            weights_file=self._weights_file,
            unit_rows=self.unit_rows or bool(self.fingerprint.length),
        )

    def use_engine(self, requested: str, *, photos: int, batch_size: int) -> str:
        """Compute with another engine from now on; returns why `auto` did not get the one it wanted, or ""."""
        from featx.backbones.engines.base import example_photos
        from featx.backbones.engines.choosing import engine_for, try_engine

        prepared = np.asarray(self.prepare(Image.new("RGB", (256, 256))))
        example = example_photos(prepared.shape, prepared.dtype, batch_size)
        job = self._job(example)
        name = engine_for(requested, job, photos, self.worth_converting, self.worth_reading)
        if name != "openvino":  # which folds it itself
            self._fold_batch_norm(example)
            job = self._job(example)
        engine, why = try_engine(requested, name, job)
        if engine is None:
            self._fold_batch_norm(example)
            self._engine = self._torch_engine()
            return why
        self._engine = engine
        library, _, version = engine.version.partition(" ")
        self._versions = {**self._versions, library: version}
        return ""

    def rest(self) -> None:
        """Give back the memory of another engine than torch, which has none of its own."""
        if self._engine is not None and self._engine.name != "torch":
            self._engine = None

    def feature_maps(self, batch: Sequence[Any]) -> np.ndarray:
        """The last feature maps of prepared photos before pooling: (n, channels, height, width), float32."""
        before, _ = self._parts()
        return self._maps_by(before, batch)

    def _maps_by(self, before: nn.Module, batch: Sequence[Any]) -> np.ndarray:
        torch, module = import_torch_alone(), self._module_of(before, lambda maps: maps)
        with torch.inference_mode():
            maps: np.ndarray = module(self._as_tensor(batch)).cpu().numpy()
        return maps

    def features_with_maps(self, batch: Sequence[Any]) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """The same features as `features`, and the maps; in one pass where plain torch computes both."""
        if not len(batch) or not self._is_plain or not self._has_maps:
            return super().features_with_maps(batch)
        rows, maps = self._rows_and_maps(batch)
        return rows, [maps]

    @property
    def _is_plain(self) -> bool:
        """Whether features come from the very network that `_parts` are of, to the last digit."""
        is_torch = self._engine is not None and self._engine.name == "torch"
        return is_torch and self.fingerprint.precision == "fp32" and not self._is_folded

    @property
    def _has_maps(self) -> bool:
        try:
            self._parts()
        except FeatxError:
            return False
        return True

    @raises_out_of_memory
    def _rows_and_maps(self, batch: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        return self._by_halves(*self._parts(), batch)

    def _by_halves(self, before: nn.Module, after: nn.Module, batch: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """What the second half of a network makes of the maps of the first, and these maps."""
        torch, module = import_torch_alone(), self._module_of(before, after)
        with torch.inference_mode():
            maps = before(module.enter(self._as_tensor(batch)))
            rows = module.read(maps)
        return rows.cpu().numpy(), maps.cpu().numpy()

    def _as_tensor(self, batch: Sequence[Any]) -> Tensor:
        """Prepared photos on the device, in the order of memory that the engine gives them."""
        torch = import_torch_alone()
        photos: Tensor = torch.from_numpy(np.stack([np.asarray(photo) for photo in batch])).to(self._device)
        if self._device == "mps" or self._normalisation is not None:
            return photos
        return photos.contiguous(memory_format=torch.channels_last)

    def pool_maps(self, maps: np.ndarray) -> np.ndarray:
        """The features that feature maps lead to: the first columns of `features`, all of them in most networks."""
        return pooled_by(self._parts()[1], maps, self._device)

    def pool_slopes(self, maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """How a weighted sum of the features that maps lead to changes with each number of the maps."""
        return slopes_by(self._parts()[1], maps, weights, self._device)

    def graph(self) -> nn.Module:
        """One module from a batch of prepared photos to their features, in eval mode, for export."""
        return self._module()

    def trainable_module(self) -> nn.Module:
        """A copy of `graph` whose weights may change: in training mode, with gradients, sharing no tensor with it."""
        return copy.deepcopy(self._as_opened().graph()).train().requires_grad_(True)

    def tunable(self) -> TunableNetwork:
        """A copy of the network in the parts that fine-tuning needs, in eval mode, sharing no tensor with it."""
        from featx.backbones.tunable import TunableNetwork

        if self.fingerprint.parts or self.fingerprint.layer != PENULTIMATE:
            raise FeatxError(
                "bad-flag",
                f"a network is tuned up to its head, and `{self.fingerprint.backbone}` is read at other layers",
                "leave `--layer` out; the tuned network can be read at any layer later",
            )
        module = copy.deepcopy(self._as_opened()._module()).eval().requires_grad_(True)
        return TunableNetwork(module.enter, module.network, module.read, self.fingerprint.width)

    def known_as(self, backbone: str, weights: str) -> NetworkEncoder:
        """The same encoder under another name, by which stores and classifiers know its features."""
        self.fingerprint = self.fingerprint.known_as(backbone, weights)
        return self

    def _as_opened(self) -> NetworkEncoder:
        """The encoder before its batch normalisation was folded away, which training and some networks need."""
        return self._reopen() if self._is_folded and self._reopen is not None else self

    def _parts(self) -> Parts:
        if self._split is None:
            self._split = self._as_opened()._split_network()
        return self._split

    def _split_network(self) -> Parts:
        """The network up to its last feature maps, and from there to its features."""
        raise self._without("feature maps")

    def _compute(self, batch: np.ndarray) -> np.ndarray:
        if self._engine is None:
            self.use_engine("openvino", photos=len(batch), batch_size=len(batch))
        assert self._engine is not None
        return self._engine(batch)

    def _module(self) -> EmbeddingModule:
        return self._module_of(self.network)

    def _module_of(self, network: nn.Module, read: Callable[[Any], Any] | None = None) -> EmbeddingModule:
        """A network that takes prepared photos; its output becomes rows as ever, or by another reading."""
        from featx.backbones.engines.base import EmbeddingModule

        return EmbeddingModule(network, read or self._read, *(self._normalisation or ())).eval().to(self._device)

    def _job(self, example: np.ndarray) -> EngineJob:
        from featx.backbones.engines.base import EngineJob

        return EngineJob(self._module(), example, self.fingerprint, self.prepare, self._device)

    def _torch_engine(self) -> Engine:
        from featx.backbones.engines.torch_engine import TorchEngine

        return TorchEngine(self._module(), self._device, self.fingerprint.precision)

    def _fold_batch_norm(self, example: np.ndarray) -> None:
        from featx.backbones.engines.base import fold_batch_norm

        torch = import_torch_alone()
        if self._device == "cpu" and self.fingerprint.precision == "fp32":
            side = example.shape[1:3] if self._normalisation is not None else example.shape[2:4]
            probe = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, *side)).astype(np.float32))
            folded: nn.Module = fold_batch_norm(self.network, probe, self._read)
            self._is_folded = self._is_folded or folded is not self.network
            self.network = folded.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def pooled_by(pooling: nn.Module, maps: np.ndarray, device: str) -> np.ndarray:
    """What a part of a network makes of maps."""
    torch = import_torch_alone()
    with torch.inference_mode():
        rows: np.ndarray = pooling(torch.from_numpy(maps).to(device)).float().cpu().numpy()
    return rows


def slopes_by(pooling: nn.Module, maps: np.ndarray, weights: np.ndarray, device: str) -> np.ndarray:
    """How a weighted sum of what a part of a network makes of maps changes with each number of them."""
    torch = import_torch_alone()
    leaf = torch.from_numpy(np.array(maps)).to(device).requires_grad_()
    rows = pooling(leaf).float()
    (rows @ torch.from_numpy(weights[: rows.shape[1]].astype(np.float32)).to(device)).sum().backward()
    slopes: np.ndarray = leaf.grad.cpu().numpy()
    return slopes


def _with_calibration(fingerprint: Fingerprint) -> Fingerprint:
    """int8 features depend on the images that the integers were calibrated on."""
    from featx.backbones.engines.int8_images import calibration_digest

    noted = f"{fingerprint.preprocessing}; int8 calibrated on {calibration_digest()}"
    parts = tuple(replace(part, preprocessing=noted) for part in fingerprint.parts)
    return replace(fingerprint, preprocessing=noted, parts=parts)
