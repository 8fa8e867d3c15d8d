"""Which blocks of joined features serve an end best, by how often answers made of them were right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Blocks = tuple[str, ...]
# Fewer answers than this choose nothing.
FEWEST = 200
# All blocks stay unless another choice is better by so many standard errors of the difference.
ERRORS = 2.0


@dataclass(frozen=True)
class BlockChoice:
    """The blocks that are used, what that rests on, and the share right of every choice, such as `a+b`."""

    blocks: Blocks
    measure: str
    n: int
    shares: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The choice as JSON."""
        return {**asdict(self), "blocks": list(self.blocks), "shares": dict(self.shares)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> BlockChoice:
        """The choice from its JSON."""
        return cls(tuple(record["blocks"]), str(record["measure"]), int(record["n"]), dict(record["shares"]))


def choices_of(names: Sequence[str]) -> list[Blocks]:
    """Every choice of blocks: all of them, then fewer and fewer."""
    return [chosen for size in range(len(names), 0, -1) for chosen in combinations(names, size)]


def choose_blocks(right: Mapping[Blocks, NDArray[np.bool_]], measure: str) -> BlockChoice | None:
    """The choice that is right most often; all blocks unless another one is clearly better.

    `right` says of each answer whether it was right, in an order without meaning. What is better on one half of them
    must not be worse on the other.
    """
    everything = max(right, key=len)
    n = len(right[everything])
    if n < FEWEST:
        return None
    best, gain = everything, 0.0
    for blocks, answers in right.items():
        difference = answers.astype(float) - right[everything]
        seen, kept_back = difference[::2], difference[1::2]
        error = seen.std() / np.sqrt(len(seen))
        if seen.mean() > max(gain, ERRORS * error) and kept_back.mean() >= 0:
            best, gain = blocks, float(seen.mean())
    shares = {"+".join(blocks): round(float(answers.mean()), 4) for blocks, answers in right.items()}
    return BlockChoice(best, measure, n, shares)
