"""OpenVINO on the CPU: each core runs a few photos on its own, so that none waits for another between layers."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

from featx.backbones.engines import PhotosToRows, network_threads, quiet_converter

# Photos that one core computes together. A photo's numbers depend on this shape, never on the size of the batch.
PIECE = 4


@dataclass(frozen=True)
class Graph:
    """A converted network as OpenVINO writes it: its text and its numbers."""

    text: bytes
    numbers: bytes


class OpenVinoEngine:
    """A converted network, compiled for pieces of a batch, one piece at a time on each core."""

    name = "openvino"
    # While the last pieces of one batch run, the first of the next fill the cores.
    calls_at_once = 2

    def __init__(self, graph: Graph, photo: tuple[int, ...], precision: str) -> None:
        openvino = import_module("openvino")
        self.version = f"openvino {version('openvino')}"
        core = openvino.Core()
        network = opened(graph)
        network.reshape([PIECE, *photo])
        streams = network_threads()
        compiled = core.compile_model(
            network,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}[precision],
                "INFERENCE_NUM_THREADS": streams,
                "NUM_STREAMS": streams,
            },
        )
        self.photos_at_once = streams * PIECE
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            self._free.put(compiled.create_infer_request())
        self._pool = ThreadPoolExecutor(streams, thread_name_prefix="network")

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Features of a batch of any size."""
        pieces = [batch[at : at + PIECE] for at in range(0, len(batch), PIECE)]
        return np.concatenate(list(self._pool.map(self._piece, pieces)))

    def _piece(self, piece: np.ndarray) -> np.ndarray:
        missing = PIECE - len(piece)
        filled = np.concatenate([piece, np.repeat(piece[-1:], missing, axis=0)]) if missing else piece
        request = self._free.get()
        try:
            rows = np.array(request.infer([np.ascontiguousarray(filled)], share_inputs=True)[0], dtype=np.float32)
        finally:
            self._free.put(request)
        return rows[: len(piece)]


def converted(module: PhotosToRows, example: np.ndarray) -> Graph:
    """A network of torch's in OpenVINO's form."""
    openvino = import_module("openvino")
    kind = openvino.Type.u8 if example.dtype == np.uint8 else openvino.Type.f32
    with quiet_converter(), torch.inference_mode():
        network = openvino.convert_model(
            module, example_input=torch.from_numpy(example[:1]), input=[([-1, *example.shape[1:]], kind)]
        )
    return written(network)


def written(network: Any) -> Graph:
    """A network of OpenVINO's as bytes."""
    openvino = import_module("openvino")
    with tempfile.TemporaryDirectory(prefix="featx-") as place:
        text = Path(place) / "network.xml"
        openvino.save_model(network, str(text), compress_to_fp16=False)
        return Graph(text.read_bytes(), text.with_suffix(".bin").read_bytes())


def opened(graph: Graph) -> Any:
    """A network of OpenVINO's from its bytes."""
    openvino = import_module("openvino")
    numbers = openvino.Tensor(np.frombuffer(graph.numbers, dtype=np.uint8))
    return openvino.Core().read_model(model=graph.text, weights=numbers)
