"""`--search N`: several recipes are tried for an epoch, the best third for three, and the best of these is trained.

All of them read the same kept activations, so that a trial costs no more than its epochs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from featx.backbones.tuned_card import Epoch, Trial
from featx.errors import FeatxError
from featx.files.atomic import cannot_write, write_atomic
from featx.files.regular import read_regular
from featx.finetuning.options import TuneOptions

# The file of what an interrupted search has tried.
NOTES = "search.json"

# Each round keeps one of three trials and gives it three times the epochs.
KEPT, LONGER = 3, 3
# How far rates go from the usual one, as powers of three, and the weight decays and smoothings that are drawn from.
POWERS = 1.5
DECAYS, SMOOTHINGS, LAYER_DECAYS = (0.0, 0.003, 0.01, 0.03, 0.1), (0.0, 0.05, 0.1, 0.2), (0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Found:
    """The recipe that did best, and every trial."""

    options: TuneOptions
    trials: list[Trial]


class Notes(msgspec.Struct, frozen=True):
    """What a search that is interrupted has tried, by its key."""

    key: str
    trials: list[tuple[int, int, Epoch | None]]


def searched(
    options: TuneOptions, blocks: int, train: Callable[[TuneOptions], Epoch | None], folder: Path, key: str
) -> Found:
    """The best of so many recipes; `train` runs the epochs of one and says how it did, None where it diverged.

    Trials that an interrupted run of the same key noted in the folder are not repeated.
    """
    recipes, epochs, trials = dict(enumerate(drawn(options, blocks))), 1, list[Trial]()
    noted = _noted(folder / NOTES, key)
    while True:
        done = {}
        for number, recipe in recipes.items():
            if (number, epochs) not in noted:
                noted[number, epochs] = train(replace(recipe, epochs=epochs))
                _note(folder, key, noted)
            done[number] = noted[number, epochs]
            trials.append(_trial(recipe, epochs, done[number]))
        # Of equal ones the first drawn: the usual recipe is the first of all.
        ranked = sorted((number for number in done if done[number] is not None), key=lambda n: _worth(done[n]))
        if not ranked:
            raise FeatxError(
                "bad-flag", f"all {options.search} recipes diverged", "name a lower rate to search around: `--lr 1e-4`"
            )
        recipes = {number: recipes[number] for number in ranked[: max(1, len(recipes) // KEPT)]}
        if len(recipes) == 1:
            return Found(replace(recipes[ranked[0]], epochs=options.epochs), trials)
        epochs *= LONGER


def drawn(options: TuneOptions, blocks: int) -> list[TuneOptions]:
    """The recipe as it is, then others; the same for the same seed. `blocks` is the most that may be trained."""
    random = np.random.Generator(np.random.Philox(key=[options.seed, options.search]))
    base = replace(options, lr=options.rate, search=0)
    others = [
        replace(
            base,
            lr=float(f"{options.rate * 3 ** random.uniform(-POWERS, POWERS):.2g}"),
            weight_decay=float(random.choice(DECAYS)),
            smoothing=float(random.choice(SMOOTHINGS)),
            layer_decay=float(random.choice(LAYER_DECAYS)),
            last=int(random.integers(1, blocks + 1)) if blocks > 1 else None,
        )
        for _ in range(options.search - 1)
    ]
    return [base, *others]


def _worth(epoch: Epoch | None) -> tuple[float, float]:
    """The best comes first: most photos right, then least doubt."""
    return (-epoch.judged, epoch.log_loss) if epoch is not None else (0.0, 0.0)


def _trial(recipe: TuneOptions, epochs: int, epoch: Epoch | None) -> Trial:
    judged = None if epoch is None else epoch.judged
    return Trial(recipe.rate, recipe.weight_decay, recipe.smoothing, recipe.layer_decay, recipe.last, epochs, judged)


def _noted(file: Path, key: str) -> dict[tuple[int, int], Epoch | None]:
    try:
        notes = msgspec.json.decode(read_regular(file), type=Notes)
    except (OSError, msgspec.MsgspecError):
        return {}
    return {(number, epochs): epoch for number, epochs, epoch in notes.trials} if notes.key == key else {}


def _note(folder: Path, key: str, noted: dict[tuple[int, int], Epoch | None]) -> None:
    trials = [(number, epochs, epoch) for (number, epochs), epoch in noted.items()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / NOTES, msgspec.json.encode(Notes(key, trials)))
    except OSError as error:
        raise cannot_write(folder / NOTES, error, "free some space; the search goes on where it was") from error
