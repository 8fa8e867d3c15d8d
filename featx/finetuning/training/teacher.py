"""`--teacher`: what another network makes of the same views, which a training follows beside the labels.

The teacher answers by a discriminant analysis of its features. It sees every view once; its answers are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from featx.backbones import Encoder
from featx.compute.vectors import unit_rows
from featx.finetuning.cut.activations import Activations, Making, budget_of, views_within
from featx.finetuning.cut.fill import Missing, Views, fill
from featx.finetuning.cut.tail import lda_head
from featx.finetuning.events import TuneEvents
from featx.finetuning.options import TuneOptions

Key = tuple[str, int]


@dataclass(frozen=True)
class Teacher:
    """A teacher's scores of the categories for every view, and who it is."""

    name: str
    scores: NDArray[np.float32]
    at: Mapping[Key, int]

    def of(self, keys: Sequence[Key]) -> torch.Tensor:
        """Its scores for these views."""
        return torch.from_numpy(self.scores[[self.at[key] for key in keys]])


@dataclass(frozen=True)
class Pupils:
    """The photos that a teacher sees: paths by digest, how many views of each, and the labelled ones it learns from."""

    paths: Mapping[str, str]
    wanted: Mapping[str, int]
    labelled: Sequence[str]
    truth: NDArray[np.intp]


def taught(teacher: Encoder, pupils: Pupils, views: Views, options: TuneOptions, events: TuneEvents) -> Teacher:
    """Let a teacher answer for every view; its features are kept, as activations are."""
    facts = {"teacher": teacher.fingerprint.to_dict(), "augment": options.augment, "seed": options.seed}
    making, budget = Making(facts, (teacher.spec.width,)), budget_of(options.cache)
    views_within(budget, len(pupils.paths), making.record.itemsize, 0)
    with Activations.open(making, budget) as activations:
        missing = Missing.of(activations, pupils.wanted, pupils.paths)
        with events.progress(len(missing.numbers), "the teacher's answers") as advance:
            fill(activations, teacher, missing, views, advance)
        keys = [(digest, number) for digest, most in pupils.wanted.items() for number in range(most + 1)]
        rows = activations.take(keys)
        learned = activations.take([(digest, 0) for digest in pupils.labelled])
    weights, offsets = lda_head(learned, pupils.truth)
    scores = unit_rows(rows) @ weights.T + offsets
    return Teacher(teacher.spec.name, scores.astype(np.float32), {key: i for i, key in enumerate(keys)})
