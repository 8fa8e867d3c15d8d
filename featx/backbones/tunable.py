"""A network as fine-tuning takes it: in parts, with gradients, and in eval mode so that no statistics move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


@dataclass(frozen=True)
class TunableNetwork:
    """From prepared photos to rows of features in three steps; `network` alone is cut in two and trained.

    `width` is how many of the first columns it makes: those that describe colour stay as they are. `constants` are
    tensors of its weights file that no training moves.
    """

    enter: Callable[[torch.Tensor], torch.Tensor]
    network: nn.Module
    read: Callable[[Any], torch.Tensor]
    width: int
    constants: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.network.parameters()).device

    def weights(self) -> dict[str, torch.Tensor]:
        """Every tensor that a weights file of this network holds."""
        own = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        return {**own, **self.constants}

    def completed(self, rows: NDArray[np.float32], whole: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows of this network with the columns of whole rows that it does not make."""
        return rows if whole.shape[1] == self.width else np.concatenate([rows, whole[:, self.width :]], axis=1)
