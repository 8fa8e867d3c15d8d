"""A network trained on kept activations, with what a recipe has beside: a search, a teacher, more photos."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from featx.backbones import open_backbone
from featx.backbones.cuts import Cut
from featx.backbones.tunable import TunableNetwork
from featx.backbones.tuned_card import Reached, Trial, Unlabelled
from featx.embedding.stream import batch_size_for
from featx.finetuning.cut.tail import Tail, Whole
from featx.finetuning.events import TuneEvents
from featx.finetuning.halves import CutOff, Prepared, prepared
from featx.finetuning.judgement.judge import Judgement
from featx.finetuning.judgement.unlabelled import Guessed, guessed
from featx.finetuning.options import ALL, AUTO
from featx.finetuning.training.checkpoints import Checkpoint, Progress, key_of
from featx.finetuning.training.optimizers import State
from featx.finetuning.training.scratch import FreshTail, as_many_steps, forget
from featx.finetuning.training.search import NOTES, searched
from featx.finetuning.training.teacher import Pupils, Teacher, taught
from featx.finetuning.training.training import Lessons, Training
from featx.finetuning.work import Work

# Shares of the tuned weights that are tried, the rest being the original ones.
SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Trained:
    """A network after its training, how it did, and its rows of all photos."""

    network: TunableNetwork
    cut: Cut | None
    progress: Progress
    judgement: Judgement
    rows: NDArray[np.float32]
    seconds: float
    share: float


class Trainer:
    """Trains networks for one tuning; a search changes the recipe of the trainings that follow."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.trials: list[Trial] = []
        # What photos without categories brought.
        self.unlabelled: Unlabelled | None = None
        self._teachers: dict[int, Teacher] = {}

    @property
    def learned_beside(self) -> set[str]:
        """Photos without categories that the network has learned from."""
        return set(self.work.extra.digests) if self.unlabelled is not None and self.unlabelled.kept else set()

    def trained(self, name: str, own: Prepared) -> Trained:
        """One training from the original weights, or from where it was interrupted."""
        begun = time.monotonic()
        training = self._training(own)
        if self.work.options.search:
            training = self._searched(training, own)
        word, facts = name.split(maxsplit=1)[0], self._facts(own.cut, own.views)
        checkpoint = Checkpoint(self.work.unfinished / word, key_of(facts))
        if self.work.options.fresh:
            checkpoint.remove()
        best, progress = training.run(checkpoint, self.work.seconds_left)
        judgement, rows, share = self._blended(own, training, best)
        made = Trained(own.network, own.cut, progress, judgement, rows, time.monotonic() - begun, share)
        if not self.work.extra.paths:
            return made
        return self._taught_more(word, own, training, best, made)

    def left_out(self, made: Trained, learn: NDArray[np.intp]) -> NDArray[np.float32]:
        """The features of all photos by the same training on some of them."""
        photos = self.work.photos
        with prepared(self.work, ALL if made.cut is None else str(self.work.options.depth)) as own:
            training = self._training(own, learn)
            tuned = training.run_for(made.progress.rate, made.progress.best)
            training.tail.blend(training.start, tuned, made.share)
            rows = training.tail.features(training.plain(photos.digests))
        return own.network.completed(rows, photos.store.features)

    def from_scratch(self, made: Trained) -> Reached:
        """The same steps from random numbers, all layers."""
        work, photos = self.work, self.work.photos
        options = as_many_steps(work.options, len(made.progress.history))
        with prepared(work, ALL) as own:
            forget(own.network.network, options.seed)
            lessons = replace(self._lessons(own.views, photos.learn), second=None, seconds=0)
            tail = FreshTail(Whole(own.network), own.network.read, lessons.categories, own.network.width)
            training = Training(tail, own.parts, own.activations, lessons, options, TuneEvents(), pulls=False)
            tail.begin_from(tail.features(training.plain(lessons.digests)), lessons.truth)
            training.start = tail.state()
            key = key_of({**self._facts(None, own.views), "scratch": options.recipe()})
            best, _ = training.run(Checkpoint(work.unfinished / "scratch", key), math.inf)
            tail.load_state_dict(best)
            rows = own.network.completed(tail.features(training.plain(photos.digests)), photos.store.features)
        return work.judged(rows).reached(photos)

    def _training(self, own: Prepared, learn: NDArray[np.intp] | None = None) -> Training:
        """A training on these of the photos; on all that are learned from where none are named."""
        work, network = self.work, own.network
        learn = work.photos.learn if learn is None else learn
        lessons = self._lessons(own.views, learn)
        tail = Tail(own.back, network.read, lessons.categories, network.width, self._precision(own), lessons.seconds)
        begin: Callable[..., None] = tail.begin_from_centres if work.options.loss == "arcface" else tail.begin_from
        rows = work.photos.store.features[learn, : network.width]
        begin(rows, lessons.truth)
        if lessons.second is not None:
            tail.begin_second_from(rows, lessons.second)
        options = work.options if own.cut is not None else replace(work.options, last=None)
        return Training(tail, own.parts, own.activations, lessons, options, work.events)

    def _precision(self, own: CutOff) -> torch.dtype:
        """That of the network while it is trained: bfloat16 on a GPU, which needs no care for small numbers."""
        wanted = self.work.options.precision
        fits = wanted == "bf16" or (wanted == AUTO and own.network.device.type == "cuda")
        return torch.bfloat16 if fits else torch.float32

    def _lessons(self, views: int, learn: NDArray[np.intp]) -> Lessons:
        """What is learned from these photos."""
        photos, level = self.work.photos, self.work.level
        second, seconds = (None, 0) if level is None else level.numbers(learn)
        return Lessons(
            [photos.digests[i] for i in learn],
            photos.truth(learn),
            [photos.digests[i] for i in photos.judge],
            photos.truth(photos.judge),
            views,
            len(photos.categories),
            np.concatenate([photos.groups[learn], photos.groups[photos.judge]]),
            photos.shrinkage,
            None if second is None else second[learn],
            seconds,
            self._teacher(views),
        )

    def _teacher(self, views: int) -> Teacher | None:
        """The answers of the teacher for every view."""
        work, photos = self.work, self.work.photos
        if work.options.teacher is None:
            return None
        if views not in self._teachers:
            teacher = open_backbone(work.options.teacher, device="cpu")
            wanted = {digest: n for digest, n in work.wanted(views).items() if n == views}
            teacher.use_engine("auto", photos=len(wanted), batch_size=batch_size_for(teacher))
            labelled = [photos.digests[i] for i in photos.learn]
            pupils = Pupils(work.paths, wanted, labelled, photos.truth(photos.learn))
            self._teachers[views] = taught(teacher, pupils, work.views, work.options, work.events)
        return self._teachers[views]

    def _searched(self, training: Training, own: Prepared) -> Training:
        """The same training with the best recipe of several, which is the recipe from now on."""
        options, folder = self.work.options, self.work.unfinished
        facts = {**self._facts(own.cut, own.views), "search": options.search}
        if options.fresh:
            (folder / NOTES).unlink(missing_ok=True)
        blocks = 1 if own.cut is None else own.cut.blocks
        found = searched(options, blocks, training.attempt, folder, key_of(facts))
        self.work.events.searched(found.trials, found.options)
        self.work, self.trials = replace(self.work, options=found.options), found.trials
        return training.again(options=found.options)

    def _blended(self, own: Prepared, training: Training, best: State) -> tuple[Judgement, NDArray[np.float32], float]:
        """The best blend of tuned and original weights, which the network keeps: its judgement, rows and share."""
        work, photos = self.work, self.work.photos
        shares = SHARES if work.options.average == "blend" else (1.0,)
        won: tuple[float, Judgement, NDArray[np.float32]] | None = None
        for share in shares:  # only the best rows stay: those of all photos, several times over, take much memory
            training.tail.blend(training.start, best, share)
            rows = own.network.completed(training.tail.features(training.plain(photos.digests)), photos.store.features)
            after = work.judged(rows)
            if won is None or after.judged.sum() > won[1].judged.sum():
                won = share, after, rows
        assert won is not None
        share, after, rows = won
        training.tail.blend(training.start, best, share)
        if len(shares) > 1:
            work.events.blended(share, float(after.judged.mean()))
        return after, rows, share

    def _taught_more(self, name: str, own: Prepared, training: Training, best: State, made: Trained) -> Trained:
        """The better of the network, and of one that was shown photos without categories too."""
        begun, photos, extra = time.monotonic(), self.work.photos, self.work.extra
        guess = Guessed.by_teacher(extra)
        if training.lessons.teacher is None:
            rows = training.tail.features(training.plain(extra.digests))
            guess = guessed(photos, made.rows[:, : own.network.width], extra, rows)
        reached = made.judgement.reached(photos)
        self.unlabelled = Unlabelled(
            len(extra.paths), len(guess.digests), guess.threshold, reached, reached, kept=False
        )
        if not guess.digests:
            return made
        more = training.again(lessons=replace(training.lessons, extra=guess.digests, extra_truth=guess.truth))
        key = key_of({**self._facts(own.cut, own.views), "extra": guess.digests, "as": guess.truth.tolist()})
        tuned, progress = more.run(Checkpoint(self.work.unfinished / f"{name}-more", key), self.work.seconds_left)
        judgement, rows, share = self._blended(own, more, tuned)
        kept = int(judgement.judged.sum()) > int(made.judgement.judged.sum())
        self.unlabelled = msgspec.structs.replace(self.unlabelled, with_them=judgement.reached(photos), kept=kept)
        seconds = made.seconds + time.monotonic() - begun
        if kept:
            return Trained(own.network, made.cut, progress, judgement, rows, seconds, share)
        training.tail.blend(training.start, best, made.share)
        return replace(made, seconds=seconds)

    def _facts(self, cut: Cut | None, views: int) -> dict[str, object]:
        """All that decides the outcome of the training."""
        work, photos = self.work, self.work.photos
        return {
            "parent": work.encoder.fingerprint.to_dict(),
            "also": None if work.level is None else work.level.values.tolist(),
            "extra": work.extra.digests,
            "cut": None if cut is None else cut.position,
            "recipe": work.options.recipe(),
            "views": views,
            "shrinkage": photos.shrinkage,
            "torch": torch.__version__,
            "learn": [[photos.digests[i], str(photos.labels[i])] for i in photos.learn],
            "judge": [[photos.digests[i], str(photos.labels[i])] for i in photos.judge],
        }
