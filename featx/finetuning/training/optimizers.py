"""The optimizers: torch's steps, without its classes.

Each of these imports torch's compiler: over 100 MB of modules, and a second of CPU time, that a tuning does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

State = dict[str, torch.Tensor]
# The settings of one group, its parameters with a gradient, their gradients and what is remembered of each.
Step = Callable[[Mapping[str, Any], list[torch.Tensor], list[torch.Tensor], list[State]], None]
MOMENTUM, BETAS, TINY = 0.9, (0.9, 0.999), 1e-8
COUNT = torch.Size([])


class Optimizer:
    """Moves parameters against their gradients; groups of them have a rate (`lr`) and a `weight_decay` each."""

    def __init__(self, name: str, groups: Sequence[Mapping[str, Any]]) -> None:
        self.groups = [dict(group) for group in groups]
        self._step = STEPS[name]
        # What is remembered of each parameter, in the order of the groups.
        self._remembered: list[State] = [{} for _ in self._parameters()]

    def _parameters(self) -> Iterator[torch.nn.Parameter]:
        for group in self.groups:
            yield from group["params"]

    def forget_gradients(self) -> None:
        """Before the next batch."""
        for parameter in self._parameters():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        begin = 0
        for group in self.groups:
            states = self._remembered[begin : (begin := begin + len(group["params"]))]
            moved = [
                (parameter, parameter.grad, state)
                for parameter, state in zip(group["params"], states, strict=True)
                if parameter.grad is not None
            ]
            if moved:
                parameters, gradients, own = (list(part) for part in zip(*moved, strict=True))
                self._step(group, parameters, gradients, own)

    def remembered(self) -> State:
        """A copy of what is remembered, by the number of the parameter and a name."""
        return {
            f"{number}.{name}": tensor.detach().clone()
            for number, state in enumerate(self._remembered)
            for name, tensor in state.items()
        }

    def remember(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from such a copy; what is of none of the parameters is left out."""
        parameters = dict(enumerate(self._parameters()))
        for key, tensor in tensors.items():
            number, _, name = key.partition(".")
            parameter = parameters.get(int(number))
            # Counts of steps stay on the CPU.
            counts = name == "step"
            if parameter is not None and tensor.shape == (COUNT if counts else parameter.shape):
                place = "cpu" if counts else parameter.device
                self._remembered[int(number)][name] = tensor.to(place, copy=True)


def _adam_step(
    function: Callable[..., None],
    group: Mapping[str, Any],
    parameters: list[torch.Tensor],
    gradients: list[torch.Tensor],
    states: list[State],
) -> None:
    for parameter, state in zip(parameters, states, strict=True):
        if len(state) < 3:
            state["step"] = torch.zeros(COUNT, dtype=torch.float32)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    averages, squares, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
    function(
        parameters, gradients, averages, squares, [], steps, foreach=False, amsgrad=False, beta1=BETAS[0],
        beta2=BETAS[1], lr=group["lr"], weight_decay=group["weight_decay"], eps=TINY, maximize=False,
    )  # fmt: skip


def _sgd_step(
    group: Mapping[str, Any],
    parameters: list[torch.Tensor],
    gradients: list[torch.Tensor],
    states: list[State],
) -> None:
    momenta = [state.get("momentum_buffer") for state in states]
    sgd(
        parameters, gradients, momenta, foreach=False, weight_decay=group["weight_decay"], momentum=MOMENTUM,
        lr=group["lr"], dampening=0.0, nesterov=True, maximize=False,
    )  # fmt: skip
    for state, momentum in zip(states, momenta, strict=True):
        assert momentum is not None
        state["momentum_buffer"] = momentum


STEPS: Mapping[str, Step] = {"adamw": partial(_adam_step, adamw), "adam": partial(_adam_step, adam), "sgd": _sgd_step}
