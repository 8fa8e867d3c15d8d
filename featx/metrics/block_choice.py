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
# Between the blocks of a choice in its name.
BESIDE = "+"
# In a cosine one block may count this many times as much as each of the others.
STEPS = (2.0, 4.0)


@dataclass(frozen=True)
class Blend:
    """Blocks side by side, and how much each counts in a cosine; without weights all count alike."""

    blocks: Blocks
    weights: tuple[float, ...] = ()

    def __str__(self) -> str:
        weights = self.weights or (1.0,) * len(self.blocks)
        named = zip(self.blocks, weights, strict=True)
        return BESIDE.join(name if weight == 1 else f"{weight:g}×{name}" for name, weight in named)

    def mean(self, cosines: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """The cosines of the blend, from those of its blocks."""
        weights = np.asarray(self.weights or [1.0] * len(self.blocks), dtype=np.float32)
        mean = np.zeros_like(cosines[self.blocks[0]])
        for name, weight in zip(self.blocks, weights / weights.sum(), strict=True):
            mean += weight * cosines[name]
        return mean


@dataclass(frozen=True)
class BlockChoice:
    """The blocks to use, the measure and the answers counted, and the accuracy of each choice, such as `a+b`."""

    blocks: Blocks
    measure: str
    n: int
    shares: Mapping[str, float] = field(default_factory=dict)
    # How much each block counts in a cosine; none where all count alike.
    weights: tuple[float, ...] = ()

    @property
    def blend(self) -> Blend:
        """The blocks with their weights."""
        return Blend(self.blocks, self.weights)

    def to_dict(self) -> dict[str, Any]:
        """The choice as JSON."""
        lists = {"blocks": list(self.blocks), "weights": list(self.weights)}
        return {**asdict(self), **lists, "shares": dict(self.shares)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> BlockChoice:
        """The choice from its JSON."""
        blocks, weights = tuple(record["blocks"]), tuple(map(float, record.get("weights", ())))
        return cls(blocks, str(record["measure"]), int(record["n"]), dict(record["shares"]), weights)


def blends_of(names: Sequence[str], steps: Sequence[float] = ()) -> list[Blend]:
    """Every choice of blocks, and all of them with one that counts more: by each of the steps."""
    heavier = [
        Blend(tuple(names), tuple(step if i == heavy else 1.0 for i in range(len(names))))
        for heavy in range(len(names))
        for step in steps
    ]
    return [*map(Blend, choices_of(names)), *heavier]


def choices_of(names: Sequence[str]) -> list[Blocks]:
    """Every choice of blocks: all of them, then fewer and fewer; of many, all, all but one, and each alone."""
    if len(names) > MANY:
        everything = tuple(names)
        all_but_one = [everything[:i] + everything[i + 1 :] for i in range(len(names))]
        return [everything, *all_but_one, *((name,) for name in names)]
    return [chosen for size in range(len(names), 0, -1) for chosen in combinations(names, size)]


def choose_blocks(
    correct: Mapping[Blend, NDArray[np.bool_]], groups: NDArray[np.intp], measure: str
) -> BlockChoice | None:
    """The choice that is right most often, if it is clearly better than all blocks; else all blocks.

    `correct` marks the right answers of each choice, all blocks first; answers of one group are not independent.
    """
    if len(groups) < FEWEST:
        return None
    choices = list(correct)
    best, _ = clearly_best(list(correct.values()), groups)
    shares = {str(blend): round(float(answers.mean()), 4) for blend, answers in correct.items()}
    return BlockChoice(choices[best].blocks, measure, len(groups), shares, choices[best].weights)
