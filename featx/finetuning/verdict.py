"""What a tuning hands back: its verdict, the card, and the files where it pays."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from featx.backbones.registry import backbone_rows
from featx.backbones.tuned_card import VERSION, Folds, Reached, Step, TunedCard
from featx.finetuning.files import answers_as_file, publish, weights_as_file
from featx.finetuning.folds import out_of_fold
from featx.finetuning.judgement.division import Photos
from featx.finetuning.judgement.judge import (
    Judgement,
    answers_of,
    judged_by_lda,
    paired,
    paired_in_test,
    reached_beside,
)
from featx.finetuning.ladder import TAIL, Rung, lowest_as_good
from featx.finetuning.outcome import Tuned
from featx.finetuning.robustness import Judged, robustness
from featx.finetuning.rungs import Climbed
from featx.finetuning.trainer import Trained, Trainer
from featx.finetuning.training.levels import Level
from featx.finetuning.updates import origin_of
from featx.finetuning.work import Work
from featx.labels.seen import seen_by
from featx.metrics.significance import PairedTest


@dataclass(frozen=True)
class Verdict:
    """What the judging photos say: the way that wins, before and after, and whether the difference is chance."""

    best: Rung
    before: Judgement
    after: Judgement
    test: PairedTest
    # The network that is written where it pays, or where it is kept all the same.
    made: Trained | None
    steps: list[Step]

    @classmethod
    def of(cls, photos: Photos, before: Judgement, climbed: Climbed) -> Verdict:
        """The cheapest of the best ways wins."""
        best, trained = lowest_as_good(photos, climbed.rungs), climbed.trained
        made = trained.get(best.name) or trained.get(TAIL) or next(iter(trained.values()), None)
        after = best.judgement if best.is_trained or made is None else made.judgement
        steps = [rung.step(photos) for rung in climbed.rungs]
        return cls(best, before, after, paired(photos, before, after), made, steps)

    @property
    def pays(self) -> bool:
        """Whether a tuned network is worth it."""
        return self.best.is_trained

    @property
    def gain(self) -> tuple[float, float, float, float]:
        """The difference, its interval, and p."""
        return self.test.difference, self.test.low, self.test.high, self.test.p


def handed_back(frozen: Work, verdict: Verdict, trainer: Trainer) -> Tuned:
    """The outcome; the network is written where that pays. `frozen` is the work before any norms were adapted."""
    photos, made = trainer.work.photos, verdict.made
    frozen.events.after(verdict.after.reached(photos), verdict.gain)
    if made is None:
        card, file = _card(trainer, verdict, ""), None
    else:
        card, file = _kept(trainer, verdict, made, _measured(frozen, trainer, made))
    reached = verdict.before.reached(photos), verdict.after.reached(photos)
    best = verdict.best.step(photos)
    return Tuned(frozen.name, *reached, *verdict.gain, verdict.pays, file, card, 0.0, (), verdict.steps, best)


def _measured(frozen: Work, trainer: Trainer, made: Trained) -> dict[str, Any]:
    """What was requested beside the judgement, as the card keeps it."""
    work, photos = trainer.work, trainer.work.photos
    measured: dict[str, Any] = {"unlabelled": trainer.unlabelled}
    if work.level is not None:
        measured["also"] = _second_level(frozen, work.level, made.rows)
    if work.options.robustness:
        truth = photos.truth(photos.learn)
        measured["robustness"] = robustness(
            frozen.encoder,
            Judged.of(frozen.encoder.tunable(), frozen.photos.store.features[photos.learn], truth),
            Judged.of(made.network, made.rows[photos.learn], truth),
            [photos.store.paths[i] for i in photos.judge],
            photos.truth(photos.judge),
        )
    if work.options.from_scratch:
        measured["scratch"] = trainer.from_scratch(made)
    return measured


def _second_level(frozen: Work, level: Level, rows: NDArray[np.float32]) -> tuple[Reached, Reached]:
    """The second level before and after, on the photos that judge."""
    photos, has = frozen.photos, level.values != ""
    of_level = replace(
        photos,
        labels=level.values,
        learn=photos.learn[has[photos.learn]],
        kept_together=photos.kept_together[has[photos.learn]],
        judge=photos.judge[has[photos.judge]],
        test=photos.test[:0],
    )
    stores = photos.store, photos.with_features(rows, frozen.parent)
    before, after = (judged_by_lda(of_level, store).reached(of_level) for store in stores)
    return before, after


def _kept(trainer: Trainer, verdict: Verdict, made: Trained, measured: dict[str, Any]) -> tuple[TunedCard, Path | None]:
    """The card, and the file where the network is written."""
    work = trainer.work
    data, sha256 = weights_as_file(made.network.weights())
    card = msgspec.structs.replace(_card(trainer, verdict, sha256), **measured)
    if not (verdict.pays or work.options.keep):
        return card, None
    answers = None
    if work.options.folds:
        fair = out_of_fold(
            work.photos, work.options.folds, work.options.seed, lambda rows: trainer.left_out(made, rows)
        )
        answers = answers_as_file(fair)
        folds = Folds(fair.folds, fair.reached, hashlib.sha256(answers).hexdigest())
        work.events.folds(folds)
        card = msgspec.structs.replace(card, folds=folds)
    return card, publish(work.folder, data, card, answers)


def _card(trainer: Trainer, verdict: Verdict, sha256: str) -> TunedCard:
    work, photos, made = trainer.work, trainer.work.photos, verdict.made
    parent, before, after = work.parent, verdict.before, verdict.after
    licences = {row["name"]: row["licence"] for row in backbone_rows()}
    tested = before.reached_in_test(photos), after.reached_in_test(photos)
    return TunedCard(
        VERSION,
        work.name,
        sha256,
        origin_of(parent, work.name, licences.get(parent.backbone, "–")),
        "its first layer" if made is None or made.cut is None else made.cut.name,
        {**work.options.recipe(), "lr": None if made is None else made.progress.rate},
        work.options.seed,
        dict(work.encoder.spec.versions),
        photos.categories,
        before.reached(photos),
        after.reached(photos),
        _rounded(verdict.test),
        [] if made is None else made.progress.history,
        sorted({photos.digests[i] for i in photos.learn} | trainer.learned_beside | seen_by(parent).learned),
        sorted({photos.digests[i] for i in photos.judge}),
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        None if tested[0] is None or tested[1] is None else (tested[0], tested[1]),
        reached_beside(photos, before, after),
        tested_gain=None if tested[0] is None else _rounded(paired_in_test(photos, before, after)),
        ladder=verdict.steps,
        answers=answers_of(photos, before, after),
        search=trainer.trials,
    )


def _rounded(test: PairedTest) -> tuple[float, float, float, float]:
    return round(test.difference, 6), round(test.low, 6), round(test.high, 6), round(test.p, 6)
