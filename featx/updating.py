"""Is a newly trained classifier better than the saved one? Both answer for the same pictures, which decide in pairs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.lessons import HELD_OUT, held_of
from featx.models import Model, load_classifier, must_fit
from featx.store import Store

SURE = 0.05


@dataclass(frozen=True)
class Verdict:
    """Whether to replace the saved classifier, and why, in one sentence."""

    replace: bool
    sentence: str
    n: int = 0
    better: int = 0
    worse: int = 0
    p: float | None = None

    def told(self) -> dict[str, Any]:
        """The verdict for programs."""
        return asdict(self)


def better_or_not(path: Path, new: Model, store: Store, elsewhere: Store | None = None) -> Verdict:
    """Compare on the held-out pictures that both classifiers have not learned from; a clear loss keeps the old one.

    The held-out pictures are those of a store `elsewhere` where the new classifier was scored on one.
    """
    try:
        old = load_classifier(path)
        must_fit(old, store.fingerprint, store.path)
    except FeatxError as error:
        return Verdict(True, f"nothing to compare with: {error.message}")
    card = new.card
    held = held_of(store, card.get("level"), card.get("held_out") or HELD_OUT, elsewhere)
    if not len(held):
        before, now = (model.card["cv"]["accuracy"] for model in (old, new))
        said = f"no held-out pictures to compare on: {before:.1%} in cross-validation before, {now:.1%} now"
        return Verdict(now >= before, said)
    features, truth = held.features, held.truth
    was, now_right = (model.predict(features) == truth for model in (old, new))
    better, worse = int((now_right & ~was).sum()), int((was & ~now_right).sum())
    p = sign_test(better, worse)
    said = (
        f"on the same {len(held):,} held-out pictures the new classifier is right {now_right.mean():.1%} of the time, "
        f"the old one {was.mean():.1%}: {better} mended, {worse} broken (p = {p:.2g})"
    )
    return Verdict(not (worse > better and p < SURE), said, len(held), better, worse, p)


def sign_test(better: int, worse: int) -> float:
    """The exact two-sided test of McNemar: could so lopsided a count be chance?"""
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
