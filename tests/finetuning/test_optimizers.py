"""The optimizers move parameters as torch's own do, and go on from what they remember."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from featx.finetuning.options import OPTIMIZERS
from featx.finetuning.training.optimizers import Optimizer

PEERS: dict[str, Callable[[list[dict]], torch.optim.Optimizer]] = {
    "adamw": lambda groups: torch.optim.AdamW(groups, foreach=False),
    "adam": lambda groups: torch.optim.Adam(groups, foreach=False),
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True),
}


def parameters() -> list[torch.nn.Parameter]:
    random = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=random)) for shape in ((4, 3), (3,), (2, 2, 2), (5,))]


def groups_of(some: list[torch.nn.Parameter]) -> list[dict]:
    return [
        {"params": [some[0], some[2]], "lr": 0.02, "weight_decay": 0.1},
        {"params": [some[1], some[3]], "lr": 0.3, "weight_decay": 0.0},
    ]


def batch(step: int, some: list[torch.nn.Parameter]) -> None:
    random = torch.Generator().manual_seed(step)
    for parameter in some:
        parameter.grad = torch.randn(parameter.shape, generator=random)
    # Not every parameter takes part in every loss.
    some[3].grad = None if step % 2 else some[3].grad


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_moves_parameters_as_that_of_torch_does(name):
    own, wanted = parameters(), parameters()
    optimizer, peer = Optimizer(name, groups_of(own)), PEERS[name](groups_of(wanted))
    for step in range(6):
        for group, its in zip(optimizer.groups, peer.param_groups, strict=True):
            group["lr"] = its["lr"] = 0.05 / (step + 1)
        optimizer.forget_gradients()
        assert all(parameter.grad is None for parameter in own)
        batch(step, own)
        batch(step, wanted)
        optimizer.step()
        peer.step()
        assert all(torch.equal(a, b) for a, b in zip(own, wanted, strict=True)), step


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_on_from_what_it_remembers(name):
    own, again = parameters(), parameters()
    optimizer = Optimizer(name, groups_of(own))
    for step in range(3):
        batch(step, own)
        optimizer.step()
    kept = optimizer.remembered()
    other = Optimizer(name, groups_of(again))
    with torch.no_grad():
        for parameter, value in zip(again, own, strict=True):
            parameter.copy_(value)
    other.remember({**kept, "99.exp_avg": torch.zeros(3), "0.exp_avg_sq_of_another_shape": torch.zeros(7)})
    for step in range(3, 6):
        for some, mover in ((own, optimizer), (again, other)):
            batch(step, some)
            mover.step()
    assert all(torch.equal(a, b) for a, b in zip(own, again, strict=True))
    assert set(optimizer.remembered()) == set(other.remembered())


def test_what_is_remembered_lies_where_its_parameter_does_and_counts_stay_on_the_cpu():
    single = torch.nn.Parameter(torch.ones((), device="meta"))
    optimizer = Optimizer("adamw", [{"params": [single], "lr": 0.1, "weight_decay": 0.0}])
    optimizer.remember({f"0.{name}": torch.zeros(()) for name in ("step", "exp_avg", "exp_avg_sq")})
    places = {name: tensor.device.type for name, tensor in optimizer.remembered().items()}
    assert places == {"0.step": "cpu", "0.exp_avg": "meta", "0.exp_avg_sq": "meta"}


def test_training_does_not_import_the_compiler_of_torch():
    script = """
import sys, torch
import featx.finetuning.trainer
from featx.finetuning.training.optimizers import STEPS, Optimizer
for name in STEPS:
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    Optimizer(name, [{"params": [parameter], "lr": 0.1, "weight_decay": 0.1}]).step()
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
