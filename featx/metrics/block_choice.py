"""Which blocks of joined features to use, by how often the answers made from them are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.metrics.significance import clearly_best

Blocks = tuple[str, ...]
# Fewer answers than this choose nothing.
FEWEST = 200
# Of more blocks than this, not every choice is tried.
MANY = 4


@dataclass(frozen=True)
class BlockChoice:
    """The blocks to use, the measure and the answers counted, and the accuracy of each choice, such as `a+b`."""

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
    """Every choice of blocks: all of them, then fewer and fewer; of many, all, all but one, and each alone."""
    if len(names) > MANY:
        everything = tuple(names)
        all_but_one = [everything[:i] + everything[i + 1 :] for i in range(len(names))]
        return [everything, *all_but_one, *((name,) for name in names)]
    return [chosen for size in range(len(names), 0, -1) for chosen in combinations(names, size)]


def choose_blocks(
    correct: Mapping[Blocks, NDArray[np.bool_]], groups: NDArray[np.intp], measure: str
) -> BlockChoice | None:
    """The choice that is right most often, if it is clearly better than all blocks; else all blocks.

    `correct` marks the right answers of each choice, all blocks first; answers of one group are not independent.
    """
    if len(groups) < FEWEST:
        return None
    choices = list(correct)
    best, _ = clearly_best(list(correct.values()), groups)
    shares = {"+".join(blocks): round(float(answers.mean()), 4) for blocks, answers in correct.items()}
    return BlockChoice(choices[best], measure, len(groups), shares)
