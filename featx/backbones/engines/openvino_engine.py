"""OpenVINO on the CPU: each core runs a few photos on its own, so that none waits for another between layers."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

from featx.backbones.engines.base import TOLERANCE, EmbeddingModule, min_cosine, network_threads, quiet_converter
from featx.backbones.engines.conversion_cache import ConvertedNetwork
from featx.backbones.engines.no_telemetry import import_without_telemetry

# Photos that one core computes together: the cores share a batch, and large weights are read once for all of these.
PIECE = 4
# In a quantised network, everything that is not an integer stays in float32.
_HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoEngine:
    """A converted network, compiled for pieces of a batch, one piece at a time on each core."""

    name = "openvino"

    def __init__(self, graph: ConvertedNetwork, photo: tuple[int, ...], precision: str, *, alone: bool = False) -> None:
        """`alone`: photos come one at a time, each in the thread of its caller, and every core takes one."""
        openvino = import_without_telemetry("openvino")
        self.version = f"openvino {version('openvino')}"
        cores = network_threads()
        # Compiled once for all cores, a network of integers was wrong one time in four (OpenVINO 2026.4); compiled for
        # one core it never was. A network for each is no slower.
        networks = cores if precision == "int8" else 1
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": cores // networks,
            "NUM_STREAMS": cores // networks,
        }
        if networks > 1:
            # Each would bind its thread to the first core.
            settings["ENABLE_CPU_PINNING"] = False
        self._piece_size = 1 if alone else PIECE
        self.batch_hint = 1 if alone else cores * PIECE
        # While the last pieces of one batch run, the first of the next fill the cores.
        self.parallel_calls = cores if alone else 2
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(networks):
            network = opened(graph)
            network.reshape([self._piece_size, *photo])
            compiled = openvino.Core().compile_model(network, "CPU", settings)
            for _ in range(cores // networks):
                self._free.put(compiled.create_infer_request())
        self._pool = ThreadPoolExecutor(cores, thread_name_prefix="network")

    def agrees_everywhere(self, photos: np.ndarray, answers: np.ndarray) -> bool:
        """Whether every core gives these answers to these photos."""
        turns = -(-network_threads() * self._piece_size // len(photos))
        # Pieces go to the core that was idle longest, so one piece for each core tests every core.
        now = self(np.tile(photos, (turns, *(1 for _ in photos.shape[1:]))))
        return min_cosine(np.tile(answers, (turns, 1)), now) >= TOLERANCE["fp32"]

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Features of a batch of any size."""
        if len(batch) == 1:
            return self._piece(batch)
        size = self._piece_size
        pieces = [batch[start : start + size] for start in range(0, len(batch), size)]
        return np.concatenate(list(self._pool.map(self._piece, pieces)))

    def _piece(self, piece: np.ndarray) -> np.ndarray:
        missing = self._piece_size - len(piece)
        filled = np.concatenate([piece, np.repeat(piece[-1:], missing, axis=0)]) if missing else piece
        request = self._free.get()
        try:
            rows = np.array(request.infer([np.ascontiguousarray(filled)], share_inputs=True)[0], dtype=np.float32)
        finally:
            self._free.put(request)
        return rows[: len(piece)]


def converted(module: EmbeddingModule, example: np.ndarray) -> ConvertedNetwork:
    """A network of torch's in OpenVINO's form."""
    openvino = import_without_telemetry("openvino")
    tracing = import_without_telemetry("openvino.frontend.pytorch.ts_decoder")
    kind = openvino.Type.u8 if example.dtype == np.uint8 else openvino.Type.f32
    photo = torch.from_numpy(example[:1])
    with quiet_converter(), torch.inference_mode():
        # torch would trace it twice to compare; the engine's answers are compared with torch's before it is used.
        decoder = tracing.TorchScriptPythonDecoder(module, example_input=photo, trace_kwargs={"check_trace": False})
        network = openvino.convert_model(decoder, example_input=photo, input=[([-1, *example.shape[1:]], kind)])
    return written(network)


def written(network: Any) -> ConvertedNetwork:
    """A network of OpenVINO's as bytes."""
    openvino = import_without_telemetry("openvino")
    with tempfile.TemporaryDirectory(prefix="featx-") as place:
        text = Path(place) / "network.xml"
        openvino.save_model(network, str(text), compress_to_fp16=False)
        return ConvertedNetwork(text.read_bytes(), text.with_suffix(".bin").read_bytes())


def opened(graph: ConvertedNetwork) -> Any:
    """A network of OpenVINO's from its bytes."""
    openvino = import_without_telemetry("openvino")
    numbers = openvino.Tensor(np.frombuffer(graph.numbers, dtype=np.uint8))
    return openvino.Core().read_model(model=graph.text, weights=numbers)
