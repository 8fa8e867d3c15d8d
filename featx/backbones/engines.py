"""What runs a frozen network on photos: torch as it is, torch compiled, OpenVINO or ONNX Runtime.

An engine is a function from a batch of prepared photos to rows of features. Engines differ in speed and, within
`TOLERANCE`, in the last digits; an engine that differs by more on the probe photos is not used. Each library is
imported only when its engine is chosen.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn

from featx.backbones.silent import import_silent
from featx.errors import FeatxError, did_you_mean
from featx.machine import cores

if TYPE_CHECKING:
    from PIL import Image

    from featx.backbones.names import Fingerprint

ENGINES = ("auto", "torch", "compile", "openvino", "onnxruntime")
# The least cosine between an engine's features of a photo and plain torch's at the same precision.
TOLERANCE = {"fp32": 0.9999, "bf16": 0.999, "fp16": 0.999, "int8": 0.97}
# Converting a network takes seconds; fewer photos than this are done sooner without.
WORTH_CONVERTING = 300
# A network that was converted before is read in a moment.
WORTH_READING = 64
_CONVOLUTIONS = 10
_COMPARED = 4


class Engine(Protocol):
    """Computes features: a batch of prepared photos in, (n, width) float32 out; may be called from several threads."""

    name: str
    version: str

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Features of one batch."""


class EngineFailed(Exception):
    """An engine cannot run this network, or not with the same answer."""


@dataclass(frozen=True)
class Runnable:
    """A network for an engine to run: what it computes, on what, how exactly, and how photos are prepared for it."""

    module: PhotosToRows
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
        """Everything that decides what OpenVINO makes of it; all its weights are read for that, so once."""
        from featx.backbones.openvino_engine import making_of

        return making_of(self)


class PhotosToRows(nn.Module):
    """A network with what goes around it: photos as bytes are normalised first, its answer becomes rows."""

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
        if self.takes_bytes:
            # A view of bytes in this order is in channels_last, which is what convolutions on a CPU want.
            x = (x.permute(0, 3, 1, 2).float() - self.mean) / self.std
        rows: torch.Tensor = self._read(self.network(x))
        return rows.float()


class TorchEngine:
    """torch, operation by operation, or compiled into one program."""

    def __init__(self, module: PhotosToRows, device: str, precision: str, *, compiled: bool = False) -> None:
        self.name = "compile" if compiled else "torch"
        self.version = f"torch {torch.__version__}"
        self._device = device
        self._kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
        self._takes_bytes = module.takes_bytes
        # torch uses all cores for one batch; a second one beside it would only be in the way.
        self._alone = Lock()
        self._compute: Callable[[torch.Tensor], torch.Tensor] = module
        if compiled:
            self._compute = torch.compile(module, options={"freezing": True})

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Features of one batch."""
        x = torch.from_numpy(batch).to(self._device)
        if self._device != "mps" and not self._takes_bytes:
            x = x.contiguous(memory_format=torch.channels_last)
        # Freezing, which compilation relies on, does nothing in inference mode.
        quiet = torch.no_grad() if self.name == "compile" else torch.inference_mode()
        kind = self._kind
        place = self._device.partition(":")[0]
        with self._alone, quiet, torch.autocast(place, dtype=kind or torch.bfloat16, enabled=kind is not None):
            rows: np.ndarray = self._compute(x).float().cpu().numpy()
        return rows


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU."""

    name = "onnxruntime"

    def __init__(self, module: PhotosToRows, example: np.ndarray, precision: str) -> None:
        onnxruntime = import_silent("onnxruntime")
        if precision != "fp32":
            raise EngineFailed(f"ONNX Runtime computes in fp32 on a CPU, not in {precision}")
        self.version = f"onnxruntime {version('onnxruntime')}"
        exported = io.BytesIO()
        with quiet_converter(), torch.inference_mode():
            export: Any = torch.onnx.export
            export(
                module,
                (torch.from_numpy(example[:2]),),
                exported,
                dynamo=False,
                input_names=["photos"],
                dynamic_axes={"photos": {0: "n"}},
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = network_threads()
        options.log_severity_level = 3
        # Threads that wait in a busy loop would take the cores from those that decode photos.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(exported.getvalue(), options, providers=["CPUExecutionProvider"])

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Features of one batch."""
        rows: np.ndarray = self._session.run(None, {"photos": batch})[0]
        return rows


@contextmanager
def quiet_converter() -> Iterator[None]:
    """Converters talk much and warn of what the probe settles; attention is written out, which they can read."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def choose_engine(
    asked: str,
    *,
    device: str,
    photos: int,
    network: nn.Module,
    worth_from: int = WORTH_CONVERTING,
    precision: str = "fp32",
) -> str:
    """The engine for so many photos; `auto` converts a network only where that pays."""
    if asked not in ENGINES:
        raise FeatxError(
            "bad-flag", f"no engine called `{asked}`", did_you_mean(asked, ENGINES, f"choose {', '.join(ENGINES)}")
        )
    if precision == "int8":
        if asked not in ("auto", "openvino"):
            raise FeatxError("bad-flag", f"the {asked} engine does not compute in int8", "leave `--engine` out")
        return "openvino"
    if asked == "auto":
        pays = photos >= worth_from and converts(network, device)
        return "openvino" if pays else "torch"
    if asked in ("openvino", "onnxruntime") and device != "cpu":
        raise FeatxError("bad-flag", f"the {asked} engine runs on the CPU, not on {device}", "leave `--engine` out")
    return asked


