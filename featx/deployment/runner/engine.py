"""Opens a graph: a .onnx file with ONNX Runtime, a .xml file with OpenVINO. A file that changed is refused."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


class Graph:
    """A graph that runs on the CPU: arrays by name in, arrays by name out."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        for file in [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]:
            refuse_if_changed(path.parent, file.name)
        self._run, self.contract = (_openvino if path.suffix == ".xml" else _onnxruntime)(path, threads)

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for a batch."""
        outputs: dict[str, np.ndarray] = self._run(inputs)
        return outputs


def refuse_if_changed(folder: Path, name: str) -> None:
    """End the program if a file of a deployment is not the one that was deployed."""
    file, manifest = folder / name, folder / "manifest.json"
    wanted = json.loads(manifest.read_text("utf-8"))["files"].get(name)
    if wanted is None or not file.is_file():
        sys.exit(f"{file} is not part of this deployment: {manifest} names the files that are")
    with file.open("rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != wanted:
            sys.exit(f"{file} is damaged: its SHA-256 is not the one in {manifest.name}; copy the folder again")


def _onnxruntime(path: Path, threads: int) -> tuple[Any, dict[str, Any]]:
    import onnxruntime  # type: ignore[import-untyped,unused-ignore]

    if sys.platform == "win32":
        onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.enable_cpu_mem_arena = False  # memory for one batch, not for the largest there ever was
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, inputs), strict=True))

    return run, json.loads(session.get_modelmeta().custom_metadata_map["featx"])


def _openvino(path: Path, threads: int) -> tuple[Any, dict[str, Any]]:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would call a server
    try:
        import openvino  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        sys.exit(f"{path.name} needs OpenVINO: pip install openvino")
    network = openvino.Core().read_model(path)
    # Some processors would compute with half the digits.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(network, "CPU", settings)

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        answers = compiled(inputs)
        return {output.get_any_name(): np.array(answers[output]) for output in compiled.outputs}

    return run, json.loads(network.get_rt_info(["framework", "featx"]).astype(str))
