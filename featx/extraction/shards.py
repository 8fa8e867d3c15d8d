"""Shards: equal parts of a catalogue, extracted by any number of processes or machines, and joined into one store.

A shard is a small store of its own, made aside and renamed when it is complete; then a record says what it holds. A
shard is done exactly if its record is there and is of the same photos. Whatever is killed costs at most the shard that
was under way, and even that goes on where its journal ends. Features do not depend on the neighbours of a photo, so the
joined store has those that a single run would have written.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from featx.catalogue.items import Catalogue, Item, Skipped
from featx.catalogue.photo_lists import PhotoList
from featx.embedding.reopen import other_backbone
from featx.errors import FeatxError
from featx.extraction.options import ExtractionEvents, ExtractionOptions
from featx.extraction.run import run_extraction
from featx.extraction.skip_log import read_skipped_list
from featx.files.atomic import replace_durably, write_atomic
from featx.files.regular import read_regular
from featx.store import Row, Store, StoreWriter, open_store
from featx.workspace import Workspace

VERSION = 1
ROWS_AT_ONCE = 1024


class ShardRecord(msgspec.Struct, frozen=True):
    """What a complete shard holds. The file is empty where no photo of the shard could be read."""

    version: int
    shard: int
    of: int
    photos: str
    flags: list[str]
    file: str
    n: int
    bytes: int
    sha256: str
    fingerprint: dict[str, Any]
    skipped: list[tuple[str, str, str]]
    seconds: float


@dataclass(frozen=True)
class Shard:
    """The third of a hundred equal parts: `Shard(3, 100)`."""

    number: int
    of: int

    @classmethod
    def of_text(cls, text: str) -> Shard:
        """A shard as people write it, `3/100`."""
        number, mark, of = text.partition("/")
        if not (mark and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= 1_000_000):
            raise FeatxError("bad-flag", f"`{text}` is no shard", "write the third of a hundred as 3/100")
        return cls(int(number), int(of))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.number:06d}-of-{self.of:06d}"


class Parts(Mapping[Shard, Catalogue]):
    """The photos of each shard, by path, made when they are asked for; of a list only these rows are read then.

    Photos that are missing belong to the shard where they are listed, or to the first where the whole list was read.
    """

    def __init__(self, source: Catalogue | PhotoList, of: int) -> None:
        self.root, self._of, self._source = source.root, of, source
        self._digests: dict[Shard, str] = {}
        if isinstance(source, Catalogue):
            self._items = sorted(source.items, key=lambda item: (item.path, item.item_id))
            self.n = len(self._items)
        else:
            self.n = source.n

    def __len__(self) -> int:
        return self._of

    def __iter__(self) -> Iterator[Shard]:
        return (Shard(number, self._of) for number in range(1, self._of + 1))

    def __getitem__(self, shard: Shard) -> Catalogue:
        """The photos of one shard."""
        if shard.of != self._of:
            raise KeyError(shard)
        part = self._between((shard.number - 1) * self.n // self._of, shard.number * self.n // self._of)
        self._digests[shard] = digest_of(part)
        return part

    def digest_of(self, shard: Shard) -> str:
        """The digest of one shard, its photos read only the first time."""
        return self._digests[shard] if shard in self._digests else digest_of(self[shard])

    def _between(self, start: int, stop: int) -> Catalogue:
        if isinstance(self._source, Catalogue):
            skipped = () if start else self._source.skipped
            return replace(self._source, items=self._items[start:stop], skipped=skipped)
        return self._source.part(start, stop)


def shards_of(store: Path) -> Path:
    """The folder with the shards of a store."""
    return store.with_name(store.name + ".shards")


def read_record(store: Path, shard: Shard, photos: str, options: ExtractionOptions) -> ShardRecord | None:
    """The record of a shard; None where it is not done, or was done for others than the photos of that digest.

    Shards that were made with other options are refused: they could not be joined with new ones.
    """
    folder = shards_of(store)
    try:
        record = msgspec.json.decode(read_regular(folder / f"{shard.name}.json"), type=ShardRecord)
        there = not record.file or os.stat(folder / record.file).st_size == record.bytes
    except (OSError, msgspec.MsgspecError):
        return None
    if record.flags != _flags(options):
        raise FeatxError(
            "other-backbone",
            f"the shards in `{folder}` were made with `{shlex.join(record.flags)}`, and this run asks for "
            f"`{shlex.join(_flags(options))}`",
            "use the same flags, another `--store`, or delete that folder",
        )
    same = (record.version, record.shard, record.of, record.photos) == (VERSION, shard.number, shard.of, photos)
    return record if there and same and record.file in ("", f"{shard.name}.h5") else None


def extract_shard(
    part: Catalogue,
    options: ExtractionOptions,
    store: Path,
    shard: Shard,
    *,
    in_all: int,
    listener: ExtractionEvents | None = None,
    command: str = "",
) -> ShardRecord | None:
    """Extract the photos of one shard unless it is done; None where it was stopped before its end.

    `in_all` is how many photos all shards have: the engine that suits these runs the network for each.
    """
    photos = digest_of(part)
    if (done := read_record(store, shard, photos, options)) is not None:
        return done
    begun, folder = time.monotonic(), shards_of(store)
    aside = folder / f".{shard.name}.part"
    aside.mkdir(parents=True, exist_ok=True)
    skips = _listed(part.skipped)
    record = ShardRecord(VERSION, shard.number, shard.of, photos, _flags(options), "", 0, 0, "", {}, skips, 0.0)
    if part.items:
        workspace = Workspace(aside / "artifacts")
        made, before = aside / "rows.h5", folder / f"{shard.name}.h5"
        if before.exists() and not any(aside.glob("rows.h5*")):
            # The list has changed: only what is new in this part is computed, and what is not in it any more goes.
            shutil.copyfile(before, made)
        options = replace(options, prune=made.exists())
        try:
            report = run_extraction(
                part, options, store=made, workspace=workspace, listener=listener, command=command,
                in_all=in_all,
            )  # fmt: skip
        except FeatxError as error:
            if error.code != "all-corrupt":
                raise
            record = msgspec.structs.replace(record, skipped=_listed(read_skipped_list(workspace.skipped_list)))
        else:
            if report.stopped:
                return None
            record = _put_in_place(record, made, folder / f"{shard.name}.h5", _listed(report.skipped))
    record = msgspec.structs.replace(record, seconds=round(time.monotonic() - begun, 2))
    write_atomic(folder / f"{shard.name}.json", msgspec.json.encode(record))
    shutil.rmtree(aside, ignore_errors=True)
    return record


def missing_shards(parts: Parts, store: Path, options: ExtractionOptions) -> list[Shard]:
    """The shards that are not done."""
    return [shard for shard in parts if _record_in(parts, shard, store, options) is None]


def _record_in(parts: Parts, shard: Shard, store: Path, options: ExtractionOptions) -> ShardRecord | None:
    """The record of a shard; its photos are looked at only where there is one."""
    return read_record(store, shard, parts.digest_of(shard), options) if is_recorded(store, shard) else None


def is_recorded(store: Path, shard: Shard) -> bool:
    """Whether a shard was done, of whichever photos."""
    return (shards_of(store) / f"{shard.name}.json").exists()


def join_shards(parts: Parts, options: ExtractionOptions, store: Path) -> Store:
    """All shards as one store, every byte verified; rows that the store has already are left alone."""
    records, of = _complete_records(parts, options, store), len(parts)
    files = [(record, shards_of(store) / record.file) for record in records if record.file]
    if not files:
        skips = [Skipped(*skip) for record in records for skip in record.skipped]
        raise FeatxError(
            "all-corrupt",
            f"none of the {len(skips):,} photos could be read",
            f"see the records in `{shards_of(store)}`",
        )
    first = open_store(files[0][1])
    fingerprint, provenance = first.fingerprint, first.provenance
    with StoreWriter.open(store, fingerprint, dtype=str(first.dtype), provenance=provenance) as writer:
        for record, path in files:
            _require_intact(record, path)
            shard = open_store(path)
            if field := fingerprint.difference(shard.fingerprint, "append"):
                raise other_backbone(store, field, fingerprint, shard.fingerprint)
            _copy(shard, writer)
        kept = {row.path for row in writer.known().values()}
        lost = [Skipped(*skip) for record in records if not record.file for skip in record.skipped]
        writer.note_skipped([skip for skip in lost if skip.path and skip.path not in kept])
        known = writer.known()
        order = sorted(known, key=lambda item_id: (known[item_id].path, item_id))
        writer.seal(provenance={**provenance, "source": parts.root, "shards": of}, order=order)
    return open_store(store)


def _complete_records(parts: Parts, options: ExtractionOptions, store: Path) -> list[ShardRecord]:
    records: list[ShardRecord] = []
    missing: list[str] = []
    for shard in parts:
        record = _record_in(parts, shard, store, options)
        if record is None:
            missing.append(str(shard))
        else:
            records.append(record)
    of = len(parts)
    if missing:
        some = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise FeatxError(
            "no-store",
            f"{len(missing):,} of {of:,} shards of `{store}` are not done: {some}",
            f"run each with `--shard`, or all that are missing with `--shards {of}`",
        )
    return records


def _copy(shard: Store, writer: StoreWriter) -> None:
    features = shard.features if shard.views == 1 else shard.all_views
    rows = list(shard.known().values())
    for start in range(0, len(rows), ROWS_AT_ONCE):
        numbered = enumerate(rows[start : start + ROWS_AT_ONCE], start=start)
        writer.append([_row(item, features[i]) for i, item in numbered if writer.known().get(item.item_id) != item])
    writer.note_skipped(list(shard.known_skipped().values()))


def _row(item: Item, features: Any) -> Row:
    words = item.label, item.product, item.split
    return Row(item.item_id, item.path, item.digest, *words, dict(item.extra), features, item.source)


def _put_in_place(record: ShardRecord, made: Path, path: Path, skipped: list[tuple[str, str, str]]) -> ShardRecord:
    store = open_store(made)
    fingerprint, n = store.fingerprint.to_dict(), len(store)
    del store
    replace_durably(made, path)
    sha256, size = _sha256(path), path.stat().st_size
    return msgspec.structs.replace(
        record, file=path.name, n=n, bytes=size, sha256=sha256, fingerprint=fingerprint, skipped=skipped
    )


def _require_intact(record: ShardRecord, path: Path) -> None:
    if _sha256(path) != record.sha256:
        raise FeatxError(
            "store-broken",
            f"the shard `{path}` is not what was written",
            f"delete `{path.with_suffix('.json')}` and run the same command again: only this shard is made anew",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(part: Catalogue) -> str:
    """What tells the photos of a shard from others: their ids, paths and columns."""
    digest = hashlib.sha256()
    for item in part.items:
        words = [item.item_id, item.path, item.label, item.product, item.split, sorted(item.extra.items())]
        digest.update(repr(words).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _flags(options: ExtractionOptions) -> list[str]:
    """The options that features depend on, as flags."""
    return replace(options, workers=None, strict=False, prune=False).to_flags()


def _listed(skipped: Sequence[Skipped]) -> list[tuple[str, str, str]]:
    return [(skip.path, skip.reason, skip.detail) for skip in skipped]
