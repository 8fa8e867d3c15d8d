"""Inspected photos as one page, the most unlike first, each beside its heat map."""

from __future__ import annotations

from dataclasses import dataclass

from featx.images.thumbnails import data_uri, jpeg
from featx.inspection.inspector import Inspection
from featx.views.pages import render
from featx.views.quantities import percent, pluralise

SIDE = 240
MOST = 200


@dataclass(frozen=True)
class _Card:
    path: str
    unlike: bool
    unlikeness: float
    sentence: str
    photo: str
    overlay: str

    @classmethod
    def of(cls, result: Inspection) -> _Card:
        shown, drawn = (data_uri(jpeg(image), "jpeg") for image in (result.shown(SIDE), result.overlay(SIDE)))
        return cls(result.path, result.is_unlike, result.unlikeness, result.sentence, shown, drawn)


class InspectionsPage:
    """Collects inspected photos as they come; keeps the pictures of the most unlike ones only."""

    def __init__(self, n_good: int, false_alarms: float, most: int = MOST) -> None:
        self.n_good, self.false_alarms, self._most = n_good, false_alarms, most
        self.total, self._cards = 0, list[_Card]()

    def add(self, result: Inspection) -> None:
        """Add one more photo."""
        self.total += 1
        if len(self._cards) < self._most or result.unlikeness > self._cards[-1].unlikeness:
            self._cards.append(_Card.of(result))
            self._cards.sort(key=lambda card: -card.unlikeness)
            del self._cards[self._most :]

    def to_html(self) -> str:
        """The page as one self-contained file."""
        unlike = [card for card in self._cards if card.unlike]
        usual = [card for card in self._cards if not card.unlike]
        lead = (
            f"{pluralise(self.total, 'photo')} compared with {self.n_good:,} good ones; orange marks what is unlike. "
            f"Of good photos, {percent(self.false_alarms)} are expected above the limit."
        )
        if self.total > len(self._cards):
            lead += f" The {len(self._cards):,} most unlike are shown."
        groups = [(f"Unlike the good photos: {len(unlike):,}", unlike), (f"As good photos are: {len(usual):,}", usual)]
        return render("inspections.html.j2", title="Does it look as it should?", lead=lead, groups=groups)
