"""What tuning changed, from the card of the network behind a store: passes, categories, mix-ups, photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from featx.backbones.tuned import PREFIX, find_card, is_tuned
from featx.backbones.tuned_card import Answer, Reached, TunedCard
from featx.comparison.document import Score
from featx.errors import FeatxError
from featx.reporting.records import Photo, TunedCategory, TunedEpoch, TunedMixUp, TunedNetwork, TunedPhoto
from featx.reporting.thumbnails import ThumbnailCache

if TYPE_CHECKING:
    from featx.store import Store

MOST_ROWS, MOST_PHOTOS = 12, 12
ANOTHER = "another category"


def tuned_network(store: Store, thumbnails: ThumbnailCache) -> TunedNetwork | None:
    """What the first tuned network behind a store changed; None where there is none, or its card is not here."""
    card = _card_of(store)
    if card is None:
        return None
    known = [answer for answer in card.answers if answer.truth >= 0]
    id_of = dict(zip(store.digests, store.ids, strict=True))

    def photos(changed: Sequence[Answer]) -> list[TunedPhoto]:
        return [
            TunedPhoto(
                Photo(id_of[one.digest], card.categories[one.truth], thumbnails.name(id_of[one.digest])),
                _named(card, one.before),
                _named(card, one.after),
            )
            for one in changed
            if one.digest in id_of
        ][:MOST_PHOTOS]

    gained = [one for one in known if one.before != one.truth == one.after]
    lost = [one for one in known if one.before == one.truth != one.after]
    gain, low, high, p = card.gain
    return TunedNetwork(
        name=f"{PREFIX}{card.name}",
        parent=card.parent.backbone,
        cut=card.cut,
        tuned_on=len(card.tuned_on),
        judged_on=len(card.judged_on),
        before=_score(card.before),
        after=_score(card.after),
        before_by=card.before.classifier,
        after_by=card.after.classifier,
        gain=Score(gain, low, high),
        p=p,
        best_epoch=_best_epoch(card),
        epochs=[TunedEpoch(epoch.number, epoch.loss, epoch.judged) for epoch in card.history],
        categories=_categories(card, known),
        pairs=_pairs(card, known),
        n_gained=len(gained),
        n_lost=len(lost),
        gained=photos(gained),
        lost=photos(lost),
    )


def _card_of(store: Store) -> TunedCard | None:
    fingerprint = store.fingerprint
    for part in fingerprint.parts or (fingerprint,):
        if is_tuned(part.backbone):
            try:
                card = find_card(part.backbone)
            except FeatxError:  # every score says already that the card is not here
                return None
            return card if card.sha256 == part.weights_sha256 else None
    return None


def _score(reached: Reached) -> Score:
    return Score(reached.accuracy, reached.low, reached.high)


def _named(card: TunedCard, number: int) -> str:
    return card.categories[number] if number >= 0 else ANOTHER


def _best_epoch(card: TunedCard) -> int:
    """The one with most photos right, of equals the one with the least doubt, as the training chose it."""
    return max(card.history, key=lambda epoch: (epoch.judged, -epoch.log_loss)).number if card.history else 0


def _categories(card: TunedCard, answers: Sequence[Answer]) -> list[TunedCategory]:
    """The categories that changed most."""
    n = Counter(one.truth for one in answers)
    before = Counter(one.truth for one in answers if one.before == one.truth)
    after = Counter(one.truth for one in answers if one.after == one.truth)
    rows = [TunedCategory(card.categories[k], n[k], before[k], after[k]) for k in n if before[k] != after[k]]
    return sorted(rows, key=lambda row: (-abs(row.after - row.before), row.label))[:MOST_ROWS]


def _pairs(card: TunedCard, answers: Sequence[Answer]) -> list[TunedMixUp]:
    """The mix-ups that changed most."""
    before = Counter((one.truth, one.before) for one in answers if one.before != one.truth)
    after = Counter((one.truth, one.after) for one in answers if one.after != one.truth)
    rows = [
        TunedMixUp(_named(card, truth), _named(card, says), before[truth, says], after[truth, says])
        for truth, says in before.keys() | after.keys()
        if before[truth, says] != after[truth, says]
    ]
    return sorted(rows, key=lambda row: (-abs(row.after - row.before), row.truth, row.says))[:MOST_ROWS]
