"""Choose what runs a frozen network: plain torch, compiled torch, OpenVINO or ONNX Runtime.

An engine is a function from a batch of prepared photos to rows of features. Engines differ in speed and, within
`TOLERANCE`, in the last digits; an engine that differs by more on the probe photos is not used. Each library is
imported only when its engine is chosen.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import numpy as np
from torch import nn

from featx.backbones.engines.base import TOLERANCE, Engine, EngineFailed, EngineJob, example_photos, min_cosine
from featx.backbones.engines.int8_images import comparison_images
from featx.backbones.engines.torch_engine import TorchEngine
from featx.errors import FeatxError, did_you_mean

ENGINES = ("auto", "torch", "compile", "openvino", "onnxruntime")
_CONVOLUTIONS = 10
_COMPARED = 4


def choose_engine(
    requested: str,
    *,
    device: str,
    photos: int,
    network: nn.Module,
    worth_from: int,
    precision: str = "fp32",
) -> str:
    """The engine for this many photos; `auto` converts a network only if that pays."""
    if requested not in ENGINES:
        raise FeatxError(
            "bad-flag",
            f"there is no engine `{requested}`",
            did_you_mean(requested, ENGINES, f"choose {', '.join(ENGINES)}"),
        )
    if precision == "int8":
        if requested not in ("auto", "openvino"):
            raise FeatxError("bad-flag", f"the {requested} engine does not compute in int8", "leave `--engine` out")
        return "openvino"
    if requested == "auto":
        pays = photos >= worth_from and converts(network, device)
        return "openvino" if pays else "torch"
    if requested in ("openvino", "onnxruntime") and device != "cpu":
        raise FeatxError("bad-flag", f"the {requested} engine runs on the CPU, not on {device}", "leave `--engine` out")
    return requested


def converts(network: nn.Module, device: str) -> bool:
    """Whether converting makes this network quicker: convolutions gain; transformers take long and hardly do."""
    many = sum(isinstance(module, nn.Conv2d) for module in network.modules()) >= _CONVOLUTIONS
    return device == "cpu" and many and find_spec("openvino") is not None


def engine_for(requested: str, job: EngineJob, photos: int, cold: int, warm: int) -> str:
    """The engine for this many photos; a network converted before pays for fewer."""
    worth_from = cold
    if requested == "auto" and warm <= photos < cold and converts(job.module, job.device):
        from featx.backbones.engines.conversion_cache import path_of

        worth_from = warm if path_of(job.making).exists() else cold
    return choose_engine(
        requested,
        device=job.device,
        photos=photos,
        network=job.module,
        worth_from=worth_from,
        precision=job.precision,
    )


def make_engine(name: str, job: EngineJob) -> Engine:
    """An engine that was tried on example photos and answered as plain torch does, or `EngineFailed`."""
    if name == "torch":
        return TorchEngine(job.module, job.device, job.precision)
    _installed(name)
    try:
        return _kept_or_made(job) if name == "openvino" else _tried(_made(name, job), job)
    except (EngineFailed, FeatxError):
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise EngineFailed(f"{name} cannot run this network: {lines[0][:200]}") from error


def try_engine(requested: str, name: str, job: EngineJob) -> tuple[Engine | None, str]:
    """The engine of this name; if `auto` wanted it in vain, none and the reason."""
    try:
        return make_engine(name, job), ""
    except EngineFailed as error:
        if requested != "auto" or job.precision == "int8":
            raise FeatxError(
                "bad-flag",
                str(error),
                "choose another `--precision`"
                if job.precision == "int8"
                else "leave `--engine` out, or choose `--engine torch`",
                {"engine": name},
            ) from error
        return None, str(error)


def _kept_or_made(job: EngineJob) -> Engine:
    """OpenVINO with a cached network, or with one that is converted, tested and cached now."""
    from featx.backbones.engines.conversion_cache import read_conversion, store_conversion
    from featx.backbones.engines.openvino_engine import OpenVinoEngine, converted

    making, photo, alone = job.making, job.example.shape[1:], len(job.example) == 1
    example = example_photos(photo, job.example.dtype, _COMPARED)
    graph = read_conversion(making)
    if graph is not None:
        engine = OpenVinoEngine(graph, photo, job.precision, alone=alone)
        # It was compared with torch when it was made; its answers now must be those of then, on every core.
        then = np.frombuffer(graph.answers, dtype=np.float32).reshape(len(example), -1)
        if engine.agrees_everywhere(example, then):
            return engine
    if job.precision == "int8":
        from featx.backbones.engines.int8 import needs_nncf, quantised

        needs_nncf()
        graph = quantised(converted(job.module, job.example), job.prepare)
    else:
        graph = converted(job.module, job.example)
    engine = OpenVinoEngine(graph, photo, job.precision, alone=alone)
    _tried(engine, job)
    answers = engine(example)
    if not engine.agrees_everywhere(example, answers):
        raise EngineFailed("openvino gives different features on different cores")
    store_conversion(making, replace(graph, answers=answers.tobytes()))
    return engine


def _tried(engine: Engine, job: EngineJob) -> Engine:
    """The engine, if it answers as plain torch does."""
    if job.precision == "int8":
        # Integers are fitted to photos, so random blobs would say little.
        example = np.stack([np.asarray(job.prepare(photo)) for photo in comparison_images()])
        compared = len(example)
    else:
        # A few are enough, and plain torch takes much memory for many.
        example = example_photos(job.example.shape[1:], job.example.dtype, _COMPARED)
        compared = _COMPARED
    plain = TorchEngine(job.module, job.device, "fp32" if job.precision == "int8" else job.precision)
    least = min_cosine(plain(example[:compared]), engine(example)[:compared])
    if not least >= TOLERANCE[job.precision]:
        raise EngineFailed(f"{engine.name} differs from torch (cosine {least:.5f})")
    return engine


def _made(name: str, job: EngineJob) -> Engine:
    if name == "compile":
        return TorchEngine(job.module, job.device, job.precision, compiled=True)
    from featx.backbones.engines.onnx_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(job.module, job.example, job.precision)


def _installed(name: str) -> None:
    needed = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnx")}.get(name, ())
    for package in needed:
        try:
            version(package)
        except PackageNotFoundError as error:
            raise FeatxError(
                "extra-missing", f"the {name} engine needs {package}", f'pip install "featx[{name}]"'
            ) from error
