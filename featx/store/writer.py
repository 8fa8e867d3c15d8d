"""Writing a store: rows are safe when `append` returns; sealing turns them into the HDF5 file."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from glob import escape
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from featx.backbones.fingerprint import Fingerprint
from featx.catalogue.items import Item, Skipped
from featx.errors import FeatxError
from featx.files.atomic import replace_durably, temporary_path
from featx.files.locks import held_or_busy
from featx.store import journal as log
from featx.store.disk_space import disk_full, shown_size
from featx.store.records import FeatureSpec, Row
from featx.store.row_records import checked_record, require_plain_text, skip_record
from featx.store.seal_client import SealClient
from featx.store.sealed_file import SealedFile
from featx.store.snapshot import Snapshot, load_snapshot
from featx.store.store_card import write_card
from featx.workspace import journal_beside


class StoreWriter:
    """The one writer of a store, from `open` until `close`; use it in a `with` block.

    Leaving the block does not seal: committed rows wait in the journal, where `open_store` sees them too.
    """

    def __init__(self, path: Path, spec: FeatureSpec, contents: Snapshot, recovered: int) -> None:
        self.path = path
        self.spec = spec
        self.recovered = recovered
        self._loaded: Snapshot | None = contents
        self._journal: log.Journal | None = None
        self._lock = threading.RLock()
        self._held: Any = None
        self._sealer: SealClient | None = None

    @classmethod
    @contextmanager
    def locked(cls, path: Path | str) -> Iterator[None]:
        """Lock out every other writer of a store; readers do not wait."""
        path = Path(path)
        lock, hint = path.with_name(path.name + ".lock"), "wait until it is done, or use another file with `--store`"
        with held_or_busy(lock, f"another featx is writing {path}", hint, {"store": str(path)}):
            yield

    @classmethod
    def open(
        cls,
        path: Path | str,
        fingerprint: Fingerprint,
        *,
        dtype: str = "float32",
        provenance: Mapping[str, object] | None = None,
    ) -> Self:
        """Open a store for writing, or create one; rows that an interrupted run left in the journal are sealed first.

        An existing store keeps its number format, whatever `dtype` says.
        """
        path = Path(path)
        if dtype not in ("float32", "float16"):
            raise FeatxError("bad-flag", f"a store keeps float32 or float16, not `{dtype}`", "use `float32`")
        held = cls.locked(path)
        held.__enter__()
        contents: Snapshot | None = None
        try:
            for leftover in path.parent.glob(f".{escape(path.name)}.*.new"):
                leftover.unlink(missing_ok=True)
            contents = load_snapshot(path)
            if contents is None:
                spec = FeatureSpec(fingerprint, fingerprint.width, fingerprint.views, dtype)
                contents = Snapshot(path, spec, dict(provenance or {}))
            spec = contents.spec
            field = spec.fingerprint.difference(fingerprint, "append")
            if field:
                what, (has, wants) = field.replace("_", " "), spec.fingerprint.values_of(field, fingerprint)
                stored, wanted = str(getattr(spec.fingerprint, field)), str(getattr(fingerprint, field))
                raise FeatxError(
                    "other-backbone",
                    f"{path} holds features of {has}, but this run asks for {wants}",
                    "use another file with `--store`, or rebuild this one: `--replace --yes`",
                    {"store": str(path), "what": what, "stored": stored, "wanted": wanted},
                )
            writer = cls(path, spec, contents, contents.journal_rows)
            writer._held = held
            if contents.journal_id:
                # Never append to an old journal: its last bytes may not be on the disk after a crash.
                writer._merge()
            elif contents.journal_fd >= 0:
                writer._drop_journal()
            return writer
        except BaseException:
            if contents is not None:
                contents.close()
            held.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store; rows that are not sealed yet wait in the journal."""
        with self._lock:
            if self._sealer is not None:
                self._sealer.drop()
                self._sealer = None
            if self._journal is not None:
                self._journal.close()
                self._journal = None
            if self._loaded is not None:
                self._loaded.close()
            if self._held is not None:
                held, self._held = self._held, None
                held.__exit__(None, None, None)

    # --- reading ----------------------------------------------------------------------------------------------------

    def known(self) -> Mapping[str, Item]:
        """Every row without its features, by item id, in row order."""
        return MappingProxyType(self._contents.rows)

    def digests(self) -> Mapping[str, int]:
        """The digests of photos with features, each with their location."""
        return MappingProxyType(self._contents.digests)

    def copy_features(self, digest: str) -> NDArray[Any]:
        """The features computed before for a photo with these bytes."""
        with self._lock:
            return self._contents.array(self._contents.digests[digest]).copy()

    def known_skipped(self) -> Mapping[str, Skipped]:
        """Photos that could not be used, by path."""
        return MappingProxyType(self._contents.skipped)

    # --- writing -----------------------------------------------------------------------------------------------------

    def append(self, rows: Sequence[Row]) -> None:
        """Commit rows: when this returns they survive a kill or a power cut. A known id is replaced."""
        if not rows:
            return
        records, features = [], np.empty((len(rows), *self.spec.row_shape), dtype=self.spec.dtype)
        for i, row in enumerate(rows):
            records.append(checked_record(row.item))
            if np.shape(row.features) != self.spec.row_shape:
                raise ValueError(f"features of shape {np.shape(row.features)}, but rows are {self.spec.row_shape}")
            with np.errstate(over="ignore"):
                features[i] = row.features
        finite = np.isfinite(features.reshape(len(rows), -1)).all(axis=1)
        if not finite.all():
            row = rows[int(np.argmin(finite))]
            raise FeatxError(
                "weights-misfit",
                f"the features of `{row.path}` are not all finite numbers in {self.spec.dtype}",
                "such features would ruin every comparison: try `--precision fp32`, or check the weights",
                {"path": row.path},
            )
        self._commit(log.ROWS, records, features.data.cast("B"))

    def update(self, rows: Sequence[Item]) -> None:
        """Refresh path, label, product, split and extra columns of known rows; features, digest and source stay."""
        known = [self._known(row.item_id) for row in rows]
        records = [
            checked_record(replace(row, digest=before.digest, source=before.source))
            for row, before in zip(rows, known, strict=True)
        ]
        if records:
            self._commit(log.UPDATE, records)

    def rename(self, names: Mapping[str, str]) -> None:
        """Give items new ids (old → new), all at once; a row that already has one of the new ids is replaced."""
        for old in names:
            self._known(old)
        if len(set(names.values())) != len(names):
            raise FeatxError("duplicate-id", "two items cannot have the same id", "give each its own")
        for new in names.values():
            require_plain_text(new, "id")
        if names:
            self._commit(log.RENAME, dict(names))

    def remove(self, ids: Sequence[str]) -> None:
        """Remove rows; unknown ids are ignored."""
        here = [item_id for item_id in ids if item_id in self._contents.rows]
        if here:
            self._commit(log.REMOVE, here)

    def note_skipped(self, photos: Sequence[Skipped]) -> None:
        """Record photos that could not be used, with the size and time of their files."""
        known = {path: skip_record(skip) for path, skip in self._contents.skipped.items()}
        fresh = [record for record in map(skip_record, photos) if known.get(record[0]) != record]
        if fresh:
            self._commit(log.SKIPPED, fresh)

    def seal(self, *, provenance: Mapping[str, object] | None = None, order: Sequence[str] | None = None) -> None:
        """Write everything into a new HDF5 file that replaces the old one, completely or not at all.

        Rows named in `order` come first, in that order. When nothing changed, the file stays as it is.
        """
        with self._lock:
            now = list(self._contents.rows)
            if order is not None:
                first = dict.fromkeys(item_id for item_id in order if item_id in self._contents.rows)
                wanted = [*first, *(item_id for item_id in now if item_id not in first)]
            else:
                wanted = now
            recorded = self._contents.provenance if provenance is None else json.loads(json.dumps(dict(provenance)))
            if (
                self._journal is None
                and self._contents.sealed is not None
                and wanted == now
                and recorded == self._contents.provenance
            ):
                return
            self._commit(log.SEAL, {"order": wanted if wanted != now else None, "provenance": recorded})
            self._merge()

    def make_ready(self) -> None:
        """Start the sealing process ahead of time, while the last rows are computed."""
        with self._lock:
            self._sealer = self._sealer or SealClient(self.path)

    @property
    def _contents(self) -> Snapshot:
        """The content of the store; after a seal it is reloaded only on demand, since most writers are done then."""
        if self._loaded is None:
            self._loaded = load_snapshot(self.path)
        if self._loaded is None:
            raise FeatxError("store-broken", f"`{self.path}` vanished while it was written", "extract again")
        return self._loaded

    # --- inside -------------------------------------------------------------------------------------------------------

    def _known(self, item_id: str) -> Item:
        row = self._contents.rows.get(item_id)
        if row is None:
            raise FeatxError(
                "not-in-store", f"no item `{item_id}` in {self.path}", "`featx info` shows what the store holds"
            )
        return row

    def _commit(self, kind: int, payload: Any, features: bytes | memoryview = b"") -> None:
        with self._lock:
            try:
                if self._journal is None:
                    self._begin()
                assert self._journal is not None
                offset = self._journal.append(kind, payload, features)
            except OSError as error:
                raise self._not_stored(error) from error
            before = self._contents.journal_rows
            self._contents.apply(kind, payload, offset)
            self._contents.journal_rows = before + (len(payload) if kind == log.ROWS else 0)

    def _begin(self) -> None:
        contents = self._contents
        head = {
            "schema": log.SCHEMA,
            "journal": uuid.uuid4().hex,
            "base": contents.sealed.store_id if contents.sealed is not None else "",
            "fingerprint": self.spec.fingerprint.to_dict(),
            "width": self.spec.width,
            "views": self.spec.views,
            "dtype": self.spec.dtype,
            "provenance": contents.provenance,
        }
        self._journal = log.Journal.create(journal_beside(self.path), head)
        contents.journal_id = str(head["journal"])
        contents.journal_fd = os.dup(self._journal.fd)

    def _not_stored(self, error: OSError) -> FeatxError:
        saved = len(self._contents.rows)
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return FeatxError(
                "no-permission", f"cannot write into the folder of `{self.path}`: {error.strerror}", "make it writable"
            )
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        why = f"the disk is full: {self.path}" if full else f"cannot write more of {self.path}: {error}"
        return disk_full(self.path, why, saved)

    def _merge(self) -> None:
        """Let the sealing process write a new file, verify it, then replace the old file and drop the journal."""
        target = temporary_path(self.path)
        try:
            self.write_aside(target)
            self._verify(target)
            with target.open("rb") as file:
                os.fsync(file.fileno())
            replace_durably(target, self.path)
        except OSError as error:
            raise self._not_stored(error) from error
        finally:
            with suppress(OSError):
                target.unlink(missing_ok=True)
        self._drop_journal()
        write_card(self.path, self.spec, self._contents.rows.values(), len(self._contents.skipped))
        self._contents.close()
        self._loaded = None

    def write_aside(self, target: Path) -> None:
        """Write store and journal together into a new file, in a process of its own."""
        sealer, self._sealer = self._sealer or SealClient(self.path), None
        status, message = sealer.write(target)
        if status == 0:
            return
        needs = len(self._contents.rows) * self.spec.row_bytes
        if status == 5:
            raise FeatxError("store-broken", message, "extract again with `--replace --yes`", {"store": str(self.path)})
        if status == 6 or shutil.disk_usage(self.path.parent).free < needs:
            raise disk_full(self.path, f"the disk is full: {self.path} needs about {shown_size(needs)} more",
                             len(self._contents.rows))  # fmt: skip
        raise FeatxError(
            "worker-died",
            f"the process that writes {self.path} ended with status {status}: {message}",
            f"{len(self._contents.rows):,} photos are saved; run the same command again",
            {"saved": len(self._contents.rows)},
        )

    def _verify(self, target: Path) -> None:
        sealed = SealedFile.open(target)
        try:
            if sealed is None or sealed.merged != self._contents.journal_id or sealed.check():
                raise FeatxError("store-broken", f"the new file of {self.path} cannot be read back", "try again")
            mine = iter(self._contents.rows.values())
            same = all(row == next(mine, None) for piece in sealed.pieces() for row in piece)
            if not same or next(mine, None) is not None:
                raise FeatxError("store-broken", f"the new file of {self.path} differs from its rows", "try again")
        finally:
            if sealed is not None:
                sealed.close()

    def _drop_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        # Should it reappear after a power cut, the sealed file records that it has been merged.
        with suppress(OSError):
            journal_beside(self.path).unlink(missing_ok=True)
        if self._contents.journal_fd >= 0:
            os.close(self._contents.journal_fd)
            self._contents.journal_fd = -1
