"""Train the last blocks of a network on labelled photos, and keep the outcome only where it pays."""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from featx.backbones import Encoder, open_backbone
from featx.backbones.cuts import Cut, CutNetwork
from featx.backbones.fingerprint import PLUS, Fingerprint
from featx.backbones.nodes import AT
from featx.backbones.registry import backbone_rows
from featx.backbones.tunable import TunableNetwork
from featx.backbones.tuned import PREFIX, checked_name
from featx.backbones.tuned_card import VERSION, Folds, Reached, Step, Trial, TunedCard, Unlabelled
from featx.catalogue.items import Catalogue, Skipped
from featx.catalogue.reading import read_catalogue
from featx.embedding.stream import batch_size_for, embed
from featx.errors import FeatxError
from featx.finetuning.activations import Activations, Making, budget_of, views_within
from featx.finetuning.adapting import adapt_norms, open_adapted
from featx.finetuning.checkpoints import Checkpoint, Progress, key_of
from featx.finetuning.events import Kept, TuneEvents
from featx.finetuning.filling import Missing, Views, fill
from featx.finetuning.folds import out_of_fold
from featx.finetuning.front import FrontEncoder, digest_of
from featx.finetuning.frozen import labelled_photos, tunable_backbone
from featx.finetuning.judging import (
    Judgement,
    answers_of,
    judged_by_lda,
    judged_frozen,
    judged_tuned,
    paired,
    paired_in_test,
    reached_beside,
)
from featx.finetuning.ladder import ADAPTED, FROZEN, JOINED, NODES, TAIL, VIEWS, WHOLE, Rung, lowest_as_good
from featx.finetuning.levels import Level, level_of
from featx.finetuning.nodes import beside, frozen_nodes, widened
from featx.finetuning.options import AUTO, TuneOptions
from featx.finetuning.outcome import Tuned
from featx.finetuning.photos import Photos
from featx.finetuning.processes import place_of, started, together
from featx.finetuning.publishing import answers_as_file, publish, weights_as_file, write_weights
from featx.finetuning.robustness import Judged, robustness
from featx.finetuning.scratch import FreshTail, as_many_steps, forget
from featx.finetuning.search import NOTES, searched
from featx.finetuning.tail import Tail, Whole, seconds_of_a_photo
from featx.finetuning.teaching import Pupils, Teacher, taught
from featx.finetuning.tracking import tracked
from featx.finetuning.training import LEAST, Lessons, State, Training
from featx.finetuning.unlabelled import Extra, Guessed, extra_of, guessed, paths_of
from featx.finetuning.updating import begun_from, origin_of
from featx.labels.seen import seen_by
from featx.metrics.significance import PairedTest
from featx.workspace import Workspace

# What `--depth auto` cuts off: two blocks gain most of what a CPU can afford.
USUAL_DEPTH, ALL, HEAD = 2, "all", "head"
# Shares of the tuned weights that are tried, the rest being the original ones.
SHARES = (0.25, 0.5, 0.75, 1.0)
# Rows of views that a discriminant analysis learns from at most: more take gigabytes.
MOST_ROWS = 12_000


