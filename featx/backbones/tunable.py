"""A network as fine-tuning takes it: in parts, with gradients, and in eval mode so that no statistics move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class TunableNetwork:
    """From prepared photos to rows of features in three steps; `network` alone is cut in two and trained."""

    enter: Callable[[torch.Tensor], torch.Tensor]
    network: nn.Module
    read: Callable[[Any], torch.Tensor]

    def weights(self) -> dict[str, torch.Tensor]:
        """Every tensor that a weights file of this network holds."""
        return {name: tensor.detach().contiguous() for name, tensor in self.network.state_dict().items()}
