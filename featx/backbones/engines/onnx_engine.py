"""ONNX Runtime as an engine."""

from __future__ import annotations

import io
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from featx.backbones.engines.base import EmbeddingModule, EngineFailed, network_threads, quiet_converter
from featx.backbones.engines.no_telemetry import import_without_telemetry


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU."""

    name = "onnxruntime"
    batch_hint = 0
    parallel_calls = 1

    def __init__(self, module: EmbeddingModule, example: np.ndarray, precision: str) -> None:
        onnxruntime = import_without_telemetry("onnxruntime")
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
