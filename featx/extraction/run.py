"""Catalogue and backbone in, store out: overlapped, resumable, and never computing the same photo twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from featx.backbones import Encoder, Fingerprint
from featx.backbones.nodes import without_nodes
from featx.backbones.weights import weights_file
from featx.catalogue.items import Catalogue, Skipped
from featx.catalogue.reading import read_catalogue
from featx.embedding.stream import Images, embed
from featx.extraction.commits import Commits
from featx.extraction.destination import (
    delete_store,
    require_same_fingerprint,
    require_writable_folder,
    resolve_destination,
)
from featx.extraction.existing_rows import ExistingRows
from featx.extraction.inspection import Inspection, Inspector
from featx.extraction.known_blocks import KnownBlocks, find_known_blocks
from featx.extraction.network import batch_size_of, choose_engine, open_network
from featx.extraction.options import (
    CopiedBlocks,
    ExtractionEvents,
    ExtractionOptions,
    ExtractionReport,
    WatchedExtraction,
)
from featx.extraction.plan import ExtractionPlan
from featx.extraction.provenance import equivalent_command, headings_after, layer_choice_of, made_how
from featx.extraction.signals import Interrupts
from featx.extraction.skip_log import (
    SkipLog,
    nothing_readable,
    unreadable_under_strict,
    write_skipped_list,
    write_unmatched_list,
)
from featx.extraction.stat_cache import StatCache
from featx.extraction.suited_layers import sample_of, suited_layers, wants_auto
from featx.files.regular import same_place
from featx.images import UnreadablePhoto, decode_photo, read_bytes
from featx.images.views import view_of
from featx.metrics.block_choice import BlockChoice
from featx.store import Row, Store, StoreWriter, ensure_room, open_store
from featx.workspace import Workspace, is_store

COPIES_AT_ONCE = 256
# Rows that are committed together, unless `--batch-size` says otherwise.
COMMITTED_AT_ONCE = 16


def extract(
    source: str | Path | Iterable[str] | Catalogue,
    *,
    store: str | Path | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    layer: str | None = None,
    pool: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    engine: str = "auto",
    exact_decode: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
    views: int = 1,
    seed: int = 0,
    dtype: str = "float32",
    prune: bool = False,
    force: bool = False,
    replace: bool = False,
    strict: bool = False,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Store:
    """Turn photos into features, once; what is already in the store is not computed again.

    `source` is a folder, a manifest, paths, or a catalogue read with `read_catalogue`. `progress` is told how many
    photos are done of how many; `featx.ProgressBar()` shows it.
    """
    arguments = locals()
    options = ExtractionOptions.from_arguments(arguments)
    path = Path(store) if store is not None else None
    catalogue = source if isinstance(source, Catalogue) else read_catalogue(source)
    command = equivalent_command(source, options, path)
    events = WatchedExtraction(progress)
    return open_store(run_extraction(catalogue, options, store=path, listener=events, command=command).store)


def run_extraction(
    catalogue: Catalogue,
    options: ExtractionOptions,
    *,
    store: Path | None = None,
    workspace: Workspace | None = None,
    listener: ExtractionEvents | None = None,
    command: str = "",
    stop: threading.Event | None = None,
    in_all: int = 0,
) -> ExtractionReport:
    """Bring a store up to date with a catalogue and report what was done.

    `command` is what the store remembers it was made with; where none is given, the command that does the same. Setting
    `stop` is like Ctrl-C: the batch is finished, what is done is kept, and a later run goes on from there.
    `in_all` is how many photos there are where this catalogue is a shard of them.
    """
    workspace = workspace or Workspace.here()
    listener = listener or ExtractionEvents()
    command = command or equivalent_command(catalogue, options, store)
    begun = time.monotonic()
    name, reason, path = resolve_destination(options, store, workspace)
    listener.chosen(catalogue, name, reason)
    workspace.make()
    known: Store | None = None
    if is_store(path):
        if options.replace and not options.dry_run:
            delete_store(path)
        elif not options.replace:
            known = open_store(path)
    require_writable_folder(path)
    choice = None
    if wants_auto(name, options):
        if known is None and not options.dry_run:
            name, choice = _with_suited_layers(catalogue, name, options, listener)
        name, options = (name if choice else without_nodes(name)), replace(options, layer=None)
    if known is not None:
        require_same_fingerprint(known, options, name, path)
    run = ExtractionRun(catalogue, options, name, path, known, workspace, listener, command, stop or threading.Event())
    run.report.layer_choice, run.in_all = choice, in_all
    report = run.rehearse() if options.dry_run else run.go()
    report.backbone_reason = reason
    report.seconds = time.monotonic() - begun
    return report


def _with_suited_layers(
    catalogue: Catalogue, name: str, options: ExtractionOptions, listener: ExtractionEvents
) -> tuple[str, BlockChoice | None]:
    """The backbone with the layers that suit the catalogue, and why these."""
    with listener.choosing_layers(len(sample_of(catalogue.items))) as advance:
        suited = suited_layers(catalogue, name, options, advance)
    listener.layers_chosen(suited.reason)
    return suited.name, suited.choice


class ExtractionRun:
    """One extraction: a stream reads and computes, another thread commits, and the plan keeps count."""

    def __init__(
        self,
        catalogue: Catalogue,
        options: ExtractionOptions,
        name: str,
        path: Path,
        known: Store | None,
        workspace: Workspace,
        listener: ExtractionEvents,
        command: str,
        stop: threading.Event,
    ) -> None:
        self.catalogue, self.options, self.name, self.path = catalogue, options, name, path
        self.workspace, self.listener, self.command = workspace, listener, command
        self.report = ExtractionReport(store=path, backbone=name, dry_run=options.dry_run)
        self.report.unmatched = catalogue.unmatched
        self.existing = ExistingRows(known)
        self.plan = ExtractionPlan(catalogue, self.existing, self.report)
        self.source = self.existing.source_of(catalogue)
        self.provenance = dict(self.existing.provenance)
        self.stats, self.skips = StatCache(path), SkipLog(known)
        self.inspector = Inspector(self.existing, self.stats, self.skips, self._images, force=options.force)
        self.stop = stop
        self.in_all = 0
        self.backbone: Encoder | None = None
        self.known_blocks = KnownBlocks()
        self.fingerprint: Fingerprint | None = self.existing.fingerprint

    # --- a dry run: inspect, report, write nothing --------------------------------------------------------------------

    def rehearse(self) -> ExtractionReport:
        """Report what a run would do; nothing is computed or written."""
        if self._weights_are_a_file:
            # Opened only to see that the file fits the network, and the network the store.
            open_network(self.name, self.options, self.existing, self.path)

        def look(photo: Inspection) -> None:
            self.inspector.look(photo)

        photos = map(Inspection, self.plan.items)
        with (
            self.listener.progress(len(self.plan.items)) as advance,
            embed(photos, self._opened, read=look, workers=self.options.workers) as stream,
        ):
            for done, result in enumerate(stream, start=1):
                result.photo.conclude(result)
                self.plan.add(result.photo)
                advance(done)
        for copy in self.plan.copies:
            self.plan.confirm_copy(copy)
        self.plan.complete(prune=self.options.prune)
        self.report.total = len(self.existing.rows)
        return self.report

    @property
    def _weights_are_a_file(self) -> bool:
        return weights_file(self.options.weights) is not None

    # --- the real run -------------------------------------------------------------------------------------------------

    def go(self) -> ExtractionReport:
        """Compute what is missing and write it."""
        if self.existing.rows and not any(self.existing.row_of(item) for item in self.plan.items):
            self.listener.adding(self.path, len(self.existing.rows))
        if self._needs_network():
            self._open_network()
        if self.fingerprint is None:  # an empty catalogue never gets this far; every photo of it was skipped
            raise self._nothing_readable()
        width = self.report.width = self.fingerprint.width
        ensure_room(self.path, len(self.plan.items) * self.options.views if self.backbone is not None else 0, width)
        with (
            StoreWriter.open(
                self.path, self.fingerprint, dtype=self.options.dtype, provenance=self.provenance
            ) as writer,
            Interrupts(self.stop, self.listener),
        ):
            if writer.recovered:
                self.report.resumed = writer.recovered
                self.listener.resuming(writer.recovered, len(self.plan.items))
            self._compute(writer)
            self.report.stopped = self.stop.is_set()
            if not self.report.stopped:
                self._settle(writer)
            self.report.total = len(writer.known())
            if not self.report.stopped:
                if not self.report.total:
                    raise self._nothing_readable()
                self._seal(writer)
        self.report.skipped_list = write_skipped_list(self.report.skipped, self.workspace.skipped_list)
        self.report.unmatched_list = write_unmatched_list(self.catalogue.unmatched, self.workspace.unmatched_list)
        if not self.report.stopped:
            self._note_current()
        if self.options.strict and self.report.skipped:
            raise unreadable_under_strict(self.report.skipped[0])
        return self.report

    def _needs_network(self) -> bool:
        """Whether anything is to be computed; when nothing changed the network is not even loaded."""
        decided = self.options.force or self.options.weights is not None or self.existing.fingerprint is None
        return decided or self.inspector.finds_new_bytes(self.plan.items)

    def _open_network(self) -> None:
        backbone, self.fingerprint = open_network(self.name, self.options, self.existing, self.path)
        self.backbone = backbone
        self.report.device, self.report.precision = backbone.spec.device, self.fingerprint.precision
        new = sum(1 for item in self.plan.items if self.options.force or self.existing.row_of(item) is None)
        new = max(new, self.in_all)
        self.report.engine, why = choose_engine(backbone, self.options, new * self.options.views, self.provenance)
        if why:
            self.listener.other_engine(why)
        if not self.provenance:
            self.provenance = {"engine": self.report.engine} if self.report.engine else {}
            self.provenance |= layer_choice_of(self.report, {})
        self.listener.opened(backbone)
        if self.options.views == 1 and not self.options.force:
            exact = self.options.exact_decode
            self.known_blocks = find_known_blocks(backbone, self.path, self.workspace.embeddings, exact=exact)

    def _opened(self) -> Encoder:
        assert self.backbone is not None
        return self.backbone

    def _compute(self, writer: StoreWriter) -> None:
        """Every photo through the stream; rows are committed by a thread of their own, a batch at a time."""
        batch = self.report.batch_size = batch_size_of(self.backbone, self.options) if self.backbone is not None else 0
        begun = time.monotonic()
        with (
            Commits(writer) as commits,
            self.listener.progress(len(self.plan.items)) as advance,
            embed(
                self._photos(writer),
                self._opened,
                read=self.inspector.read,
                known=self.known_blocks.known,
                prepare=self.known_blocks.prepare,
                workers=self.options.workers,
                batch=batch,
                stop=self.stop,
                on_halved=self._halved,
            ) as stream,
        ):
            for done, result in enumerate(stream, start=1):
                photo = result.photo
                photo.conclude(result)
                self._take_in(photo)
                if result.features is not None:
                    commits.add(self._row(photo, result.features), self._rows_of_a_commit(stream.batch))
                if photo.kind == "skipped" and self.options.strict:
                    break
                skipped = len(self.report.skipped)
                advance(done, f"{skipped:,} skipped" if skipped else "")
        seconds = time.monotonic() - begun
        self.report.blocks_copied = [
            CopiedBlocks(block, store, photos) for (block, store), photos in sorted(self.known_blocks.copied.items())
        ]
        # Copied blocks say nothing about the pace of the networks.
        computed = 0 if self.report.blocks_copied else self.report.computed
        self.report.images_per_second = computed / seconds
        waited, worked = stream.seconds_reading, stream.seconds_computing
        self.report.waiting_share = waited / max(waited + worked, 1e-9)

    def _rows_of_a_commit(self, batch: int) -> int:
        """A commit waits for the disk: one for each batch of a few photos would cost more than their features."""
        return batch if self.options.batch_size else max(batch, COMMITTED_AT_ONCE)

    def _photos(self, writer: StoreWriter) -> Iterator[Inspection]:
        yield from map(Inspection, self.plan.items)
        if self.backbone is not None and not self.stop.is_set():
            writer.make_ready()  # while the network is busy with the last photos

    def _halved(self, batch: int) -> None:
        self.report.batch_size, self.report.halved = batch, True
        self.listener.halved(batch)

    def _take_in(self, photo: Inspection) -> None:
        self.plan.add(photo)
        if photo.mark is not None and photo.digest:
            self.stats.note(photo.item.path, photo.mark, photo.digest)
        if photo.skip is not None:
            self.skips.note(photo.skip, photo.mark)

    def _images(self, data: bytes, path: str, digest: str, smallest: tuple[int, int] | None) -> Images:
        """A photo and its other views; called from worker threads."""
        # A view is a crop of its own; only the whole photo is known to need no more than the smallest size.
        image = decode_photo(data, path, draft_size=smallest if self._scaled else None)
        return [image, *(view_of(image, digest, view, self.options.seed) for view in range(1, self.options.views))]

    @property
    def _scaled(self) -> bool:
        return self.options.views == 1 and not self.options.exact_decode

    def _row(self, photo: Inspection, features: np.ndarray) -> Row:
        item, known = photo.item, self.existing.row_of(photo.item)
        source = known.source if known is not None else self.source
        return Row(
            item.item_id,
            item.path,
            photo.digest,
            item.label,
            item.product,
            item.split,
            dict(item.extra),
            features,
            source,
        )

    # --- after the last photo -----------------------------------------------------------------------------------------

    def _settle(self, writer: StoreWriter) -> None:
        """Everything but new features: copies, other labels, and rows that go."""
        self._commit_copies(writer)
        if self.plan.updates:
            writer.update(self.plan.updates)
        self.plan.complete(prune=self.options.prune)
        going = self.plan.rows_to_remove()
        if going:
            writer.remove(going)

    def _commit_copies(self, writer: StoreWriter) -> None:
        """Photos whose bytes were computed before get rows of their own with the same features."""
        stored, copies = writer.digests(), self.plan.copies
        for start in range(0, len(copies), COPIES_AT_ONCE):
            rows = []
            for copy in copies[start : start + COPIES_AT_ONCE]:
                if copy.digest in stored:
                    rows.append(self._row(copy, writer.copy_features(copy.digest)))
                    self.plan.confirm_copy(copy)
                else:
                    self._skip_copy(copy)
            writer.append(rows)

    def _skip_copy(self, copy: Inspection) -> None:
        """Skip a copy whose original could not be decoded."""
        try:
            decode_photo(read_bytes(copy.item.path), copy.item.path)
        except UnreadablePhoto as error:
            skip = Skipped(copy.item.path, error.reason, error.detail)
            self.plan.reject_copy(skip)
            self.skips.note(skip, copy.mark)

    def _seal(self, writer: StoreWriter) -> None:
        known = writer.known()
        # By path, whatever the history: an interrupted and resumed run ends like an uninterrupted one.
        order = sorted(known, key=lambda item_id: (known[item_id].path, item_id))
        if self.report.computed or "written" not in self.provenance:
            scaled = self._scaled and self.backbone is not None and self.backbone.spec.decode_size is not None
            self.provenance = made_how(
                self.command,
                self.catalogue,
                self.options,
                self.report,
                self.backbone,
                self.provenance,
                scaled=scaled,
            )
        if headings := headings_after(self.catalogue, self.existing.provenance):
            self.provenance["headings"] = headings
        self.skips.commit(writer)
        writer.seal(provenance=self.provenance, order=order)
        self.stats.write()

    def _note_current(self) -> None:
        """The first store becomes the current one; later ones leave that to `featx use`."""
        current = self.workspace.note_first(self.path)
        if current is not None and not same_place(str(self.path), current):
            self.report.current = str(current)

    def _nothing_readable(self) -> Exception:
        where = write_skipped_list(self.report.skipped, self.workspace.skipped_list)
        return nothing_readable(self.report.skipped, self.report.listed, where)