def tune(
    source: str | Path | Iterable[str] | Catalogue,
    *,
    backbone: str | None = None,
    weights: str | None = None,
    name: str | None = None,
    depth: str | int = AUTO,
    views: int = 4,
    minutes: float = 10.0,
    epochs: int | None = None,
    val: str | float = 0.2,
    keep: bool = False,
    seed: int = 0,
    options: TuneOptions | None = None,
    events: TuneEvents | None = None,
) -> Tuned:
    """Train the last blocks of a network on the categories of labelled photos; write it where that pays.

    What is written is a backbone like any other: `featx.extract(photos, backbone=tuned.backbone)`. `options` has every
    setting there is, and stands for all of those before it.
    """
    begun = time.monotonic()
    if options is None:
        options = TuneOptions(depth, views, minutes, epochs, val=str(val), keep=keep, seed=seed)
    events = events or TuneEvents()
    catalogue = source if isinstance(source, Catalogue) else read_catalogue(source)
    events.read(catalogue)
    name = checked_name(name or _name_after(catalogue))
    backbone = begun_from(backbone, name, options)
    encoder = open_backbone(backbone or tunable_backbone(), weights=weights, device=options.device, size=options.size)
    with (
        together() as processes,
        place_of(processes, Workspace.here().tuned) as folder,
        tracked(events if processes.leads else TuneEvents(), options, name, folder) as heard,
        _threads(options.threads),
    ):
        if processes.count > 1:  # what one of them kept of an earlier training the others lack
            options = replace(options, fresh=True)
        tuned = _Run(catalogue, encoder, name, options, heard, folder, weights).go()
        tuned = replace(tuned, file=processes.agreed(tuned.file), seconds=time.monotonic() - begun)
        heard.finished(tuned.card, tuned.file)
    return tuned


@dataclass(frozen=True)
class _Trained:
    """A network after its training, how it did, and its rows of all photos."""

    network: TunableNetwork
    cut: Cut | None
    progress: Progress
    judgement: Judgement
    rows: NDArray[np.float32]
    seconds: float
    share: float


@dataclass(frozen=True)
class _Nodes:
    """Several layers of the frozen network, by name, and their rows of all photos."""

    layers: str
    rows: NDArray[np.float32]


@dataclass(frozen=True)
class _Verdict:
    """What the judging photos say: before and after, whether the difference is chance, and every way that was tried."""

    before: Judgement
    after: Judgement
    test: PairedTest
    steps: list[Step]


