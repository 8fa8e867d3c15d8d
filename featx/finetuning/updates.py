"""`--update`: a tuned network learns from new photos too, and the photos that judged it before judge it again."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from featx.backbones.fingerprint import Fingerprint
from featx.backbones.tuned import PREFIX, find_card
from featx.backbones.tuned_card import Parent
from featx.catalogue.items import Item
from featx.errors import FeatxError
from featx.finetuning.options import TuneOptions


def begun_from(backbone: str | None, name: str, options: TuneOptions) -> str | None:
    """The network that a run begins from: with `--update` the one that it is to replace."""
    own = f"{PREFIX}{name}"
    if not options.update:
        return backbone
    if backbone not in (None, own):
        raise FeatxError(
            "bad-flag",
            f"`--update` goes on from `{own}`, not from `{backbone}`",
            f"leave `--backbone` out, or call the outcome otherwise: `--backbone {backbone} --name OTHER`",
        )
    return own


def origin_of(parent: Fingerprint, name: str, licence: str) -> Parent:
    """What a card says of the network before; of one that is replaced nothing stays, so what that one came from."""
    if parent.backbone == f"{PREFIX}{name}":
        return find_card(parent.backbone).parent
    facts = parent.backbone, parent.weights, parent.weights_sha256, parent.preprocessing
    return Parent(*facts, parent.width, licence)


def judges_of(backbone: str, items: Sequence[Item], options: TuneOptions) -> Collection[str]:
    """The photos that judged the network before, by their digests; nothing unless it is to be updated."""
    if not options.update:
        return ()
    card = find_card(backbone)
    here = {item.digest for item in items}
    judges = here & set(card.judged_on)
    if not judges:
        raise FeatxError(
            "class-too-small",
            f"none of the {len(card.judged_on):,} photos that judged `{backbone}` is among these",
            "name them too, beside the new ones, or tune without `--update`",
        )
    if not here - card.seen:
        raise FeatxError(
            "bad-flag", f"`{backbone}` has seen all of these photos", "add new ones, or tune without `--update`"
        )
    return judges
