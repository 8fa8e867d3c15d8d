"""Train the last blocks of a network on labelled photos, and keep the outcome only where it pays."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from featx.backbones import Encoder, open_backbone
from featx.backbones.tuned import checked_name
from featx.catalogue.items import Catalogue
from featx.catalogue.reading import read_catalogue
from featx.embedding.stream import embed
from featx.finetuning.cut.processes import place_of, together
from featx.finetuning.events import TuneEvents
from featx.finetuning.files import write_weights
from featx.finetuning.frozen import labelled_photos, tunable_backbone
from featx.finetuning.judgement.division import Photos
from featx.finetuning.judgement.judge import judged_frozen, judged_tuned, suited_shrinkage
from featx.finetuning.judgement.unlabelled import Extra, extra_of, paths_of
from featx.finetuning.norms import adapt_norms, open_adapted
from featx.finetuning.options import AUTO, TuneOptions
from featx.finetuning.outcome import Tuned
from featx.finetuning.rungs import climbed
from featx.finetuning.trackers import tracked
from featx.finetuning.trainer import Trained, Trainer
from featx.finetuning.training.checkpoints import Progress
from featx.finetuning.training.levels import level_of
from featx.finetuning.updates import begun_from
from featx.finetuning.verdict import Verdict, handed_back
from featx.finetuning.work import Work
from featx.workspace import Workspace


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
        tuned = _tuned(catalogue, encoder, name, options, heard, folder, weights)
        tuned = replace(tuned, file=processes.agreed(tuned.file), seconds=time.monotonic() - begun)
        heard.finished(tuned.card, tuned.file)
    return tuned


def _tuned(
    catalogue: Catalogue,
    encoder: Encoder,
    name: str,
    options: TuneOptions,
    events: TuneEvents,
    folder: Path,
    weights: str | None,
) -> Tuned:
    """All steps in order: the bar, every way that is to be tried, the verdict."""
    begun = time.monotonic()
    encoder.tunable()  # what cannot be tuned is refused before any photo is read
    photos, unreadable = labelled_photos(catalogue, encoder, options, events)
    level = None
    if options.also is not None:
        level = level_of(options.also, catalogue, photos.store.paths)
        level.numbers(photos.learn)
    extra = _unlabelled(photos, encoder, options, events)
    encoder.rest()  # plain torch does all that follows
    photos = replace(photos, shrinkage=suited_shrinkage(photos, options.seed))
    before = judged_frozen(photos, options)
    events.before(before.reached(photos))
    frozen = Work(name, encoder.fingerprint, encoder, weights, photos, options, events, folder, begun, extra, level)
    work, adapted = frozen, None
    if options.adapt_norms is not None:
        work, adapted = _adapted(frozen, options.adapt_norms)
    trainer = Trainer(work)
    verdict = Verdict.of(work.photos, before, climbed(work, before, adapted, trainer))
    tuned = handed_back(frozen, verdict, trainer)
    shutil.rmtree(work.unfinished, ignore_errors=True)
    return replace(tuned, skipped=[*catalogue.skipped, *unreadable])


def _unlabelled(photos: Photos, encoder: Encoder, options: TuneOptions, events: TuneEvents) -> Extra:
    """The photos without categories."""
    if options.unlabelled is None:
        return Extra({})
    paths = paths_of(options.unlabelled)
    with (
        events.progress(len(paths), "photos without categories") as advance,
        embed(paths, lambda: encoder) as stream,
    ):
        found = {}
        for done, result in enumerate(stream, start=1):
            if result.features is not None:
                found[result.digest] = result.photo, result.features
            advance(done)
    extra = extra_of(photos, {d: path for d, (path, _) in found.items()}, {d: row for d, (_, row) in found.items()})
    events.unlabelled(len(paths), len(extra.paths))
    return extra


def _adapted(work: Work, source: str) -> tuple[Work, Trained]:
    """The work with adapted norms, which is what is tuned from now on; and how the network does with them."""
    begun, network, photos = time.monotonic(), work.encoder.tunable(), work.photos
    adapt_norms(work.encoder, network, paths_of(source))
    file = work.unfinished / "adapted.safetensors"
    write_weights(file, network.weights())
    encoder = open_adapted(work.parent, file, work.options.device)
    with embed(photos.store.paths, lambda: encoder) as stream:
        rows = np.stack([result.features for result in stream if result.features is not None])
    photos = replace(photos, store=photos.with_features(rows, work.parent))
    judgement = judged_tuned(photos, photos.store, work.options)
    made = Trained(network, None, Progress(0.0), judgement, rows, time.monotonic() - begun, 1.0)
    return replace(work, encoder=encoder, photos=photos), made


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """So many threads compute; as many as ever where nobody says."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _name_after(catalogue: Catalogue) -> str:
    """A name from that of the folder or table."""
    stem = Path(catalogue.root).resolve().stem or "photos"
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in stem).strip("-") or "photos"
