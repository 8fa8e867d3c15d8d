"""`--from-scratch`: the same steps from random numbers, an honest row beside the tuned network, never written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from featx.finetuning.cut.tail import Maps, Tail
from featx.finetuning.options import TuneOptions

# The spread of numbers that no layer knows how to begin.
SPREAD = 0.02


class FreshTail(Tail):
    """A network that begins from nothing: its batch normalisation must learn its statistics too."""

    def directions(self, maps: torch.Tensor) -> torch.Tensor:
        """Rows of features at length 1, as they are in training."""
        # One photo has no spread.
        self.back.train(len(maps) > 1)
        return super().directions(maps)

    def features(self, batches: Iterator[Maps]) -> NDArray[np.float32]:
        """Rows of features of many photos, as they are after it."""
        self.back.eval()
        return super().features(batches)


def forget(network: nn.Module, seed: int) -> None:
    """Set every number of a network to where an untrained one begins; the same for the same seed."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in network.modules():
            begin = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if begin is not None:
                begin()
                continue
            for parameter in module.parameters(recurse=False):
                parameter.normal_(std=SPREAD)


def as_many_steps(options: TuneOptions, epochs: int) -> TuneOptions:
    """The recipe for so many epochs from nothing: all layers alike, and no original weights to blend with."""
    return replace(
        options,
        epochs=max(1, epochs),
        patience=max(1, epochs),
        lr=None,
        layer_decay=1.0,
        train="all",
        last=None,
        average="none",
    )
