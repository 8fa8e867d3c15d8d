"""What `tune` gives: what a tuning changed, and the name of the network where it was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from featx.backbones.tuned import PREFIX
from featx.backbones.tuned_card import Epoch, Reached, Step, TunedCard
from featx.catalogue.items import Skipped
from featx.errors import FeatxError


@dataclass(frozen=True)
class Tuned:
    """The outcome of a tuning: what it changed on photos that only judged, and the network where it was kept."""

    name: str
    before: Reached
    after: Reached
    gain: float
    low: float
    high: float
    p: float
    pays: bool
    file: Path | None
    card: TunedCard
    seconds: float
    skipped: Sequence[Skipped] = ()
    # Every way that was tried, the cheapest first, and the one that won.
    ladder: Sequence[Step] = ()
    best: Step | None = None

    @property
    def backbone(self) -> str:
        """The name by which every command and function takes the network."""
        if self.file is None:
            raise FeatxError(
                "no-model", "the frozen network is as good, so no tuned one was written", "`keep=True` writes it"
            )
        return f"{PREFIX}{self.name}"

    @property
    def history(self) -> list[Epoch]:
        """The epochs of the training."""
        return self.card.history

    def to_dict(self) -> dict[str, Any]:
        """The document of `featx tune --json`."""
        return {
            "name": f"{PREFIX}{self.name}",
            "file": None if self.file is None else str(self.file),
            "written": self.file is not None,
            "pays": self.pays,
            "before": _plain(self.before),
            "after": _plain(self.after),
            "gain": {"value": self.gain, "low": self.low, "high": self.high, "p": self.p},
            "tested": None if self.card.tested is None else [_plain(reached) for reached in self.card.tested],
            "beside": None if self.card.beside is None else [_plain(reached) for reached in self.card.beside],
            "tested_gain": self.card.tested_gain,
            "folds": None if self.card.folds is None else _plain(self.card.folds),
            "ladder": [_plain(step) for step in self.ladder],
            "best": None if self.best is None else self.best.name,
            "search": [_plain(trial) for trial in self.card.search],
            "scratch": None if self.card.scratch is None else _plain(self.card.scratch),
            "robustness": [_plain(row) for row in self.card.robustness],
            "also": None if self.card.also is None else [_plain(reached) for reached in self.card.also],
            "unlabelled": None if self.card.unlabelled is None else _plain(self.card.unlabelled),
            "cut": self.card.cut,
            "recipe": self.card.recipe,
            "history": [_plain(epoch) for epoch in self.history],
            "categories": len(self.card.categories),
            "tuned_on": len(self.card.tuned_on),
            "judged_on": len(self.card.judged_on),
            "skipped": [{"path": skip.path, "reason": skip.reason} for skip in self.skipped],
            "seconds": round(self.seconds, 1),
        }


def _plain(record: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(record)
    return plain
