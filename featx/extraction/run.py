"""Catalogue and backbone in, store out: overlapped, resumable, and never computing the same photo twice."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from featx.backbones import Encoder, Fingerprint, OutOfMemory, open_backbone
from featx.catalogue.items import Catalogue, Item, Skipped
from featx.catalogue.reading import read_catalogue
from featx.compute.threads import cores
from featx.embedding.reopen import asked_layer, other_backbone, same_weights
from featx.errors import FeatxError
from featx.extraction.destination import delete_store, exists, require_same_fingerprint, resolve_destination
from featx.extraction.existing_rows import ExistingRows, differs
from featx.extraction.inspection import Inspection, Inspector
from featx.extraction.options import MOST_IN_A_BATCH, ExtractionEvents, ExtractionOptions, ExtractionReport
from featx.extraction.signals import Interrupts
from featx.extraction.stat_cache import SkipLog, StatCache
from featx.images import UnreadablePhoto, decode_photo, digest_of, read_bytes
from featx.images.views import view_of
from featx.store import Row, Store, StoredItem, StoreWriter, ensure_room, open_store
from featx.workspace import Workspace

BATCH_ON_CPU = 16
BATCH_ON_GPU = 128
# Batches under way: when one is done, the next is at hand already.
AT_ONCE = 2


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
) -> Store:
    """Turn photos into features, once; what is already in the store is not computed again.

    `source` is a folder, a manifest, paths, or a catalogue read with `read_catalogue`.
    """
    request = ExtractionOptions(
        backbone=backbone,
        weights=weights,
        layer=layer,
        pool=pool,
        device=device,
        precision=precision,
        engine=engine,
        exact_decode=exact_decode,
        batch_size=batch_size,
        workers=workers,
        views=views,
        seed=seed,
        dtype=dtype,
        prune=prune,
        force=force,
        replace=replace,
        strict=strict,
    )
    catalogue = source if isinstance(source, Catalogue) else read_catalogue(source)
    return open_store(run_extraction(catalogue, request, store=Path(store) if store is not None else None).store)


def run_extraction(
    catalogue: Catalogue,
    request: ExtractionOptions,
    *,
    store: Path | None = None,
    workspace: Workspace | None = None,
    listener: ExtractionEvents | None = None,
) -> ExtractionReport:
    """Bring a store up to date with a catalogue and say what was done."""
    workspace = workspace or Workspace.here()
    listener = listener or ExtractionEvents()
    begun = time.monotonic()
    name, reason, path = resolve_destination(request, store, workspace)
    listener.chosen(catalogue, name, reason)
    workspace.make()
    known: Store | None = None
    if exists(path):
        if request.replace and not request.dry_run:
            delete_store(path)
        elif not request.replace:
            known = open_store(path)
            require_same_fingerprint(known, request, name, path)
    SkipLog.check_writable(path)
    run = ExtractionRun(catalogue, request, name, path, known, workspace, listener)
    summary = run.dry() if request.dry_run else run.go()
    summary.seconds = time.monotonic() - begun
    return summary


class ExtractionRun:
    """One extraction: threads look at photos, this thread runs the network, another one commits."""

    def __init__(
        self,
        catalogue: Catalogue,
        request: ExtractionOptions,
        name: str,
        path: Path,
        known: Store | None,
        workspace: Workspace,
        listener: ExtractionEvents,
    ) -> None:
        self.catalogue, self.request, self.path = catalogue, request, path
        self.workspace, self.listener = workspace, listener
        self.name = name
        self.known = ExistingRows(known)
        self.provenance = dict(self.known.provenance)
        self.seen = StatCache(path)
        self.skips = SkipLog(path, known)
        self.items = list(self.known.named(catalogue))
        self.summary = ExtractionReport(
            store=path, backbone=name, listed=len(catalogue.items) + len(catalogue.skipped), dry_run=request.dry_run
        )
        self.summary.skipped = list(catalogue.skipped)
        self.stop = threading.Event()
        self.backbone: Encoder | None = None
        self.fingerprint: Fingerprint | None = None
        self.looks = Inspector(self.known, self.seen, self.skips, self.stop, force=request.force)
        self._draft_size: tuple[int, int] | None = None
        self._halving = threading.Lock()

    # --- a dry run: look, tell, write nothing ---------------------------------------------------------------------

    def dry(self) -> ExtractionReport:
        """What a run would do; nothing is written."""
        gained: list[tuple[Item, str]] = []
        with self.listener.progress(len(self.items)) as advance, ThreadPoolExecutor(self._workers()) as pool:
            for done, look in enumerate(self.looks.over(self.items, pool, 4 * self._workers()), start=1):
                self._count(look)
                if look.kind in ("new", "copied"):
                    gained.append((look.item, look.digest))
                advance(done)
        self._tell_left(gained)
        self.summary.total = len(self.known.rows)
        return self.summary

    def _count(self, look: Inspection) -> None:
        summary = self.summary
        if look.kind == "unchanged":
            summary.unchanged += 1
            row = self.known.row_of(look.item)
            if row is not None and row.path != look.item.path:
                summary.renamed += 1
            elif row is not None and differs(row, look.item):
                summary.refreshed += 1
        elif look.kind == "skipped":
            if look.skip is not None:
                summary.skipped.append(look.skip)
        elif look.kind == "copied":
            summary.copied += 1
        elif look.kind == "new":
            summary.new += 1
        else:
            summary.changed += 1

    def _tell_left(self, gained: Sequence[tuple[Item, str]]) -> dict[str, str]:
        renamed, self.summary.gone = self.known.left(self.items, self.summary.skipped, gained)
        self.summary.renamed += len(renamed)
        self.summary.copied -= len(renamed)
        return renamed

    # --- the real run ---------------------------------------------------------------------------------------------

    def go(self) -> ExtractionReport:
        """Compute what is missing and write it."""
        todo = self._anything_to_compute()
        if todo:
            self._open_backbone()
        fingerprint = self.fingerprint or self.known.fingerprint
        if fingerprint is None:  # an empty catalogue never reaches this point; every photo of it was skipped
            raise self._all_skipped()
        width = fingerprint.width
        self.summary.width = width
        ensure_room(self.path, len(self.items) * self.request.views if todo else 0, width)
        with (
            StoreWriter.open(self.path, fingerprint, dtype=self.request.dtype, provenance=self.provenance) as writer,
            Interrupts(self.stop, self.listener),
        ):
            if writer.recovered:
                self.summary.resumed = writer.recovered
                self.listener.resuming(writer.recovered, len(self.items))
            self._compute(writer)
            self.summary.stopped = self.stop.is_set()
            self.summary.total = len(writer.known())
            if not self.summary.stopped:
                if not self.summary.total:
                    raise self._all_skipped()
                self._seal(writer)
        self.summary.skipped_list = self.skips.write_list(self.summary.skipped, self.workspace.skipped_list)
        if not self.summary.stopped:
            before = self.workspace.noted()
            if before is not None and before.resolve() != self.path.resolve() and not os.environ.get("FEATX_STORE"):
                self.summary.current_before = str(before)
            self.workspace.note_current(self.path)
        if self.request.strict and self.summary.skipped:
            raise _strict(self.summary.skipped[0])
        return self.summary

    def _anything_to_compute(self) -> bool:
        """Whether the network is needed at all; when nothing changed it is not even loaded."""
        if self.request.force or self.known.fingerprint is None or self.request.weights is not None:
            return True
        for item in self.items:
            row = self.known.row_of(item)
            try:
                stat = os.stat(item.path)
            except OSError:
                continue
            mark = (stat.st_size, stat.st_mtime_ns)
            if row is not None and self.seen.digest(item.path, mark) == row.digest:
                continue
            if self.skips.still_bad(item.path, mark) is None:
                try:
                    if digest_of(read_bytes(item.path)) not in self.known.digests:
                        return True
                except UnreadablePhoto:
                    continue
        return False

    def _open_backbone(self) -> None:
        stored, request = self.known.fingerprint, self.request
        weights = (
            request.weights if request.weights is not None or stored is None else same_weights(stored, self.provenance)
        )
        backbone = open_backbone(
            self.name,
            weights=weights,
            layer=request.layer or (asked_layer(stored) if stored is not None else None),
            pool=request.pool or (stored.pool if stored is not None else "") or "avg",
            device=request.device,
            precision=request.precision,
        )
        self.fingerprint = replace(backbone.fingerprint, views=request.views)
        if stored is not None and (field := stored.difference(self.fingerprint, "append")):
            raise other_backbone(self.path, field, stored, self.fingerprint)
        self.backbone = backbone
        self.summary.device = backbone.spec.device
        # A view is a crop of its own; only the whole photo is known to need no more than this.
        if request.views == 1 and not request.exact_decode:
            self._draft_size = backbone.spec.decode_size
        self._choose_engine(backbone)
        self.listener.opened(backbone)

    def _choose_engine(self, backbone: Encoder) -> None:
        """Which library runs the network; an interrupted first run goes on with the one it began with."""
        asked = self.request.engine
        begun = str(self.provenance.get("engine") or "") if "written" not in self.provenance else ""
        new = sum(1 for item in self.items if self.request.force or self.known.row_of(item) is None)
        wanted = begun if asked == "auto" and begun else asked
        why = backbone.use_engine(wanted, photos=new * self.request.views, batch_size=self._batch_size())
        if why:
            self.listener.other_engine(why)
        self.summary.engine = backbone.spec.engine
        if not self.provenance and self.summary.engine:
            self.provenance = {"engine": self.summary.engine}

    def _workers(self) -> int:
        return self.request.workers or min(16, cores())

    def _batch_size(self) -> int:
        if self.request.batch_size:
            return self.request.batch_size
        if self.backbone is None:
            return BATCH_ON_CPU
        spec = self.backbone.spec
        busy = min(spec.batch_hint, MOST_IN_A_BATCH)
        return max(BATCH_ON_CPU, busy) if spec.device.startswith("cpu") else BATCH_ON_GPU

    def _compute(self, writer: StoreWriter) -> None:
        batch_size = self.summary.batch_size = self._batch_size()
        batch: list[Inspection] = []
        copies: list[Inspection] = []
        gained: list[tuple[Item, str]] = []
        updates: list[Item] = []
        bad: dict[str, Skipped] = {}
        waited = worked = 0.0
        begun = time.monotonic()
        calls = 1 if self.backbone is None else self.backbone.spec.parallel_calls
        computing: deque[Future[list[Row]]] = deque()
        committing: Future[None] | None = None
        with (
            ThreadPoolExecutor(self._workers(), thread_name_prefix="look") as pool,
            ThreadPoolExecutor(calls, thread_name_prefix="compute") as computer,
            ThreadPoolExecutor(1, thread_name_prefix="commit") as committer,
            self.listener.progress(len(self.items)) as advance,
        ):

            def settle(left: int) -> None:
                """Commit batches, oldest first, until so many are left to compute."""
                nonlocal committing, worked
                while len(computing) > left:
                    at = time.monotonic()
                    rows = computing.popleft().result()
                    worked += time.monotonic() - at
                    if committing is not None:
                        committing.result()
                    committing = committer.submit(writer.append, rows)

            def flush() -> None:
                nonlocal batch
                if batch:
                    settle(AT_ONCE - 1)
                    computing.append(computer.submit(self._rows, batch))
                    batch = []

            looks = self.looks.over(self.items, pool, 2 * self._workers() + 2 * batch_size, self._prepared)
            done = 0
            while True:
                at = time.monotonic()
                look = next(looks, None)
                waited += time.monotonic() - at
                if look is None:
                    break
                done += 1
                self._count(look)
                if look.stat is not None and look.digest:
                    self.seen.note(look.item.path, look.stat, look.digest)
                if look.kind in ("new", "changed"):
                    batch.append(look)
                    if look.kind == "new":
                        gained.append((look.item, look.digest))
                    if len(batch) >= self.summary.batch_size:
                        flush()
                elif look.kind == "copied":
                    copies.append(look)
                elif look.kind == "unchanged":
                    row = self.known.row_of(look.item)
                    if row is not None and differs(row, look.item):
                        updates.append(look.item)
                elif look.skip is not None:
                    bad[look.digest or look.item.path] = look.skip
                    self.skips.note(look.skip, look.stat)
                    if self.request.strict:
                        break
                skipped = len(self.summary.skipped)
                advance(done, f"{skipped:,} skipped" if skipped else "")
            if self.summary.computed or self.summary.copied:
                writer.make_ready()  # while the network is busy with the last photos
            flush()
            settle(0)
            if committing is not None:
                committing.result()
        if self.stop.is_set():
            return
        gained += self._commit_copies(writer, copies)
        if updates:
            writer.update([_metadata_row(item, self.known.rows[item.item_id]) for item in updates])
        self._forget(writer, self._tell_left(gained))
        seconds = time.monotonic() - begun
        self.summary.images_per_second = self.summary.computed / seconds if self.summary.computed else 0.0
        self.summary.waiting_share = waited / max(waited + worked, 1e-9)

    def _prepared(self, data: bytes, path: str, digest: str) -> Sequence[Any]:
        """A photo's views as the network wants them; called from worker threads."""
        assert self.backbone is not None
        image = decode_photo(data, path, draft_size=self._draft_size)
        views = [image] + [view_of(image, digest, view, self.request.seed) for view in range(1, self.request.views)]
        return [self.backbone.prepare(one) for one in views]

    def _rows(self, batch: Sequence[Inspection]) -> list[Row]:
        views = self.request.views
        prepared = [view for look in batch for view in (look.prepared or ())]
        features = self._features(prepared)
        if views > 1:
            features = features.reshape(len(batch), views, -1)
        return [_row(look.item, look.digest, features[i]) for i, look in enumerate(batch)]

    def _features(self, prepared: Sequence[Any]) -> np.ndarray:
        """Features in batches of one fixed shape, so that a photo's numbers never depend on its neighbours."""
        assert self.backbone is not None
        done: list[np.ndarray] = []
        at = 0
        while at < len(prepared):
            size = self.summary.batch_size
            part = list(prepared[at : at + size])
            filled = part + [part[-1]] * (size - len(part))
            try:
                done.append(self.backbone.features(filled)[: len(part)])
            except OutOfMemory as error:
                if size == 1:
                    raise FeatxError(
                        "out-of-memory",
                        f"{self.backbone.spec.device} has too little memory for even one photo with {self.name}",
                        "try a smaller backbone, or `--device cpu`",
                    ) from error
                with self._halving:
                    if self.summary.batch_size == size:  # else another batch has found out already
                        self.summary.batch_size = size // 2
                        self.summary.halved = True
                        self.listener.halved(self.summary.batch_size)
                continue
            at += len(part)
        return np.concatenate(done)

    def _commit_copies(self, writer: StoreWriter, copies: Sequence[Inspection]) -> list[tuple[Item, str]]:
        """Photos whose bytes were computed before: they get rows of their own with the same features."""
        stored = writer.digests()
        gained = []
        for start in range(0, len(copies), 256):
            rows = []
            for look in copies[start : start + 256]:
                if look.digest in stored:
                    rows.append(_row(look.item, look.digest, writer.copy_features(look.digest)))
                    if self.known.row_of(look.item) is None:
                        gained.append((look.item, look.digest))
                else:  # its twin could not be decoded, so neither can this one
                    self.summary.copied -= 1
                    try:
                        decode_photo(read_bytes(look.item.path), look.item.path)
                    except UnreadablePhoto as error:
                        skip = Skipped(look.item.path, error.reason, error.detail)
                        self.summary.skipped.append(skip)
                        self.skips.note(skip, look.stat)
            if rows:
                writer.append(rows)
        return gained

    def _forget(self, writer: StoreWriter, renamed: Mapping[str, str]) -> None:
        """Rows that go: the old names of renamed photos and, with `--prune`, photos that are no longer there."""
        going = list(renamed)
        if self.request.prune:
            going += self.summary.gone
            self.summary.pruned = len(self.summary.gone)
            self.summary.gone = []
        # A photo that was replaced by an unreadable one must not keep answering with the old features.
        unreadable = {skip.path for skip in self.summary.skipped}
        replaced = [row.item_id for row in self.known.rows.values() if row.path in unreadable]
        going += [one for one in replaced if one not in going]
        if going:
            writer.remove(going)

    def _seal(self, writer: StoreWriter) -> None:
        known = writer.known()
        # By path, whatever the history: an interrupted and resumed run ends as one that was left alone.
        order = sorted(known, key=lambda item_id: (known[item_id].path, item_id))
        if self.summary.computed or "written" not in self.provenance:
            self.provenance = self._made_how()
        self.skips.commit(writer)
        writer.seal(provenance=self.provenance, order=order)
        self.seen.write()

    def _made_how(self) -> dict[str, object]:
        summary, spec = self.summary, self.backbone.spec if self.backbone is not None else None
        return {
            "command": shlex.join(["featx", *sys.argv[1:]]),
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "source": self.catalogue.root,
            "label_source": self.catalogue.label_source,
            "product_source": self.catalogue.product_source,
            "device": summary.device,
            "engine": summary.engine or self.provenance.get("engine"),
            "decoding": "scaled" if self._draft_size else "exact",
            "weights_file": (spec.weights_file if spec else "") or self.provenance.get("weights_file", ""),
            "batch_size": summary.batch_size,
            "views": self.request.views,
            "seed": self.request.seed,
            "images_per_second": round(summary.images_per_second, 1),
            "versions": {
                "python": platform.python_version(),
                **(spec.versions if spec else {}),
            },
        }

    def _all_skipped(self) -> FeatxError:
        reasons = Counter(skip.reason for skip in self.summary.skipped)
        said = ", ".join(f"{n:,} {reason}" for reason, n in reasons.most_common())
        where = self.skips.write_list(self.summary.skipped, self.workspace.skipped_list)
        return FeatxError(
            "all-corrupt",
            f"none of the {len(self.items) + len(self.catalogue.skipped):,} photos could be read: {said}",
            f"each is listed with its reason in {where}",
        )


# --- small pieces ---------------------------------------------------------------------------------------------------


def _row(item: Item, digest: str, features: np.ndarray) -> Row:
    return Row(item.item_id, item.path, digest, item.label, item.product, item.split, dict(item.extra), features)


def _metadata_row(item: Item, row: StoredItem) -> StoredItem:
    return replace(
        row, path=item.path, label=item.label, product=item.product, split=item.split, extra=dict(item.extra)
    )


def _strict(skip: Skipped) -> FeatxError:
    detail = f" ({skip.detail})" if skip.detail else ""
    return FeatxError(
        "photo-unreadable",
        f"{skip.path} is {skip.reason.replace('-', ' ')}{detail}, and --strict was asked for",
        "fix or remove the file, or run without `--strict` to skip such files",
    )
