"""The part of a network that is trained, and a head for it from a linear discriminant analysis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from featx.backbones.tunable import TunableNetwork
from featx.classifiers.solvers import ShrinkageLDA
from featx.compute.memory import freed_at_once
from featx.compute.vectors import unit_rows

# The spread of the scores that the head begins with: confident, not certain.
SPREAD = 4.0
# No photo's doubt counts for more than of this chance.
LEAST_CHANCE = 1e-6
# Photos that a training of all layers is timed on.
TIMED = 4

Maps = NDArray[np.float32]


class Tail(nn.Module):
    """From the output at the cut to scores of categories; in eval mode for good, so that no statistics move.

    The network runs on its own device and in its own precision. Maps come and rows go on the CPU, where the head is, so
    that nothing else needs to know of devices.
    """

    def __init__(
        self,
        back: nn.Module,
        read: Callable[[Any], torch.Tensor],
        categories: int,
        width: int,
        precision: torch.dtype = torch.float32,
        second: int = 0,
    ) -> None:
        """`second` is how many values a second level has."""
        super().__init__()
        self.back, self._read, self._precision = back.eval(), read, precision
        self._device = next(back.parameters()).device
        self.head = nn.Linear(width, categories)
        self.second_head = nn.Linear(width, second) if second else None

    @property
    def is_on_cpu(self) -> bool:
        """Whether the network runs there."""
        return self._device.type == "cpu"

    def train(self, mode: bool = True) -> Tail:
        """Stays in eval mode: a network in training mode would move the statistics of its batch normalisations."""
        return super().train(False)

    def rows(self, maps: torch.Tensor) -> torch.Tensor:
        """Rows of features."""
        there = maps.to(self._device, non_blocking=True)
        halves = self._precision != torch.float32
        with torch.autocast(self._device.type, self._precision) if halves else nullcontext():
            rows = self._read(self.back(there))
        return rows.float().cpu()

    def directions(self, maps: torch.Tensor) -> torch.Tensor:
        """Rows of features at length 1."""
        return functional.normalize(self.rows(maps))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Scores of the categories from the directions of the rows."""
        scores: torch.Tensor = self.head(self.directions(maps))
        return scores

    def features(self, batches: Iterator[Maps]) -> NDArray[np.float32]:
        """Rows of features of many photos."""
        return rows_of(self.rows, batches)

    def begin_from(self, features: NDArray[np.float32], truth: NDArray[np.intp]) -> None:
        """Set the head to what a discriminant analysis of the features finds."""
        _set(self.head, *lda_head(features, truth))

    def begin_second_from(self, features: NDArray[np.float32], truth: NDArray[np.intp]) -> None:
        """The same for the head of a second level; -1 stands for photos without a value."""
        if self.second_head is not None:
            _set(self.second_head, *lda_head(features[truth >= 0], truth[truth >= 0]))

    def begin_from_centres(self, features: NDArray[np.float32], truth: NDArray[np.intp]) -> None:
        """Set the head to the centre of each category, for losses that count angles to it."""
        rows = torch.from_numpy(unit_rows(features))
        with torch.no_grad():
            for category, weights in enumerate(self.head.weight):
                weights.copy_(rows[torch.from_numpy(truth == category)].mean(dim=0))
            self.head.bias.zero_()

    def state(self) -> dict[str, torch.Tensor]:
        """A copy of all its numbers, by name."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.state_dict().items()}

    def blend(self, before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], share: float) -> None:
        """Set it to so much of one state and the rest of another."""
        self.load_state_dict(
            {
                name: torch.lerp(before[name], tensor, share) if tensor.is_floating_point() else tensor
                for name, tensor in after.items()
            }
        )


class Whole(nn.Module):
    """All of a network, from prepared photos on: the tail where nothing is cut off."""

    def __init__(self, network: TunableNetwork) -> None:
        super().__init__()
        self.network, self._enter = network.network, network.enter

    def forward(self, photos: torch.Tensor) -> Any:
        """The network's output."""
        return self.network(self._enter(photos))


def seconds_of_a_photo(network: TunableNetwork, prepared: NDArray[np.generic]) -> float:
    """How long a training of all layers takes for a photo: forward and back, measured."""
    whole, photos = Whole(network), torch.from_numpy(np.stack([prepared] * TIMED)).to(network.device)

    def once() -> float:
        begun = time.monotonic()
        torch.autograd.backward(network.read(whole(photos)).sum())
        return time.monotonic() - begun

    return min(once(), once()) / TIMED


@dataclass(frozen=True)
class Answers:
    """How the head does on photos whose category is known."""

    accuracy: float
    log_loss: float


def _set(head: nn.Linear, weights: NDArray[np.float32], offsets: NDArray[np.float32]) -> None:
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights))
        head.bias.copy_(torch.from_numpy(offsets))


@freed_at_once()
def lda_head(features: NDArray[np.float32], truth: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights and offsets of a linear layer over rows of length 1."""
    rows = unit_rows(features)
    lda = ShrinkageLDA().fit(rows, truth)
    weights, offsets = np.asarray(lda.coef_), np.asarray(lda.intercept_)
    if len(weights) == 1:
        weights, offsets = np.concatenate([-weights, weights]), np.concatenate([-offsets, offsets])
    scores = rows @ weights.T + offsets
    scale = SPREAD / max(float((scores - scores.mean(axis=1, keepdims=True)).std()), 1e-9)
    return (weights * scale).astype(np.float32), (offsets * scale).astype(np.float32)


def rows_of(network: Callable[[torch.Tensor], torch.Tensor], batches: Iterator[Maps]) -> NDArray[np.float32]:
    """What a network makes of many photos, a row for each."""
    # Their bytes alone: among hundreds of small tensors that stay, the memory of large ones that go is hardly reused.
    rows, width = BytesIO(), 0
    with torch.inference_mode():
        for maps in batches:
            made = network(as_tensor(maps)).numpy()
            width = made.shape[1]
            rows.write(made.tobytes())
    return np.frombuffer(rows.getbuffer(), dtype=np.float32).reshape(-1, width)


def as_tensor(maps: Maps) -> torch.Tensor:
    """Maps as a network on a CPU wants them."""
    tensor = torch.from_numpy(np.ascontiguousarray(maps))
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


@freed_at_once()
def answers_again(
    features: NDArray[np.float32],
    truth: NDArray[np.intp],
    judged: NDArray[np.float32],
    wanted: NDArray[np.intp],
    shrinkage: float,
) -> Answers:
    """A discriminant analysis fitted again, as the verdict fits it; the trained head lags points behind it.

    Photos of a category that is not learned are always wrong.
    """
    lda = ShrinkageLDA(shrinkage).fit(unit_rows(features), truth)
    chances = np.asarray(lda.predict_proba(unit_rows(judged)))
    right = lda.classes_[chances.argmax(axis=1)] == wanted
    known = np.isin(wanted, lda.classes_)
    own = chances[known, np.searchsorted(lda.classes_, wanted[known])]
    # Taken from nought, so that no doubt at all is not written as -0.0.
    doubt = 0.0 - float(np.log(np.maximum(own, LEAST_CHANCE)).mean()) if known.any() else 0.0
    return Answers(float(right.mean()), doubt)
