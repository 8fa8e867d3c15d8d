"""The ladder of what tells categories apart, the cheapest first; the lowest rung that is as good as the best wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from featx.backbones.tuned_card import Step
from featx.finetuning.judgement.division import Photos
from featx.finetuning.judgement.judge import Judgement, paired, standard_error

FROZEN, ADAPTED, NODES, VIEWS, TAIL, JOINED, WHOLE = (
    "frozen",
    "norms adapted",
    "several layers",
    "layers and views",
    "last blocks",
    "joined",
    "all layers",
)
# How often chance alone differs by more than one standard error, either way.
ONE_ERROR = 0.317
TRAINED = (ADAPTED, TAIL, JOINED, WHOLE)


@dataclass(frozen=True)
class Rung:
    """One way, how it did on the photos that judge, and the arguments that give it to `featx extract`."""

    name: str
    judgement: Judgement
    seconds: float
    extract: str = ""

    @property
    def is_trained(self) -> bool:
        """Whether it needs a tuned network."""
        return self.name in TRAINED

    def step(self, photos: Photos) -> Step:
        """The rung as a card keeps it."""
        return Step(self.name, self.judgement.reached(photos), round(self.seconds, 1), self.extract)


def lowest_as_good(photos: Photos, rungs: Sequence[Rung]) -> Rung:
    """The first rung that the best one beats by no more than one standard error of their difference, or by chance."""
    best = max(rungs, key=lambda rung: int(rung.judgement.judged.sum()))
    return next(rung for rung in rungs if _as_good(photos, rung, best))


def _as_good(photos: Photos, rung: Rung, best: Rung) -> bool:
    if rung is best:
        return True
    test = paired(photos, rung.judgement, best.judgement)
    # Where few photos differ, a standard error is too small: one photo that is won lies beyond its own.
    return test.p > ONE_ERROR or test.difference <= standard_error(photos, rung.judgement, best.judgement)
