"""Explanations of several photos as one page: each photo, its regions, its parts, the nearest photos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from featx.explanation.explainer import Explanation, NearPhoto
from featx.images.thumbnails import data_uri, jpeg
from featx.views.pages import render
from featx.views.quantities import percent, pluralise

SIDE = 360
MOST = 100
MOST_WORDS = 8
LEAD = (
    "Orange speaks for the category, blue for the other one, in log-odds: +0.69 doubles the odds. "
    "It shows what moved the score, and gives no reason why."
)


@dataclass(frozen=True)
class Share:
    """A row of the table: so much, and by what."""

    log_odds: float
    words: str


@dataclass(frozen=True)
class Card:
    """One explanation as the page shows it."""

    title: str
    path: str
    sentence: str
    border_words: str
    photo: str
    overlay: str
    overlay_words: str
    covered: str
    covered_words: str
    shares: list[Share]
    near: dict[str, list[NearPhoto]]

    @classmethod
    def of(cls, result: Explanation) -> Card:
        """The card of an explanation, which need not be kept."""
        drawn = data_uri(jpeg(result.overlay(SIDE)), "jpeg") if result.regions else ""
        covered = result.covered(SIDE)
        return cls(
            f"{result.category} ({percent(result.sure)}), then {result.runner_up} ({percent(result.runner_up_sure)})",
            result.path,
            result.sentence,
            result.border_sentence,
            data_uri(jpeg(result.shown(SIDE)), "jpeg"),
            drawn,
            result.legend,
            data_uri(jpeg(covered), "jpeg") if covered is not None else "",
            result.covering_sentence if result.covering_tried else "",
            list(_shares(result)),
            result.near,
        )


def _shares(result: Explanation) -> Iterator[Share]:
    for part in result.parts:
        yield Share(part.log_odds, f"{part.name} speaks for {result.side(part.log_odds)}")
    for word in result.strongest_words(MOST_WORDS):
        yield Share(word.log_odds, f"the word {word.word} in {word.column} speaks for {result.side(word.log_odds)}")


class ExplanationsPage:
    """Collects explanations as they are made; keeps the pictures of the first ones only."""

    def __init__(self, most: int = MOST) -> None:
        self.cards: list[Card] = []
        self.total, self._most = 0, most

    def add(self, result: Explanation) -> None:
        """Add one more photo."""
        self.total += 1
        if len(self.cards) < self._most:
            self.cards.append(Card.of(result))

    def to_html(self) -> str:
        """The page as one self-contained file."""
        left_out = self.total - len(self.cards)
        more = f" The first {len(self.cards):,} of {pluralise(self.total, 'photo')} are shown." if left_out else ""
        return render("explanations.html.j2", title="Why this category", lead=LEAD + more, cards=self.cards)