class _Run:
    """One tuning, from photos to a network that is kept or not."""

    def __init__(
        self,
        catalogue: Catalogue,
        encoder: Encoder,
        name: str,
        options: TuneOptions,
        events: TuneEvents,
        folder: Path,
        weights: str | None = None,
    ) -> None:
        self.catalogue, self.encoder, self.name = catalogue, encoder, name
        self.original = encoder
        self.options, self.events, self.weights = options, events, weights
        self.begun = time.monotonic()
        self.network: TunableNetwork = encoder.tunable()
        self.parent = encoder.fingerprint
        self.skipped: list[Skipped] = list(catalogue.skipped)
        self.folder = folder
        self.trials: list[Trial] = []
        self.views = Views.of(options.augment, options.seed)
        self.level: Level | None = None
        self.teachers: dict[int, Teacher] = {}
        self.extra = Extra({})
        self.unlabelled: Unlabelled | None = None

    def go(self) -> Tuned:
        """All steps in order."""
        photos, unreadable = labelled_photos(self.catalogue, self.encoder, self.options, self.events)
        frozen = photos
        self.skipped += unreadable
        if self.options.also is not None:
            self.level = level_of(self.options.also, self.catalogue, photos.store.paths)
            self.level.numbers(photos.learn)
        self.extra = self._unlabelled(photos)
        before = judged_frozen(photos, self.options)
        self.events.before(before.reached(photos))
        adapted = None
        if self.options.adapt_norms is not None:
            photos, adapted = self._adapted(photos, self.options.adapt_norms)
        rungs, trained = self._climbed(photos, before, adapted)
        best = lowest_as_good(photos, rungs)
        made = trained.get(best.name) or trained.get(TAIL) or next(iter(trained.values()), None)
        after = best.judgement if best.is_trained or made is None else made.judgement
        test = paired(photos, before, after)
        pays = best.is_trained
        self.events.after(after.reached(photos), (test.difference, test.low, test.high, test.p))
        steps = [rung.step(photos) for rung in rungs]
        measured = {} if made is None else self._measured(photos, frozen, made)
        verdict = _Verdict(before, after, test, steps)
        card, file = self._kept(photos, made, verdict, pays or self.options.keep, measured)
        shutil.rmtree(self._unfinished, ignore_errors=True)
        reached = before.reached(photos), after.reached(photos)
        gain = test.difference, test.low, test.high, test.p
        return Tuned(self.name, *reached, *gain, pays, file, card, 0.0, self.skipped, steps, best.step(photos))

    @property
    def _unfinished(self) -> Path:
        return self.folder / f"{self.name}.unfinished"

    @property
    def _seconds_left(self) -> float:
        return self.options.minutes * 60 - (time.monotonic() - self.begun)

    def _climbed(
        self, photos: Photos, before: Judgement, adapted: _Trained | None
    ) -> tuple[list[Rung], dict[str, _Trained]]:
        """The rungs that `--depth` wants, and the networks that were trained for them."""
        depth = str(self.options.depth)
        rungs, trained = [Rung(FROZEN, before, time.monotonic() - self.begun)], {}
        if adapted is not None:
            trained[ADAPTED] = adapted
            rungs.append(self._rung_of(ADAPTED, photos, adapted))
        parts, cut = self._cut(depth)
        with self._activations(photos, parts, cut) as (activations, views):
            nodes = None
            # Of another size, or with adapted norms, no command extracts several layers.
            is_plain = self.options.size is None and adapted is None
            if depth in (AUTO, HEAD) and parts is not None and cut is not None and is_plain:
                lowest, nodes = self._frozen_rungs(photos, parts, cut, activations, views)
                rungs += lowest
            if depth != HEAD:
                name = WHOLE if cut is None else TAIL
                trained[name] = made = self._trained(name, photos, parts, cut, activations, views)
                rungs.append(self._rung_of(name, photos, made))
                if nodes is not None:
                    rungs.append(self._joined(photos, made, nodes))
        if depth == AUTO and self._whole_is_affordable(photos):
            parts, cut = self._cut(ALL)
            with self._activations(photos, parts, cut) as (activations, views):
                trained[WHOLE] = made = self._trained(WHOLE, photos, parts, cut, activations, views)
                rungs.append(self._rung_of(WHOLE, photos, made))
        return rungs, trained

    def _rung_of(self, name: str, photos: Photos, made: _Trained) -> Rung:
        rung = Rung(name, made.judgement, made.seconds, f"-b {PREFIX}{self.name}")
        self.events.rung(rung.step(photos))
        return rung

    def _whole_is_affordable(self, photos: Photos) -> bool:
        """Whether all layers can be trained in the time that is left."""
        prepared = np.asarray(self.encoder.prepare(Image.new("RGB", (256, 256))))
        each = seconds_of_a_photo(self.encoder.tunable(), prepared)
        fits = each * len(photos.learn) * (self.options.epochs or LEAST) < self._seconds_left
        return started().agreed(fits)

    @contextmanager
    def _activations(
        self, photos: Photos, parts: CutNetwork | None, cut: Cut | None
    ) -> Iterator[tuple[Activations, int]]:
        """What the network gives at a cut, for every photo and so many altered views."""
        making = self._making(parts, cut)
        budget = budget_of(self.options.cache)
        views = views_within(budget, len(self._wanted(photos, 0)), making.record.itemsize, self.options.views_used)
        with Activations.open(making, budget) as activations:
            self._fill(activations, photos, parts, cut, views)
            yield activations, views

    def _frozen_rungs(
        self, photos: Photos, parts: CutNetwork, cut: Cut, activations: Activations, views: int
    ) -> tuple[list[Rung], _Nodes | None]:
        """What more of the frozen network gives: several of its layers, and altered views as photos of their own."""
        begun = time.monotonic()
        nodes = frozen_nodes(self.parent.backbone, self.weights, parts, cut)
        if nodes is None:
            return [], None
        rows = nodes.rows(activations.batches(photos.digests))
        wide = widened(self.parent, rows)
        own = f" --weights {self.weights}" if self.weights else ""
        layers = f"-b {self.parent.backbone}{own} --layer {nodes.layers}"
        rungs = [Rung(NODES, self._judged(photos, rows, wide), time.monotonic() - begun, layers)]
        self.events.rung(rungs[-1].step(photos))
        if views and not self.options.for_look_alikes:
            begun, learned = time.monotonic(), [photos.digests[i] for i in photos.learn]
            used = min(views, max(1, MOST_ROWS // len(learned) - 1))
            more = [nodes.rows(activations.batches(learned, view)) for view in range(1, used + 1)]
            judged = judged_by_lda(photos, photos.with_features(rows, wide), more)
            rungs.append(Rung(VIEWS, judged, time.monotonic() - begun, f"{layers} --views {used + 1}"))
            self.events.rung(rungs[-1].step(photos))
        return rungs, _Nodes(nodes.layers, rows)

    def _judged(self, photos: Photos, rows: NDArray[np.float32], fingerprint: Fingerprint) -> Judgement:
        return judged_tuned(photos, photos.with_features(rows, fingerprint), self.options)

    def _joined(self, photos: Photos, made: _Trained, nodes: _Nodes) -> Rung:
        """The tuned network beside several layers of the frozen one."""
        begun, rows = time.monotonic(), beside(made.rows, nodes.rows)
        judged = self._judged(photos, rows, widened(self.parent, rows))
        weights = f" --weights {PLUS}{self.weights}" if self.weights else ""
        extract = f"-b {PREFIX}{self.name}{PLUS}{self.parent.backbone}{AT}{nodes.layers}{weights}"
        rung = Rung(JOINED, judged, made.seconds + time.monotonic() - begun, extract)
        self.events.rung(rung.step(photos))
        return rung

    def _trained(
        self,
        name: str,
        photos: Photos,
        parts: CutNetwork | None,
        cut: Cut | None,
        activations: Activations,
        views: int,
    ) -> _Trained:
        """One training from the original weights, or from where it was interrupted."""
        begun = time.monotonic()
        training = self._training(photos, parts, cut, activations, views)
        if self.options.search:
            training = self._searched(training, photos, cut, views)
        word = name.split(maxsplit=1)[0]
        checkpoint = Checkpoint(self._unfinished / word, key_of(self._facts(photos, cut, views)))
        if self.options.fresh:
            checkpoint.remove()
        best, progress = training.run(checkpoint, self._seconds_left)
        judgement, rows, share = self._blended(training, best, photos)
        made = _Trained(self.network, cut, progress, judgement, rows, time.monotonic() - begun, share)
        if not self.extra.paths:
            return made
        return self._taught_more(word, photos, training, best, made, self._facts(photos, cut, views))

    def _searched(self, training: Training, photos: Photos, cut: Cut | None, views: int) -> Training:
        """The same training with the best recipe of several, which is the recipe from now on."""
        blocks = 1 if cut is None else cut.blocks
        facts = {**self._facts(photos, cut, views), "search": self.options.search}
        if self.options.fresh:
            (self._unfinished / NOTES).unlink(missing_ok=True)
        found = searched(self.options, blocks, training.attempt, self._unfinished, key_of(facts))
        self.events.searched(found.trials, found.options)
        self.options, self.trials = found.options, found.trials
        return training.again(options=found.options)

    # --- what some runs have beside ---------------------------------------------------------------------------------

    def _unlabelled(self, photos: Photos) -> Extra:
        """The photos without categories."""
        if self.options.unlabelled is None:
            return Extra({})
        paths = paths_of(self.options.unlabelled)
        with (
            self.events.progress(len(paths), "photos without categories") as advance,
            embed(paths, lambda: self.encoder) as stream,
        ):
            found = {}
            for done, result in enumerate(stream, start=1):
                if result.features is not None:
                    found[result.digest] = result.photo, result.features
                advance(done)
        extra = extra_of(photos, {d: path for d, (path, _) in found.items()}, {d: row for d, (_, row) in found.items()})
        self.events.unlabelled(len(paths), len(extra.paths))
        return extra

    @property
    def _learned_beside(self) -> set[str]:
        return set(self.extra.digests) if self.unlabelled is not None and self.unlabelled.kept else set()

    def _adapted(self, photos: Photos, source: str) -> tuple[Photos, _Trained]:
        """The photos as a network with adapted norms sees them, which is what is tuned from now on; and how it does."""
        begun, network = time.monotonic(), self.encoder.tunable()
        adapt_norms(self.encoder, network, paths_of(source))
        file = self._unfinished / "adapted.safetensors"
        write_weights(file, network.weights())
        self.encoder = open_adapted(self.parent, file, self.options.device)
        with embed(photos.store.paths, lambda: self.encoder) as stream:
            rows = np.stack([result.features for result in stream if result.features is not None])
        photos = replace(photos, store=photos.with_features(rows, self.parent))
        judgement = judged_tuned(photos, photos.store, self.options)
        return photos, _Trained(network, None, Progress(0.0), judgement, rows, time.monotonic() - begun, 1.0)

    def _measured(self, photos: Photos, frozen: Photos, made: _Trained) -> dict[str, Any]:
        """What was requested beside the judgement, as the card keeps it."""
        network = made.network
        measured: dict[str, Any] = {"unlabelled": self.unlabelled}
        if self.level is not None:
            measured["also"] = self._second_level(frozen, made.rows)
        if self.options.robustness:
            truth = photos.truth(photos.learn)
            measured["robustness"] = robustness(
                self.original,
                Judged.of(self.original.tunable(), frozen.store.features[photos.learn], truth),
                Judged.of(network, made.rows[photos.learn], truth),
                [photos.store.paths[i] for i in photos.judge],
                photos.truth(photos.judge),
            )
        if self.options.from_scratch:
            measured["scratch"] = self._from_scratch(photos, made)
        return measured

    def _second_level(self, photos: Photos, rows: NDArray[np.float32]) -> tuple[Reached, Reached]:
        """The second level before and after, on the photos that judge."""
        assert self.level is not None
        has = self.level.values != ""
        of_level = replace(
            photos,
            labels=self.level.values,
            learn=photos.learn[has[photos.learn]],
            judge=photos.judge[has[photos.judge]],
            test=photos.test[:0],
        )
        stores = photos.store, photos.with_features(rows, self.parent)
        before, after = (judged_by_lda(of_level, store).reached(of_level) for store in stores)
        return before, after

    def _from_scratch(self, photos: Photos, made: _Trained) -> Reached:
        """The same steps from random numbers, all layers."""
        options = as_many_steps(self.options, len(made.progress.history))
        parts, _ = self._cut(ALL)
        forget(self.network.network, options.seed)
        with self._activations(photos, parts, None) as (activations, views):
            lessons = replace(self._lessons(photos, views, photos.learn), second=None, seconds=0)
            tail = FreshTail(Whole(self.network), self.network.read, lessons.categories, self.network.width)
            training = Training(tail, parts, activations, lessons, options, TuneEvents(), pulls=False)
            tail.begin_from(tail.features(training.plain(lessons.digests)), lessons.truth)
            training.start = tail.state()
            key = key_of({**self._facts(photos, None, views), "scratch": options.recipe()})
            best, _ = training.run(Checkpoint(self._unfinished / "scratch", key), math.inf)
            tail.load_state_dict(best)
            rows = self.network.completed(tail.features(training.plain(photos.digests)), photos.store.features)
        return self._judged(photos, rows, self.parent).reached(photos)

    # --- the cut ------------------------------------------------------------------------------------------------------

    def _cut(self, depth: str) -> tuple[CutNetwork | None, Cut | None]:
        """A network to train, and where it is cut; nowhere for `--depth all`."""
        self.network = self.encoder.tunable()
        example = torch.from_numpy(np.asarray(self.encoder.prepare(Image.new("RGB", (256, 256))))[None])
        example = example.to(self.network.device)
        try:
            parts = CutNetwork(self.network.network, self.network.enter(example), self.parent.backbone)
        except FeatxError:
            if depth == ALL:  # all of it needs no parts; it gets one rate
                return None, None
            raise
        if depth == ALL:
            return parts, None
        if depth in (AUTO, HEAD) or depth.isdigit():
            return parts, parts.at_depth(int(depth) if depth.isdigit() else USUAL_DEPTH)
        return parts, parts.before_layer(depth)

    def _making(self, parts: CutNetwork | None, cut: Cut | None) -> Making:
        """What decides the activations; networks with the same front share them."""
        parent = replace(self.parent, backbone="", weights="", weights_sha256="")
        facts = {
            "fingerprint": parent.to_dict(),
            "front": None if cut is None or parts is None else digest_of(parts.halves(cut)[0]),
            "cut": None if cut is None else [cut.name, cut.position],
            "augment": self.options.augment,
            "seed": self.options.seed,
        }
        if cut is not None:
            return Making(facts, cut.shape)
        prepared = np.asarray(self.encoder.prepare(Image.new("RGB", (256, 256))))
        return Making(facts, prepared.shape, "uint8" if prepared.dtype == np.uint8 else "float16")

    def _fill(
        self, activations: Activations, photos: Photos, parts: CutNetwork | None, cut: Cut | None, views: int
    ) -> None:
        """Compute what the cache lacks: every photo as it is, and views of those that are learned from."""
        wanted = self._wanted(photos, views)
        missing = Missing.of(activations, wanted, self._paths(photos))
        each = activations.making.record.itemsize
        total = (sum(wanted.values()) + len(wanted)) * each
        self.events.cut(
            Kept(
                "all layers" if cut is None else cut.name,
                len(parts.blocks) if cut is None and parts is not None else 0 if cut is None else cut.blocks,
                each,
                views,
                len(wanted),
                total,
                missing.count,
            )
        )
        front = (
            FrontEncoder(self.encoder, None)
            if cut is None or parts is None
            else FrontEncoder.up_to(self.encoder, self.network, cut, parts)
        )
        with self.events.progress(len(missing.numbers), "activations") as advance:
            fill(activations, front, missing, self.views, advance)

    def _wanted(self, photos: Photos, views: int) -> dict[str, int]:
        """How many altered views of each photo are wanted, by its digest: none of those that only judge."""
        learned = {photos.digests[i] for i in photos.learn} | set(self.extra.digests)
        return {digest: views if digest in learned else 0 for digest in [*photos.digests, *self.extra.digests]}

    def _paths(self, photos: Photos) -> dict[str, str]:
        return {**dict(zip(photos.digests, photos.store.paths, strict=True)), **self.extra.paths}

    # --- training -----------------------------------------------------------------------------------------------------

    def _training(
        self,
        photos: Photos,
        parts: CutNetwork | None,
        cut: Cut | None,
        activations: Activations,
        views: int,
        learn: NDArray[np.intp] | None = None,
    ) -> Training:
        """A training on these of the photos; on all that are learned from where none are named."""
        learn = photos.learn if learn is None else learn
        back = Whole(self.network) if cut is None or parts is None else parts.halves(cut)[1]
        lessons = self._lessons(photos, views, learn)
        tail = Tail(
            back, self.network.read, len(photos.categories), self.network.width, self._precision(), lessons.seconds
        )
        begin = tail.begin_from_centres if self.options.loss == "arcface" else tail.begin_from
        rows = photos.store.features[learn, : self.network.width]
        begin(rows, lessons.truth)
        if lessons.second is not None:
            tail.begin_second_from(rows, lessons.second)
        options = self.options if cut is not None else replace(self.options, last=None)
        return Training(tail, parts, activations, lessons, options, self.events)

    def _lessons(self, photos: Photos, views: int, learn: NDArray[np.intp]) -> Lessons:
        """What is learned from these photos."""
        second, seconds = (None, 0) if self.level is None else self.level.numbers(learn)
        return Lessons(
            [photos.digests[i] for i in learn],
            photos.truth(learn),
            [photos.digests[i] for i in photos.judge],
            photos.truth(photos.judge),
            views,
            len(photos.categories),
            np.concatenate([photos.groups[learn], photos.groups[photos.judge]]),
            None if second is None else second[learn],
            seconds,
            self._teacher(photos, views),
        )

    def _teacher(self, photos: Photos, views: int) -> Teacher | None:
        """The answers of the teacher for every view."""
        if self.options.teacher is None:
            return None
        if views not in self.teachers:
            teacher = open_backbone(self.options.teacher, device="cpu")
            wanted = {digest: n for digest, n in self._wanted(photos, views).items() if n == views}
            teacher.use_engine("auto", photos=len(wanted), batch_size=batch_size_for(teacher))
            pupils = Pupils(
                self._paths(photos), wanted, [photos.digests[i] for i in photos.learn], photos.truth(photos.learn)
            )
            self.teachers[views] = taught(teacher, pupils, self.views, self.options, self.events)
        return self.teachers[views]

    def _taught_more(
        self, name: str, photos: Photos, training: Training, best: State, made: _Trained, facts: dict[str, object]
    ) -> _Trained:
        """The better of the network, and of one that was shown photos without categories too."""
        begun = time.monotonic()
        guess = Guessed.by_teacher(self.extra)
        if training.lessons.teacher is None:
            rows = training.tail.features(training.plain(self.extra.digests))
            guess = guessed(photos, made.rows[:, : self.network.width], self.extra, rows)
        reached = made.judgement.reached(photos)
        self.unlabelled = Unlabelled(
            len(self.extra.paths), len(guess.digests), guess.threshold, reached, reached, kept=False
        )
        if not guess.digests:
            return made
        more = training.again(lessons=replace(training.lessons, extra=guess.digests, extra_truth=guess.truth))
        key = key_of({**facts, "extra": guess.digests, "as": guess.truth.tolist()})
        tuned, progress = more.run(Checkpoint(self._unfinished / f"{name}-more", key), self._seconds_left)
        judgement, rows, share = self._blended(more, tuned, photos)
        kept = int(judgement.judged.sum()) > int(made.judgement.judged.sum())
        self.unlabelled = msgspec.structs.replace(self.unlabelled, with_them=judgement.reached(photos), kept=kept)
        seconds = made.seconds + time.monotonic() - begun
        if kept:
            return _Trained(self.network, made.cut, progress, judgement, rows, seconds, share)
        training.tail.blend(training.start, best, made.share)
        return replace(made, seconds=seconds)

    def _precision(self) -> torch.dtype:
        """That of the network while it is trained: bfloat16 on a GPU, which needs no care for small numbers."""
        wanted = self.options.precision
        fits = wanted == "bf16" or (wanted == AUTO and self.network.device.type == "cuda")
        return torch.bfloat16 if fits else torch.float32

    def _blended(self, training: Training, best: State, photos: Photos) -> tuple[Judgement, NDArray[np.float32], float]:
        """The best blend of tuned and original weights, which the network keeps: its judgement, rows and share."""
        shares = SHARES if self.options.average == "blend" else (1.0,)
        trials: list[tuple[float, Judgement, NDArray[np.float32]]] = []
        for share in shares:
            training.tail.blend(training.start, best, share)
            rows = self.network.completed(training.tail.features(training.plain(photos.digests)), photos.store.features)
            trials.append((share, self._judged(photos, rows, self.parent), rows))
        share, after, rows = max(trials, key=lambda trial: int(trial[1].judged.sum()))
        training.tail.blend(training.start, best, share)
        if len(shares) > 1:
            self.events.blended(share, float(after.judged.mean()))
        return after, rows, share

    def _facts(self, photos: Photos, cut: Cut | None, views: int) -> dict[str, object]:
        """All that decides the outcome of the training."""
        return {
            "parent": self.encoder.fingerprint.to_dict(),
            "also": None if self.level is None else self.level.values.tolist(),
            "extra": self.extra.digests,
            "cut": None if cut is None else cut.position,
            "recipe": self.options.recipe(),
            "views": views,
            "torch": torch.__version__,
            "learn": [[photos.digests[i], str(photos.labels[i])] for i in photos.learn],
            "judge": [[photos.digests[i], str(photos.labels[i])] for i in photos.judge],
        }

    def _kept(
        self,
        photos: Photos,
        made: _Trained | None,
        verdict: _Verdict,
        writes: bool,
        measured: dict[str, Any],
    ) -> tuple[TunedCard, Path | None]:
        """The card, and the file where the network is written."""
        if made is None:
            return self._card(photos, None, verdict, ""), None
        data, sha256 = weights_as_file(made.network.weights())
        card = msgspec.structs.replace(self._card(photos, made, verdict, sha256), **measured)
        if not writes:
            return card, None
        answers = None
        if self.options.folds:
            fair = out_of_fold(
                photos, self.options.folds, self.options.seed, lambda rows: self._left_out(photos, made, rows)
            )
            answers = answers_as_file(fair)
            folds = Folds(fair.folds, fair.reached, hashlib.sha256(answers).hexdigest())
            self.events.folds(folds)
            card = msgspec.structs.replace(card, folds=folds)
        return card, publish(self.folder, data, card, answers)

    def _left_out(self, photos: Photos, made: _Trained, learn: NDArray[np.intp]) -> NDArray[np.float32]:
        """The features of all photos by the same training on some of them."""
        parts, cut = self._cut(ALL if made.cut is None else str(self.options.depth))
        with self._activations(photos, parts, cut) as (activations, views):
            training = self._training(photos, parts, cut, activations, views, learn)
            tuned = training.run_for(made.progress.rate, made.progress.best)
            training.tail.blend(training.start, tuned, made.share)
            rows = training.tail.features(training.plain(photos.digests))
        return self.network.completed(rows, photos.store.features)

    def _card(self, photos: Photos, made: _Trained | None, verdict: _Verdict, sha256: str) -> TunedCard:
        parent, before, after = self.parent, verdict.before, verdict.after
        licences = {row["name"]: row["licence"] for row in backbone_rows()}
        tested = before.reached_in_test(photos), after.reached_in_test(photos)
        return TunedCard(
            VERSION,
            self.name,
            sha256,
            origin_of(parent, self.name, licences.get(parent.backbone, "–")),
            "its first layer" if made is None or made.cut is None else made.cut.name,
            {**self.options.recipe(), "lr": None if made is None else made.progress.rate},
            self.options.seed,
            dict(self.encoder.spec.versions),
            photos.categories,
            before.reached(photos),
            after.reached(photos),
            _rounded(verdict.test),
            [] if made is None else made.progress.history,
            sorted({photos.digests[i] for i in photos.learn} | self._learned_beside | seen_by(parent).learned),
            sorted({photos.digests[i] for i in photos.judge}),
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            None if tested[0] is None or tested[1] is None else (tested[0], tested[1]),
            reached_beside(photos, before, after),
            tested_gain=None if tested[0] is None else _rounded(paired_in_test(photos, before, after)),
            ladder=verdict.steps,
            answers=answers_of(photos, before, after),
            search=self.trials,
        )


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """So many threads compute; as many as ever where nobody says."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rounded(test: PairedTest) -> tuple[float, float, float, float]:
    return round(test.difference, 6), round(test.low, 6), round(test.high, 6), round(test.p, 6)


def _name_after(catalogue: Catalogue) -> str:
    """A name from that of the folder or table."""
    stem = Path(catalogue.root).resolve().stem or "photos"
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in stem).strip("-") or "photos"
