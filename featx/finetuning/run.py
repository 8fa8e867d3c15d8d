"""Train the last blocks of a network on labelled photos, and keep the outcome only where it pays."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from featx.backbones import Encoder, choose_backbone, open_backbone
from featx.backbones.cuts import Cut, CutNetwork
from featx.backbones.fingerprint import PLUS, Fingerprint
from featx.backbones.names import BUILTIN, COLOUR
from featx.backbones.nodes import AT
from featx.backbones.registry import backbone_rows
from featx.backbones.tunable import TunableNetwork
from featx.backbones.tuned import PREFIX, checked_name
from featx.backbones.tuned_card import VERSION, Epoch, Folds, Parent, Reached, Step, TunedCard
from featx.catalogue.items import Catalogue, Item, Skipped
from featx.catalogue.reading import read_catalogue
from featx.embedding.stream import Lookup, Source, batch_size_for, embed, nothing_known, read_source
from featx.errors import FeatxError
from featx.finetuning.activations import Activations, Making, budget_of, views_within
from featx.finetuning.checkpoints import Checkpoint, Progress, key_of
from featx.finetuning.events import Kept, Planned, TuneEvents
from featx.finetuning.folds import out_of_fold
from featx.finetuning.front import FrontEncoder, digest_of
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
from featx.finetuning.ladder import FROZEN, JOINED, NODES, TAIL, VIEWS, WHOLE, Rung, lowest_as_good
from featx.finetuning.nodes import beside, frozen_nodes, widened
from featx.finetuning.options import AUTO, NO_AUGMENTATION, TuneOptions
from featx.finetuning.photos import Photos, divided
from featx.finetuning.processes import place_of, started, together
from featx.finetuning.publishing import answers_as_file, publish, weights_as_file
from featx.finetuning.tail import BATCH, Maps, Tail, Whole, seconds_of_a_photo
from featx.finetuning.tracking import tracked
from featx.finetuning.training import LEAST, Lessons, State, Training
from featx.finetuning.updating import begun_from, judges_of
from featx.images.views import AUGMENTATIONS
from featx.labels.seen import seen_by
from featx.metrics.significance import PairedTest
from featx.store import open_store
from featx.workspace import Workspace, is_store

# What `--depth auto` cuts off: two blocks gain most of what a CPU can afford.
USUAL_DEPTH, ALL, HEAD = 2, "all", "head"
# Shares of the tuned weights that are tried, the rest being the original ones.
SHARES = (0.25, 0.5, 0.75, 1.0)
# Rows of views that a discriminant analysis learns from at most: more take gigabytes.
MOST_ROWS = 12_000
# Photos whose activations are written together.
WRITTEN_AT_ONCE = 16


@dataclass(frozen=True)
class Tuned:
    """The outcome of a tuning: what it changed on photos that only judged, and the network where it was kept."""

    name: str
    before: Reached
    after: Reached
    gain: float
    low: float
    high: float
    p: float
    pays: bool
    file: Path | None
    card: TunedCard
    seconds: float
    skipped: Sequence[Skipped] = ()
    # Every way that was tried, the cheapest first, and the one that won.
    ladder: Sequence[Step] = ()
    best: Step | None = None

    @property
    def backbone(self) -> str:
        """The name by which every command and function takes the network."""
        if self.file is None:
            raise FeatxError(
                "no-model", "the frozen network is as good, so no tuned one was written", "`keep=True` writes it"
            )
        return f"{PREFIX}{self.name}"

    @property
    def history(self) -> list[Epoch]:
        """The epochs of the training."""
        return self.card.history

    def to_dict(self) -> dict[str, Any]:
        """The document of `featx tune --json`."""
        return {
            "name": f"{PREFIX}{self.name}",
            "file": None if self.file is None else str(self.file),
            "written": self.file is not None,
            "pays": self.pays,
            "before": _plain(self.before),
            "after": _plain(self.after),
            "gain": {"value": self.gain, "low": self.low, "high": self.high, "p": self.p},
            "tested": None if self.card.tested is None else [_plain(reached) for reached in self.card.tested],
            "beside": None if self.card.beside is None else [_plain(reached) for reached in self.card.beside],
            "tested_gain": self.card.tested_gain,
            "folds": None if self.card.folds is None else _plain(self.card.folds),
            "ladder": [_plain(step) for step in self.ladder],
            "best": None if self.best is None else self.best.name,
            "cut": self.card.cut,
            "recipe": self.card.recipe,
            "history": [_plain(epoch) for epoch in self.history],
            "categories": len(self.card.categories),
            "tuned_on": len(self.card.tuned_on),
            "judged_on": len(self.card.judged_on),
            "skipped": [{"path": skip.path, "reason": skip.reason} for skip in self.skipped],
            "seconds": round(self.seconds, 1),
        }


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
    encoder = open_backbone(backbone or tunable_backbone(), weights=weights, device=options.device)
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
        self.options, self.events, self.weights = options, events, weights
        self.begun = time.monotonic()
        self.network: TunableNetwork = encoder.tunable()
        self.parent = encoder.fingerprint
        self.skipped: list[Skipped] = list(catalogue.skipped)
        self.folder = folder

    def go(self) -> Tuned:
        """All steps in order."""
        photos = self._photos()
        before = judged_frozen(photos, self.options)
        self.events.before(before.reached(photos))
        rungs, trained = self._climbed(photos, before)
        best = lowest_as_good(photos, rungs)
        made = trained.get(WHOLE if best.name == WHOLE else TAIL) or next(iter(trained.values()), None)
        after = best.judgement if best.is_trained or made is None else made.judgement
        test = paired(photos, before, after)
        pays = best.is_trained
        self.events.after(after.reached(photos), (test.difference, test.low, test.high, test.p))
        steps = [rung.step(photos) for rung in rungs]
        card, file = self._kept(photos, made, before, after, test, steps, pays or self.options.keep)
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

    def _climbed(self, photos: Photos, before: Judgement) -> tuple[list[Rung], dict[str, _Trained]]:
        """The rungs that `--depth` wants, and the networks that were trained for them."""
        depth = str(self.options.depth)
        rungs, trained = [Rung(FROZEN, before, time.monotonic() - self.begun)], {}
        parts, cut = self._cut(depth)
        with self._activations(photos, parts, cut) as (activations, views):
            nodes = None
            if depth in (AUTO, HEAD) and parts is not None and cut is not None:
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
        views = views_within(budget, len(set(photos.digests)), making.record.itemsize, self.options.views_used)
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
        rows = nodes.rows(_batches(activations, photos.digests, 0))
        wide = widened(self.parent, rows)
        own = f" --weights {self.weights}" if self.weights else ""
        layers = f"-b {self.parent.backbone}{own} --layer {nodes.layers}"
        rungs = [Rung(NODES, self._judged(photos, rows, wide), time.monotonic() - begun, layers)]
        self.events.rung(rungs[-1].step(photos))
        if views and not self.options.for_look_alikes:
            begun, learned = time.monotonic(), [photos.digests[i] for i in photos.learn]
            used = min(views, max(1, MOST_ROWS // len(learned) - 1))
            more = [nodes.rows(_batches(activations, learned, view)) for view in range(1, used + 1)]
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
        checkpoint = Checkpoint(self._unfinished / name.split(maxsplit=1)[0], key_of(self._facts(photos, cut, views)))
        if self.options.fresh:
            checkpoint.remove()
        best, progress = training.run(checkpoint, self._seconds_left)
        judgement, rows, share = self._blended(training, best, photos)
        return _Trained(self.network, cut, progress, judgement, rows, time.monotonic() - begun, share)

    # --- photos -------------------------------------------------------------------------------------------------------

    def _photos(self) -> Photos:
        """The labelled photos that can be read, with their features by the frozen network, divided."""
        items = [item for item in self.catalogue.items if item.label is not None]
        if not items:
            raise FeatxError(
                "class-too-small",
                f"none of the {len(self.catalogue.items):,} photos has a category",
                "put each category into a folder of its own, or name the column: `--label-col COLUMN`",
            )
        self.encoder.use_engine("auto", photos=len(items), batch_size=batch_size_for(self.encoder))
        readable: list[Item] = []
        rows: list[NDArray[np.float32]] = []
        by_path = [item.path for item in items]
        with (
            self.events.progress(len(items), "frozen features") as advance,
            embed(by_path, lambda: self.encoder, known=self._extracted()) as stream,
        ):
            for done, result in enumerate(stream):
                if result.features is not None:
                    readable.append(replace(items[done], digest=result.digest))
                    rows.append(result.features)
                elif result.unreadable is not None:
                    bad = result.unreadable
                    self.skipped.append(Skipped(items[done].path, bad.reason, bad.detail))
                advance(done + 1)
        if self.skipped:
            self.events.left_out(self.skipped)
        photos = divided(
            readable,
            np.stack(rows),
            self.parent,
            {"product_source": self.catalogue.product_source},
            f"{self.catalogue.root}",
            self.options.val,
            self.options.seed,
            judges_of(self.parent.backbone, readable, self.options),
        )
        spec = self.encoder.spec
        products = len(set(photos.groups[photos.judge].tolist()))
        self.events.planned(
            Planned(
                len(photos.learn),
                len(photos.judge),
                products,
                len(photos.categories),
                len(photos.test),
                spec.name,
                spec.device_reason,
                photos.twins,
            )
        )
        return photos

    def _extracted(self) -> Lookup:
        """The features that a store in the artifacts has of the same network."""
        path = Workspace.here().store_path(self.encoder.spec.name)
        store = open_store(path) if is_store(path) else None
        if store is None or store.fingerprint.difference(self.parent, "append"):
            return nothing_known
        rows = {digest: i for i, digest in enumerate(store.digests)}
        features = store.features
        return lambda digest: features[rows[digest]] if digest in rows else None

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
        learned = {photos.digests[i] for i in photos.learn}
        wanted: dict[str, list[int]] = {}
        paths: dict[str, str] = {}
        for path, digest in zip(photos.store.paths, photos.digests, strict=True):
            numbers = range(views + 1) if digest in learned else range(1)
            missing = [number for number in numbers if (digest, number) not in activations]
            if missing:
                wanted[digest], paths[digest] = missing, path
        each = activations.making.record.itemsize
        total = (len(learned) * (views + 1) + len(set(photos.digests) - learned)) * each
        self.events.cut(
            Kept(
                "all layers" if cut is None else cut.name,
                len(parts.blocks) if cut is None and parts is not None else 0 if cut is None else cut.blocks,
                each,
                views,
                len(set(photos.digests)),
                total,
                sum(map(len, wanted.values())),
            )
        )
        front = (
            FrontEncoder(self.encoder, None)
            if cut is None or parts is None
            else FrontEncoder.up_to(self.encoder, self.network, cut, parts)
        )
        of_path = {path: digest for digest, path in paths.items()}

        def read(path: str) -> Source:
            return self._views_of(path, wanted[of_path[path]])

        waiting: list[tuple[str, int]] = []
        maps: list[NDArray[np.float32]] = []

        def write() -> None:
            if waiting:
                activations.append(waiting, np.stack(maps))
                waiting.clear()
                maps.clear()

        with (
            self.events.progress(len(paths), "activations") as advance,
            embed(list(of_path), lambda: front, read=read) as stream,
        ):
            for done, result in enumerate(stream, start=1):
                if result.features is None:
                    raise FeatxError(
                        "photo-unreadable", f"`{result.photo}` changed while it was being tuned on", "run it again"
                    )
                digest = of_path[result.photo]
                rows = result.features.reshape(len(wanted[digest]), -1)
                waiting += [(digest, number) for number in wanted[digest]]
                maps += list(rows)
                if len(waiting) >= WRITTEN_AT_ONCE:
                    write()
                advance(done)
            write()

    def _views_of(self, path: str, numbers: Sequence[int]) -> Source:
        """Some views of a photo: 0 is the photo as it is."""
        plain = read_source(path)
        policy = None if self.options.augment == NO_AUGMENTATION else AUGMENTATIONS[self.options.augment]

        def decode(smallest: tuple[int, int] | None) -> list[Image.Image]:
            images = []
            for number in numbers:
                image = plain.decode(smallest)[0]
                if number and policy is not None:
                    image = policy.view(image, plain.digest, number, self.options.seed)
                images.append(image)
            return images

        return Source(plain.digest, decode)

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
        tail = Tail(back, self.network.read, len(photos.categories), self.network.width, self._precision())
        digests = photos.digests
        lessons = Lessons(
            [digests[i] for i in learn],
            photos.truth(learn),
            [digests[i] for i in photos.judge],
            photos.truth(photos.judge),
            views,
            len(photos.categories),
            np.concatenate([photos.groups[learn], photos.groups[photos.judge]]),
        )
        begin = tail.begin_from_centres if self.options.loss == "arcface" else tail.begin_from
        begin(photos.store.features[learn, : self.network.width], lessons.truth)
        return Training(tail, parts, activations, lessons, self.options, self.events)

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
            "parent": self.parent.to_dict(),
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
        before: Judgement,
        after: Judgement,
        test: PairedTest,
        steps: list[Step],
        writes: bool,
    ) -> tuple[TunedCard, Path | None]:
        """The card, and the file where the network is written."""
        if made is None:
            return self._card(photos, None, before, after, test, steps, ""), None
        data, sha256 = weights_as_file(made.network.weights())
        card = self._card(photos, made, before, after, test, steps, sha256)
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

    def _card(
        self,
        photos: Photos,
        made: _Trained | None,
        before: Judgement,
        after: Judgement,
        test: PairedTest,
        steps: list[Step],
        sha256: str,
    ) -> TunedCard:
        parent = self.parent
        licences = {row["name"]: row["licence"] for row in backbone_rows()}
        tested = before.reached_in_test(photos), after.reached_in_test(photos)
        return TunedCard(
            VERSION,
            self.name,
            sha256,
            Parent(
                parent.backbone,
                parent.weights,
                parent.weights_sha256,
                parent.preprocessing,
                parent.width,
                licences.get(parent.backbone, "–"),
            ),
            "its first layer" if made is None or made.cut is None else made.cut.name,
            {**self.options.recipe(), "lr": None if made is None else made.progress.rate},
            self.options.seed,
            dict(self.encoder.spec.versions),
            photos.categories,
            before.reached(photos),
            after.reached(photos),
            _rounded(test),
            [] if made is None else made.progress.history,
            sorted({photos.digests[i] for i in photos.learn} | seen_by(parent).learned),
            sorted({photos.digests[i] for i in photos.judge}),
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            None if tested[0] is None or tested[1] is None else (tested[0], tested[1]),
            reached_beside(photos, before, after),
            tested_gain=None if tested[0] is None else _rounded(paired_in_test(photos, before, after)),
            ladder=steps,
            answers=answers_of(photos, before, after),
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


def tunable_backbone() -> str:
    """The best backbone here that can be tuned: a part of the one that `extract` would choose."""
    chosen = choose_backbone()[0]
    parts = [part for part in chosen.split(PLUS) if part != COLOUR]
    # The built-in network has learned from product photos already; the others have more to gain.
    parts.sort(key=lambda part: part == BUILTIN)
    if not parts:
        raise FeatxError(
            "weights-missing",
            f"`{chosen}`, the best backbone here, cannot be tuned",
            'name another, such as `-b resnet18`, or get one: `pip install "featx[imagenet]"`',
        )
    return parts[0]


def _batches(activations: Activations, digests: Sequence[str], view: int) -> Iterator[Maps]:
    """One view of these photos, some at a time."""
    for start in range(0, len(digests), BATCH):
        yield activations.take([(digest, view) for digest in digests[start : start + BATCH]])


def _rounded(test: PairedTest) -> tuple[float, float, float, float]:
    return round(test.difference, 6), round(test.low, 6), round(test.high, 6), round(test.p, 6)


def _name_after(catalogue: Catalogue) -> str:
    """A name from that of the folder or table."""
    stem = Path(catalogue.root).resolve().stem or "photos"
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in stem).strip("-") or "photos"


def _plain(record: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(record)
    return plain
