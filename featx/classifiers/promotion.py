"""Is a newly trained classifier better than the saved one? A paired test on the same photos decides."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featx.classifiers.columns.of_store import columns_of
from featx.classifiers.kinds import CLASSIFIERS
from featx.classifiers.model import Classifier, load_classifier, require_same_features
from featx.classifiers.registry import archive_same_name, latest_at_level
from featx.errors import FeatxError
from featx.files.locks import one_writer
from featx.labels.training_set import HELD_OUT, HeldOut, held_out_of
from featx.metrics.significance import LIMIT, sign_flips
from featx.store import Store
from featx.views.quantities import percent, percent_range


@dataclass(frozen=True)
class PromotionDecision:
    """Whether to replace the saved classifier, and the reason in a sentence; `before` is the saved one's accuracy."""

    replace: bool
    sentence: str
    n: int = 0
    better: int = 0
    worse: int = 0
    p: float | None = None
    before: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The decision for programs."""
        return asdict(self)


@dataclass(frozen=True)
class Publication:
    """The outcome for a newly trained classifier: whether it was saved, and where its namesake of another store is."""

    saved: bool
    decision: PromotionDecision | None
    archived: Path | None


def publish(
    new: Classifier, path: Path, store: Store, elsewhere: Store | None = None, *, update: bool = False
) -> Publication:
    """Save a classifier; with `update` only if it is not worse than the one it would replace.

    Nobody else writes there between reading the old one and replacing it, so nothing is replaced unseen.
    """
    with one_writer(path.parent, "a classifier"):
        decision = decide_promotion(_rival(new, path, store), new, store, elsewhere) if update else None
        if decision is not None and not decision.replace:
            return Publication(False, decision, None)
        archived = archive_same_name(path, store.path, new.card.level)
        new.write(path)
        return Publication(True, decision, archived)


def _rival(new: Classifier, path: Path, store: Store) -> Path:
    """The classifier that a new one would replace: its namesake, or where it was chosen among several, any in use."""
    # One classifier may be tried in several ways: from views of each photo, or on finer categories.
    among_several = sum(trial.name in CLASSIFIERS for trial in new.card.tried) > 1
    return (latest_at_level(path.parent, store.path, new.card.level) if among_several else None) or path


def decide_promotion(path: Path, new: Classifier, store: Store, elsewhere: Store | None = None) -> PromotionDecision:
    """Compare on the same held-out photos with today's labels; a clear loss keeps the old one.

    The held-out photos are those of a store `elsewhere` where the new classifier was scored on one. Products stand or
    fall together, as in `featx compare`.
    """
    try:
        old = load_classifier(path)
        require_same_features(old, store.suited_to(old.fingerprint).fingerprint, store.path)
    except FeatxError as error:
        return PromotionDecision(True, f"nothing to compare with: {error.message}")
    card = new.card
    # The two may have been trained on different blocks of the same rows.
    before, held = (
        held_out_of(store.suited_to(model.fingerprint), card.level, card.held_out or HELD_OUT, elsewhere)
        for model in (old, new)
    )
    if not len(held):
        return _by_cross_validation(old, new)
    was, now = (_predicted(model, part) == part.truth for model, part in ((old, before), (new, held)))
    better, worse = int((now & ~was).sum()), int((was & ~now).sum())
    test = sign_flips(now, was, held.groups)
    sentence = (
        f"on the same {len(held):,} held-out photos the new classifier is right {percent(now.mean())} of the time, "
        f"the old one {percent(was.mean())}: {better} fixed, {worse} broken (p = {test.p:.2g})"
    )
    if few := 2.0 ** (1 - len(np.unique(held.groups))) >= LIMIT:
        sentence += "; too few products for a test, so the scores decide"
    lost = test.difference < 0 and (few or test.p < LIMIT)
    return PromotionDecision(not lost, sentence, len(held), better, worse, test.p, float(was.mean()))


def _predicted(model: Classifier, held: HeldOut) -> np.ndarray:
    return model.predict(held.features, columns_of(held.store, held.rows, model.wants))


def _by_cross_validation(old: Classifier, new: Classifier) -> PromotionDecision:
    """Without held-out photos no test is fair: the old classifier was trained on all of them."""
    before, now = old.card.cv, new.card.cv
    scores = [f"{percent(cv.accuracy)} ({percent_range(*cv.ci95)})" for cv in (before, now)]
    lost = now.ci95[1] < before.ci95[0]
    sentence = (
        "no held-out photos to compare the two on; in cross-validation, each on the photos and labels of its day, "
        f"{scores[0]} before and {scores[1]} now" + (", clearly less" if lost else "")
    )
    return PromotionDecision(not lost, sentence, before=before.accuracy)
