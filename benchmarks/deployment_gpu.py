"""The graph of a deployment on a GPU, by TensorRT or CUDA: its golden answers, and photos a second.

    pip uninstall onnxruntime    # it would hide the package for GPUs, which has the same name in Python
    pip install pillow 'onnxruntime-gpu[cuda,cudnn]' tensorrt-cu12
    python benchmarks/deployment_gpu.py OUT [--provider tensorrt] [--batch 64]

`--provider cpu` tries the script itself on a machine without a GPU. An engine of TensorRT belongs to one GPU and one
version; it is built at the first run, for minutes, and kept in OUT/tensorrt, which must not travel.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

# Else it gives this machine a number as soon as it is imported, and sends events home.
os.environ.update(ORT_DISABLE_TELEMETRY="1", ORT_TELEMETRY_DISABLED="1")
import onnxruntime

# Products of matrices in 19 bits, the habit of these GPUs, would not answer like featx.
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
PROVIDERS = {"tensorrt": "TensorrtExecutionProvider", "cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


def providers_of(provider: str, folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """The providers to try for each node, in their order: what TensorRT cannot run, CUDA does."""
    cpu: list[tuple[str, dict[str, Any]]] = [(PROVIDERS["cpu"], {})]
    cuda: list[tuple[str, dict[str, Any]]] = [(PROVIDERS["cuda"], {"use_tf32": "0"}), *cpu]
    kept = {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder / "tensorrt"),
        "trt_fp16_enable": False,
    }
    return {"cpu": cpu, "cuda": cuda, "tensorrt": [(PROVIDERS["tensorrt"], kept), *cuda]}[provider]


def open_session(provider: str, folder: Path) -> Any:
    """The graph on a provider; the program ends where that cannot be had: ONNX Runtime would go on without it."""
    name = PROVIDERS[provider]
    if name not in onnxruntime.get_available_providers():
        sys.exit(f"this ONNX Runtime has no {provider}: install what the first lines of this script say")
    if provider == "tensorrt":
        import tensorrt  # type: ignore[import-not-found]  # noqa: F401  (loads the libraries that ONNX Runtime looks for)
    if provider != "cpu":
        onnxruntime.preload_dlls()
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=providers_of(provider, folder))
    if session.get_providers()[0] != name:
        sys.exit(f"ONNX Runtime could not start {provider}, and took {session.get_providers()[0]}: see its lines above")
    return session


def main() -> None:
    """Compare and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deployment", type=Path)
    parser.add_argument("--provider", choices=PROVIDERS, default="tensorrt")
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    folder = options.deployment.resolve()
    sys.path.insert(0, str(folder))
    from check import check, fails
    from run import Model

    model = Model(folder)
    inputs = {form["name"]: form["side"] for form in model.contract["photo"]["inputs"]}
    session = open_session(options.provider, folder)
    names = [output.name for output in session.get_outputs()]
    model.graph = lambda arrays: dict(zip(names, session.run(names, arrays), strict=True))
    result = check(model, folder / "golden" / "expected.npz")
    print(json.dumps(result))
    batch = {name: np.zeros((options.batch, side, side, 3), dtype=np.uint8) for name, side in inputs.items()}
    if model.columns is not None:
        batch["columns"] = model.columns.encode([{}] * options.batch)
    session.run(names, batch)
    begun, rounds = time.perf_counter(), 5
    for _ in range(rounds):
        session.run(names, batch)
    print(
        f"{session.get_providers()[0]}: {rounds * options.batch / (time.perf_counter() - begun):,.0f} photos a second"
    )
    if fails(result, model.contract["numbers"]):
        sys.exit("the answers differ from those of featx")


if __name__ == "__main__":
    main()
