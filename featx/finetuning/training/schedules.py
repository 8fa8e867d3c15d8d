"""Rates over time, and which parameters get which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from featx.backbones.cuts import CutNetwork
from featx.errors import FeatxError
from featx.finetuning.cut.tail import Tail
from featx.finetuning.options import TuneOptions

# The head begins at a good place and is small: it may move faster than the network.
HEAD_TIMES, HEADS = 2.0, ("head.", "second_head.")
NORMS = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.LayerNorm, torch.nn.GroupNorm)
STEPS_DOWN, FACTOR_DOWN = 3, 0.1
PLATEAU, FACTOR_PLATEAU = 2, 0.5


def parameter_groups(tail: Tail, parts: CutNetwork | None, options: TuneOptions, rate: float) -> list[dict[str, Any]]:
    """Parameters by block and kind: blocks further from the end get lower rates, and only weights decay."""
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    head_rate = options.lr_head if options.lr_head is not None else HEAD_TIMES * rate
    for name, parameter in trained(tail, options.train, parts, options.last):
        own = head_rate if name.startswith(HEADS) else rate * options.layer_decay ** _blocks_behind(name, parts)
        groups.setdefault((own, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "lr": own, "rate": own, "weight_decay": options.weight_decay if decays else 0.0}
        for (own, decays), parameters in groups.items()
    ]


def trained(
    tail: Tail, part: str, parts: CutNetwork | None = None, last: int | None = None
) -> list[tuple[str, torch.nn.Parameter]]:
    """The parameters that are trained, by name: all of the tail, or its norms or biases alone; always the head.

    `last` is how many of its blocks are, from the end.
    """
    norms = {
        f"{name}.{own}"
        for name, module in tail.named_modules()
        if isinstance(module, NORMS)
        for own, _ in module.named_parameters(recurse=False)
    }
    for name, parameter in tail.back.named_parameters(prefix="back"):
        is_of_part = part == "all" or (name in norms if part == "norms" else name.endswith("bias"))
        parameter.requires_grad_(is_of_part and (last is None or _blocks_behind(name, parts) < last))
    chosen = [(name, parameter) for name, parameter in tail.named_parameters() if parameter.requires_grad]
    if all(name.startswith(HEADS) for name, _ in chosen):
        raise FeatxError("bad-flag", f"the part that is tuned has no {part}", "train all of it: `--train all`")
    return chosen


def _blocks_behind(name: str, parts: CutNetwork | None) -> int:
    return 0 if parts is None else parts.block_of(name.removeprefix("back.").removeprefix("network."))


def factor_at(step: int, steps: int, options: TuneOptions, judged: Sequence[float]) -> float:
    """What a rate is multiplied with at a step; `judged` are the scores after the epochs so far."""
    warm = max(1, round(options.warm_up * steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    match options.schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        case "onecycle":
            # As far down as it came up, then almost to nothing.
            return max(1e-3, 1 - done) ** 2
        case "step":
            return FACTOR_DOWN ** int(STEPS_DOWN * done)
        case "plateau":
            return FACTOR_PLATEAU ** (_epochs_without_gain(judged) // PLATEAU)
        case _:
            return 1.0


def _epochs_without_gain(judged: Sequence[float]) -> int:
    """How many epochs, all in all, brought nothing better."""
    best, without = -math.inf, 0
    for score in judged:
        without += score <= best
        best = max(best, score)
    return without
