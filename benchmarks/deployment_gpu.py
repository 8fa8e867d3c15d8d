"""The graph of a deployment on a GPU, by TensorRT or CUDA: its golden answers, and photos a second.

    pip install onnxruntime-gpu tensorrt && python benchmarks/deployment_gpu.py OUT [--provider tensorrt] [--batch 64]

`--provider cpu` tries the script itself on a machine without a GPU. An engine of TensorRT belongs to one GPU and one
version; it is built at the first run and kept in OUT/tensorrt, which must not travel.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

PROVIDERS = {"tensorrt": "TensorrtExecutionProvider", "cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


def options_of(provider: str, folder: Path, batch: int, inputs: dict[str, int]) -> dict[str, Any]:
    """The settings of a provider; TensorRT wants to know the smallest and the largest batch."""
    if provider == "cuda":
        return {"use_tf32": "0"}
    if provider == "cpu":
        return {}

    def shapes(n: int) -> str:
        return ",".join(f"{name}:{n}x{side}x{side}x3" for name, side in inputs.items())

    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder / "tensorrt"),
        "trt_fp16_enable": False,
        "trt_profile_min_shapes": shapes(1),
        "trt_profile_opt_shapes": shapes(batch),
        "trt_profile_max_shapes": shapes(batch),
    }


def main() -> None:
    """Compare and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deployment", type=Path)
    parser.add_argument("--provider", choices=PROVIDERS, default="tensorrt")
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    if PROVIDERS[options.provider] not in onnxruntime.get_available_providers():
        sys.exit(f"this ONNX Runtime has no {options.provider}: pip install onnxruntime-gpu")
    folder = options.deployment.resolve()
    sys.path.insert(0, str(folder))
    from check import check
    from run import Model

    model = Model(folder)
    inputs = {form["name"]: form["side"] for form in model.contract["photo"]["inputs"]}
    settings = options_of(options.provider, folder, max(32, options.batch), inputs)
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), providers=[(PROVIDERS[options.provider], settings)]
    )
    names = [output.name for output in session.get_outputs()]
    model.graph = lambda arrays: dict(zip(names, session.run(names, arrays), strict=True))
    print(json.dumps(check(model, folder / "golden" / "expected.npz")))
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


if __name__ == "__main__":
    main()
