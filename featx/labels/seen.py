"""Which photos a tuned network has seen: it answers them too well, so no score, threshold or doubt may rest on them.

Everything that scores asks here. The photos that only judged a tuning may be scored: they chose the epoch and the
blend, no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.backbones.fingerprint import Fingerprint
from featx.backbones.tuned import is_tuned
from featx.errors import FeatxError
from featx.store import Store
from featx.views.quantities import percent, percent_range, pluralise

if TYPE_CHECKING:
    from featx.backbones.tuned_card import Folds


# The log probability of a category that a network does not know.
UNLIKELY = -14.0


@dataclass(frozen=True)
class Seen:
    """What the tuned networks behind some features have seen, by the SHA-256 of photos.

    `without_card` are networks of which nobody can say: then every photo counts as seen.
    """

    networks: tuple[str, ...] = ()
    learned: frozenset[str] = frozenset()
    without_card: tuple[str, ...] = ()
    # What their trainings reached, in words, where they were repeated without a part of the products each.
    folds: str = ""

    def rows(self, digests: Sequence[str]) -> NDArray[np.bool_]:
        """Which of these photos may not be scored."""
        if self.without_card:
            return np.ones(len(digests), dtype=bool)
        return np.array([digest in self.learned for digest in digests], dtype=bool)

    def note(self, seen: int, n: int, scored: int = 0) -> str:
        """One sentence on what was left out of the scores; empty where nothing was.

        So many of the seen photos are `scored` all the same, by trainings that left them out.
        """
        if not seen:
            return ""
        names, photos = ", ".join(self.networks), pluralise(n, "photo")
        if self.without_card:
            missing = ", ".join(self.without_card)
            return f"no fair score: the card of {missing}, which lists what it learned from, is not here"
        if scored:
            of_them = "these" if scored == seen else f"{scored:,} of these"
            return f"{names} learned from {seen:,} of {photos}: {of_them} are scored by trainings that left them out"
        if seen >= n:
            return f"no fair score: {names} learned from all {photos}{self.folds}"
        return f"{names} learned from {seen:,} of {photos}: these are in no score{self.folds}"


NOTHING = Seen()


def seen_by(fingerprint: Fingerprint) -> Seen:
    """What the networks of a fingerprint have seen; nothing unless one of them was tuned."""
    parts = [part for part in fingerprint.parts or (fingerprint,) if is_tuned(part.backbone)]
    if not parts:
        return NOTHING
    from featx.backbones.tuned import find_card

    learned: set[str] = set()
    missing, folds = [], []
    for part in parts:
        try:
            card = find_card(part.backbone)
        except FeatxError:
            card = None
        if card is None or card.sha256 != part.weights_sha256:
            missing.append(part.backbone)
            continue
        learned |= set(card.tuned_on)
        folds += [f"; {_of_folds(card.folds)}"] if card.folds is not None else []
    names = tuple(dict.fromkeys(part.backbone for part in parts))
    return Seen(names, frozenset(learned), tuple(dict.fromkeys(missing)), "".join(dict.fromkeys(folds)))


def _of_folds(folds: Folds) -> str:
    reached = folds.reached
    return (
        f"in {folds.folds} trainings without them {percent(reached.accuracy)} "
        f"({percent_range(reached.low, reached.high)}) were right"
    )


def seen_rows(store: Store) -> NDArray[np.bool_]:
    """Which rows of a store may not be scored."""
    return seen_by(store.fingerprint).rows(store.digests)


def fair_log_chances(store: Store, rows: NDArray[np.intp], categories: Sequence[str]) -> NDArray[np.float32] | None:
    """For each row the log probabilities of the categories by networks that never saw the photo; NaN where none did.

    None unless the rows come from one tuned network whose training was repeated in folds.
    """
    if not is_tuned(store.fingerprint.backbone) or store.fingerprint.parts:
        return None
    seen = seen_by(store.fingerprint)
    if seen.without_card or not seen.rows([store.digests[i] for i in rows]).any():
        return None
    from featx.backbones.tuned import fair_answers

    answers = fair_answers(store.fingerprint.backbone)
    if answers is None:
        return None
    number = {name: i for i, name in enumerate(answers.categories)}
    log_chances = np.full((len(rows), len(categories)), np.nan, dtype=np.float32)
    at = [answers.rows.get(store.digests[i], -1) for i in rows]
    known = np.array([place >= 0 for place in at])
    for column, name in enumerate(categories):
        log_chances[known, column] = (
            answers.log_chances[[place for place in at if place >= 0], number[name]] if name in number else UNLIKELY
        )
    return log_chances
