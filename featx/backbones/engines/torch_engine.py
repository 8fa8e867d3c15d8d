"""torch itself as an engine."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import numpy as np
import torch

from featx.backbones.engines.base import EmbeddingModule, network_threads

# More photos at a time do not speed up a CPU: what a layer of four of them writes no cache holds any more. A photo that
# is computed alone is padded to a whole batch, so a small one also serves it four times sooner.
PHOTOS_ON_CPU, MOST_ON_CPU = 4, 16


class TorchEngine:
    """torch, operation by operation, or compiled into one program."""

    parallel_calls = 1

    def __init__(self, module: EmbeddingModule, device: str, precision: str, *, compiled: bool = False) -> None:
        self.name = "compile" if compiled else "torch"
        self.version = f"torch {torch.__version__}"
        self.batch_hint = min(max(PHOTOS_ON_CPU, network_threads()), MOST_ON_CPU) if device == "cpu" else 0
        self._device = device
        self._kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
        self._takes_bytes = module.takes_bytes
        # torch uses all cores for one batch; a second one would only get in the way.
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
