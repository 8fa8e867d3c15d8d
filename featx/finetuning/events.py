"""What a run of `featx tune` reports on its way; a caller overrides what it wants to hear of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from featx.backbones.tuned_card import Epoch, Folds, Reached, Step, Trial, TunedCard
    from featx.catalogue.items import Catalogue, Skipped
    from featx.finetuning.options import TuneOptions


@dataclass(frozen=True)
class Planned:
    """The photos of a run by their part in it."""

    tuned: int
    judged: int
    judged_products: int
    categories: int
    tested: int
    backbone: str
    device: str
    # The share of judging photos that nearly are photos which are learned from.
    twins: float


@dataclass(frozen=True)
class Kept:
    """The cut, and the cache of what comes out there."""

    cut: str
    blocks: int
    bytes_each: int
    views: int
    photos: int
    bytes_all: int
    missing: int


Advance = Callable[[int], object]


class TuneEvents:
    """Listens to a run; nothing is done by default."""

    def read(self, catalogue: Catalogue) -> None:
        """The catalogue was read."""

    @contextmanager
    def progress(self, total: int, what: str) -> Iterator[Advance]:
        """So many photos are about to be computed."""
        yield lambda done: None

    def left_out(self, skipped: list[Skipped]) -> None:
        """Photos that cannot be read."""

    def planned(self, plan: Planned) -> None:
        """The photos were divided."""

    def before(self, reached: Reached) -> None:
        """The frozen network was judged."""

    def cut(self, kept: Kept) -> None:
        """The network was cut; the cache is about to be filled."""

    def searched(self, trials: list[Trial], chosen: TuneOptions) -> None:
        """Several recipes were tried, and one chosen."""

    def unlabelled(self, photos: int, usable: int) -> None:
        """So many photos without categories, and those that are no copies of labelled ones."""

    def rates(self, chosen: float, tried: list[float]) -> None:
        """A rate was chosen among those tried."""

    def going_on(self, epoch: int, epochs: int) -> None:
        """A training that was interrupted goes on."""

    def epoch(self, epoch: Epoch, epochs: int, *, best: bool) -> None:
        """An epoch is over."""

    def stopped(self, reason: str) -> None:
        """The training ended before its last epoch."""

    def blended(self, share: float, accuracy: float) -> None:
        """So much of the tuned weights, and the rest of the original ones, does best."""

    def rung(self, step: Step) -> None:
        """One way to tell the categories apart was judged."""

    def folds(self, folds: Folds) -> None:
        """Networks that each left some products out were judged on these."""

    def after(self, reached: Reached, gain: tuple[float, float, float, float]) -> None:
        """The tuned network was judged: the gain, its interval, and p."""

    def finished(self, card: TunedCard, file: Path | None) -> None:
        """The run is over; `file` is where the network was written."""

    def tracker_failed(self, name: str, reason: str) -> None:
        """What keeps the numbers of the training failed; the training goes on without it."""
