"""The card of a tuned network: what it came from, what it learned from, and what that changed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from featx.errors import FeatxError
from featx.files.regular import read_regular

VERSION = 1


class Parent(msgspec.Struct, frozen=True):
    """The network as it was before, by the fields of its fingerprint."""

    backbone: str
    weights: str
    weights_sha256: str
    preprocessing: str
    width: int
    licence: str = "–"


class Reached(msgspec.Struct, frozen=True):
    """What share of the judged photos a classifier got right, with its 95 % interval."""

    accuracy: float
    low: float
    high: float
    n: int
    classifier: str


class Epoch(msgspec.Struct, frozen=True):
    """One pass over the photos: the mean loss, and how the judged photos came out after it."""

    number: int
    loss: float
    judged: float
    log_loss: float


class Folds(msgspec.Struct, frozen=True):
    """How networks did, by the same training, on photos that each of them never saw; and the file of their answers."""

    folds: int
    reached: Reached
    sha256: str


class Step(msgspec.Struct, frozen=True):
    """One way to tell the categories apart, how it did on the judging photos, and what it took."""

    name: str
    reached: Reached
    seconds: float
    extract: str = ""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """A judging photo: its true category, and the answers before and after, as numbers of categories (-1: another)."""

    digest: str
    truth: int
    before: int
    after: int


class Trial(msgspec.Struct, frozen=True):
    """A recipe that `--search` tried, for so many epochs; `judged` is None where it diverged."""

    lr: float
    weight_decay: float
    smoothing: float
    layer_decay: float
    blocks: int | None
    epochs: int
    judged: float | None


class Robust(msgspec.Struct, frozen=True):
    """What share of the judging photos the network got right, before and after, when they were changed like this."""

    change: str
    before: float
    after: float
    n: int


class Unlabelled(msgspec.Struct, frozen=True):
    """Photos without categories: how many there were, how many were used, and what they did to the judgement.

    `threshold` is how sure the network had to be of one; None where a teacher answered.
    """

    photos: int
    used: int
    threshold: float | None
    without: Reached
    with_them: Reached
    kept: bool


class TunedCard(msgspec.Struct, frozen=True):
    """What a tuned network is and what it rests on.

    `tuned_on` and `judged_on` are the SHA-256 of photos: no score may count them as unseen.
    """

    version: int
    name: str
    sha256: str
    parent: Parent
    cut: str
    recipe: dict[str, str | int | float | None]
    seed: int
    versions: dict[str, str]
    categories: list[str]
    before: Reached
    after: Reached
    gain: tuple[float, float, float, float]
    history: list[Epoch]
    tuned_on: list[str]
    judged_on: list[str]
    written: str
    tested: tuple[Reached, Reached] | None = None
    # Before and after by the measure that decided nothing: look-alikes, or categories where these were tuned for.
    beside: tuple[Reached, Reached] | None = None
    # The difference on the photos that only test: the gain, its interval, and p.
    tested_gain: tuple[float, float, float, float] | None = None
    # Every way that was tried, the cheapest first.
    ladder: list[Step] = []
    search: list[Trial] = []
    # The same steps from random numbers.
    scratch: Reached | None = None
    robustness: list[Robust] = []
    # The second level before and after, by a discriminant analysis.
    also: tuple[Reached, Reached] | None = None
    unlabelled: Unlabelled | None = None
    # Out-of-fold answers for the photos it learned from.
    folds: Folds | None = None
    # What the frozen and the tuned features say of each judging photo.
    answers: list[Answer] = []

    @property
    def seen(self) -> frozenset[str]:
        """The photos that shaped the network: it learned from some, and was chosen by the others."""
        return frozenset(self.tuned_on) | frozenset(self.judged_on)


def read_tuned_card(path: Path) -> TunedCard:
    """The card of a tuned network."""
    try:
        card = msgspec.json.decode(read_regular(path), type=TunedCard)
    except OSError as error:
        raise FeatxError(
            "weights-missing", f"the card of a tuned network is not at `{path}`", "copy it there, beside its weights"
        ) from error
    except msgspec.MsgspecError as error:
        raise FeatxError(
            "weights-broken", f"`{path}` is not the card of a tuned network: {error}", "copy it again, or tune again"
        ) from error
    if card.version > VERSION:
        raise FeatxError("store-newer", f"`{path}` was written by a later featx", "update featx")
    return card
