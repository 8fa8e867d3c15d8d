"""Several processes, as `torchrun` starts them, that train one network: each learns from its part of every batch.

Every process computes the rest for itself and reaches the same outcome; the first one alone writes and speaks.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """How many there are, and which of them this one is."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def share(self, photos: int) -> range:
        """The part of a batch that this process learns from."""
        return range(photos * self.rank // self.count, photos * (self.rank + 1) // self.count)

    def summed(self, parameters: Iterable[torch.nn.Parameter], loss: float) -> float:
        """Give every parameter the slope of the whole batch; returns its loss."""
        if self.count == 1:
            return loss
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        slopes = [torch.zeros_like(each) if each.grad is None else each.grad for each in trained]
        flat = torch.cat([torch.tensor([loss]), *(slope.detach().cpu().flatten() for slope in slopes)])
        distributed.all_reduce(flat)
        at = 1
        for parameter, slope in zip(trained, slopes, strict=True):
            parameter.grad = flat[at : at + slope.numel()].view(slope.shape).to(parameter.device)
            at += slope.numel()
        return float(flat[0])

    def agreed(self, answer: T) -> T:
        """The first process's answer, where each may see another clock."""
        if self.count == 1:
            return answer
        answers = [answer]
        distributed.broadcast_object_list(answers)
        return answers[0]


ALONE = Processes()


def started() -> Processes:
    """The processes that `torchrun` started, by what it sets for each of them."""
    count = int(os.environ.get("WORLD_SIZE") or 1)
    return Processes(int(os.environ.get("RANK") or 0), count) if count > 1 else ALONE


@contextmanager
def together() -> Iterator[Processes]:
    """The processes that `torchrun` started, with a way to talk to each other."""
    processes = started()
    if processes.count == 1:
        yield processes
        return
    distributed.init_process_group("gloo")
    try:
        yield processes
    finally:
        distributed.destroy_process_group()


@contextmanager
def place_of(processes: Processes, folder: Path) -> Iterator[Path]:
    """Where a process writes: the first one for good, the others into a folder that goes with them."""
    if processes.leads:
        yield folder
        return
    own = folder / f".process-{processes.rank}"
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