def converts(network: nn.Module, device: str) -> bool:
    """Whether converting makes this network quicker: convolutions gain; transformers take long and hardly do."""
    many = sum(isinstance(one, nn.Conv2d) for one in network.modules()) >= _CONVOLUTIONS
    return device == "cpu" and many and find_spec("openvino") is not None


def engine_for(asked: str, work: Runnable, photos: int, cold: int = WORTH_CONVERTING, warm: int = WORTH_READING) -> str:
    """The engine for so many photos of this network; converting pays for fewer where that was done before."""
    worth_from = cold
    if asked == "auto" and warm <= photos < cold and converts(work.module, work.device):
        from featx.backbones.kept import path_of

        worth_from = warm if path_of(work.making).exists() else cold
    return choose_engine(
        asked,
        device=work.device,
        photos=photos,
        network=work.module,
        worth_from=worth_from,
        precision=work.precision,
    )


def make_engine(name: str, work: Runnable) -> Engine:
    """An engine that was tried on example photos and answered as plain torch does, or `EngineFailed`."""
    if name == "torch":
        return TorchEngine(work.module, work.device, work.precision)
    _installed(name)
    try:
        return _kept_or_made(work) if name == "openvino" else _tried(_made(name, work), work)
    except (EngineFailed, FeatxError):
        raise
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise EngineFailed(f"{name} cannot run this network: {said[0][:200]}") from error


def engine_or_why(asked: str, name: str, work: Runnable) -> tuple[Engine | None, str]:
    """The engine of this name; or, where `auto` wanted it and could not have it, none and why."""
    try:
        return make_engine(name, work), ""
    except EngineFailed as error:
        if asked != "auto" or work.precision == "int8":
            raise FeatxError(
                "bad-flag",
                str(error),
                "choose another `--precision`"
                if work.precision == "int8"
                else "leave `--engine` out, or choose `--engine torch`",
                {"engine": name},
            ) from error
        return None, str(error)


def _kept_or_made(work: Runnable) -> Engine:
    """OpenVINO with a network that was converted and tried before, else with one that is now, and kept."""
    from featx.backbones.kept import keep, read_kept
    from featx.backbones.openvino_engine import OpenVinoEngine, converted

    making, photo = work.making, work.example.shape[1:]
    example = example_photos(photo, work.example.dtype, _COMPARED)
    graph = read_kept(making)
    if graph is not None:
        engine = OpenVinoEngine(graph, photo, work.precision)
        # It was compared with torch when it was made; what it says now must be what it said then, on every core.
        then = np.frombuffer(graph.answers, dtype=np.float32).reshape(len(example), -1)
        if engine.agrees_everywhere(example, then):
            return engine
    graph = converted(work.module, work.example)
    if work.precision == "int8":
        from featx.backbones.quantising import quantised

        graph = quantised(graph, work.prepare)
    engine = OpenVinoEngine(graph, photo, work.precision)
    _tried(engine, work)
    answers = engine(example)
    if not engine.agrees_everywhere(example, answers):
        raise EngineFailed("openvino gives other features on one core than on another")
    keep(making, replace(graph, answers=answers.tobytes()))
    return engine


def _tried(engine: Engine, work: Runnable) -> Engine:
    """The engine, if it answers as plain torch does."""
    if work.precision == "int8":
        from featx.backbones.quantising import CALIBRATION, TRIED, drawn_photos

        # Integers are fitted to photos, so random blobs would say little.
        photos = drawn_photos(TRIED, CALIBRATION.photos)
        example = np.stack([np.asarray(work.prepare(photo)) for photo in photos])
        compared = len(example)
    else:
        example, compared = work.example, _COMPARED
    # A few are enough, and plain torch takes much memory for many.
    plain = TorchEngine(work.module, work.device, "fp32" if work.precision == "int8" else work.precision)
    least = least_cosine(plain(example[:compared]), engine(example)[:compared])
    if not least >= TOLERANCE[work.precision]:
        raise EngineFailed(f"{engine.name} gives other features than torch (cosine {least:.5f})")
    return engine


def _made(name: str, work: Runnable) -> Engine:
    if name == "compile":
        return TorchEngine(work.module, work.device, work.precision, compiled=True)
    return OnnxRuntimeEngine(work.module, work.example, work.precision)


def _installed(name: str) -> None:
    needed = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnx")}.get(name, ())
    for package in needed:
        try:
            version(package)
        except PackageNotFoundError as error:
            raise FeatxError(
                "extra-missing", f"the {name} engine needs {package}", f'pip install "featx[{name}]"'
            ) from error


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


def least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The cosine of the pair of rows that differs most; not a number where features are not."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(lengths, 1e-30)).min())


def without_batch_norm(network: Any, probe: Any, read: Callable[[Any], Any]) -> Any:
    """The network with each batch normalisation folded into the convolution before it, where that can be done."""
    if not any(isinstance(one, nn.BatchNorm2d) for one in network.modules()):
        return network
    from torch.fx.experimental.optimization import fuse

    try:
        with torch.inference_mode(False), torch.no_grad():
            fused = fuse(network)
    except Exception:  # a network whose way depends on its input cannot be traced; it runs as it is
        return network
    with torch.inference_mode():
        least = least_cosine(read(network(probe)).numpy(), read(fused(probe)).numpy())
    return fused if least >= TOLERANCE["fp32"] else network


def network_threads() -> int:
    """Threads for the network: what the environment says, else one for each core this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else cores()
