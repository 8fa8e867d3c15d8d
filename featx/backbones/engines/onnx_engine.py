"""ONNX Runtime as an engine."""

from __future__ import annotations

import io
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import nn

from featx.backbones.engines.base import EmbeddingModule, EngineFailed, network_threads, quiet_converter
from featx.backbones.engines.no_telemetry import import_without_telemetry

# The names of a network's input and output, and of the number of photos.
PHOTOS, FEATURES, COUNT = "photos", "features", "n"
# The first in which a reduction takes its axes as an input throughout; ONNX Runtime has known it since 1.14.
OPSET = 18


def onnx_bytes(module: nn.Module, example: np.ndarray) -> bytes:
    """A module from prepared photos to features as an ONNX model for any number of photos."""
    exported = io.BytesIO()
    with quiet_converter(), torch.inference_mode():
        export: Any = torch.onnx.export
        export(
            module,
            # One photo alone would be taken for the only number there is.
            (torch.from_numpy(example[:2]),),
            exported,
            dynamo=False,
            opset_version=OPSET,
            input_names=[PHOTOS],
            output_names=[FEATURES],
            dynamic_axes={PHOTOS: {0: COUNT}, FEATURES: {0: COUNT}},
        )
    return exported.getvalue()


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
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = network_threads()
        options.log_severity_level = 3
        # Threads that wait in a busy loop would take the cores from those that decode photos.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            onnx_bytes(module, example), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Features of one batch."""
        rows: np.ndarray = self._session.run(None, {PHOTOS: batch})[0]
        return rows
