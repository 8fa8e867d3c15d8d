"""The backbone to use when none is named: the best on real product photos of those that are ready on this machine.

What each reached is in `qualities.json`, which `benchmarks/backbones_quality.py --json` writes. Nothing here imports
torch or asks the network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

from featx.backbones import weights
from featx.backbones.fingerprint import PLUS
from featx.backbones.names import BUILTIN
from featx.backbones.nodes import split_name, without_nodes
from featx.backbones.registry import family_of
from featx.views.quantities import percent

EXTRA = 'pip install "featx[imagenet]"'
# The built-in weights are part of featx itself: without them the installation is damaged.
AGAIN = 'pip install --force-reinstall "featx[imagenet]"'


@dataclass(frozen=True)
class Quality:
    """What a backbone reached on photos of groceries and clothes that its classifier had not seen; shares."""

    backbone: str
    val_fine: float
    clothing_folds: float
    recall_at_1: float

    @property
    def mean(self) -> float:
        """The figure that ranks backbones: categories and look-alikes count alike."""
        return (self.val_fine + self.clothing_folds) / 4 + self.recall_at_1 / 2


_FIELDS = tuple(field.name for field in fields(Quality))


def measured_qualities() -> list[Quality]:
    """The backbones that may be the default, best first."""
    records = json.loads(Path(__file__).with_name("qualities.json").read_text(encoding="utf-8"))
    return sorted(
        (Quality(**{name: record[name] for name in _FIELDS}) for record in records), key=lambda quality: -quality.mean
    )


def choose_backbone() -> tuple[str, str]:
    """A backbone's name, and one line on why it was chosen and what would be better."""
    ranked = measured_qualities()
    ready = next((quality for quality in ranked if is_ready(quality.backbone)), None)
    best = ranked[0]
    better = f"; for {_in_words(best.backbone)} ({_scores(best, short=True)}): {_remedy(best.backbone)}"
    if ready is None:
        name = weights.fallback_backbone()
        what = "a baseline rather than a choice" if family_of(name).is_baseline else "ships with featx"
        return name, f"{name}: {what}{better}"
    name = _in_words(ready.backbone)
    if ready is best:
        return ready.backbone, f"{name}: the best measured on real product photos ({_scores(best)})"
    return ready.backbone, f"{name}: the best measured that is ready here ({_scores(ready)}){better}"


def is_ready(name: str) -> bool:
    """Whether the measured weights of a backbone, or of every part of a joined one, are on this machine."""
    return all(family_of(part).has_weights(part) for part in without_nodes(name).split(PLUS))


def _in_words(name: str) -> str:
    """A backbone's name for a line to read: how many layers of its networks are read, and not which."""
    layers = [split_name(part)[1] for part in name.split(PLUS)]
    most = max(nodes.count(",") + 1 if nodes else 1 for nodes in layers)
    return without_nodes(name) + (f" at {most} layers" if most > 1 else "")


def _remedy(backbone: str) -> str:
    """The command that brings what a backbone lacks here."""
    return AGAIN if BUILTIN in backbone.split(PLUS) and not is_ready(BUILTIN) else EXTRA


def _scores(quality: Quality, *, short: bool = False) -> str:
    """What it reached, as the first line of an extraction says it."""
    clothes, alike = percent(quality.clothing_folds, 0), percent(quality.recall_at_1, 0)
    if short:
        return f"{clothes}, {alike}"
    return f"{clothes} of clothes right, {alike} of first look-alikes"
