"""The sealed file and the journal combined: the current rows of a store, and the locations of their features."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import isnan
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.fingerprint import Fingerprint
from featx.catalogue.items import NOTHING, Item, Skipped
from featx.errors import FeatxError
from featx.files.regular import open_regular, read_at
from featx.store import journal as log
from featx.store.records import FeatureSpec
from featx.store.sealed_file import BLOCK, SealedFile, newer
from featx.workspace import journal_beside


@dataclass
class Snapshot:
    """The content of a store. A location is a row of the sealed file (0, 1, …) or ~offset in the journal."""

    path: Path
    spec: FeatureSpec
    provenance: dict[str, object]
    rows: dict[str, Item] = field(default_factory=dict)
    locations: dict[str, int] = field(default_factory=dict)
    digests: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    sealed: SealedFile | None = None
    journal_fd: int = -1
    journal_id: str = ""
    journal_rows: int = 0
    journal_damage: str = ""
    _block: tuple[int, bytes] = (-1, b"")

    def apply(self, kind: int, payload: Any, offset: int) -> None:
        """Apply one committed frame."""
        if kind == log.ROWS:
            for i, record in enumerate(payload):
                row = from_record(record)
                location = ~(offset + i * self.spec.row_bytes)
                self.rows[row.item_id] = row
                self.locations[row.item_id] = location
                self.digests[row.digest] = location
                self.skipped.pop(row.path, None)
            self.journal_rows += len(payload)
        elif kind == log.UPDATE:
            for record in payload:
                row = from_record(record)
                self.rows[row.item_id] = row
        elif kind == log.RENAME:
            self._rename(payload)
        elif kind == log.REMOVE:
            for item_id in payload:
                self.rows.pop(item_id, None)
                self.locations.pop(item_id, None)
        elif kind == log.SKIPPED:
            for record in payload:
                self.skipped[record[0]] = Skipped(*record)
        elif kind == log.SEAL:
            self.provenance = payload["provenance"]
            if payload["order"] is not None:
                self.rows = {item_id: self.rows[item_id] for item_id in payload["order"]}

    def _rename(self, names: Mapping[str, str]) -> None:
        taken = set(names.values()) - set(names)
        rows: dict[str, Item] = {}
        locations: dict[str, int] = {}
        for old, row in self.rows.items():
            if old in taken:
                continue
            new = names.get(old, old)
            rows[new] = row if new == old else replace(row, item_id=new)
            locations[new] = self.locations[old]
        self.rows, self.locations = rows, locations

    def raw(self, location: int) -> bytes:
        """The bytes of one row's features, their checksum verified."""
        size = self.spec.row_bytes
        if location < 0:
            # The frame's checksum was verified when the journal was opened.
            data = read_at(self.journal_fd, size, ~location)
            if len(data) != size:
                raise FeatxError(
                    "store-broken", f"the journal of `{self.path}` shrank while it was read", "run the command again"
                )
            return data
        assert self.sealed is not None
        number = location // BLOCK
        if self._block[0] != number:
            self._block = (number, self.sealed.block(number))
        start = (location - number * BLOCK) * size
        return self._block[1][start : start + size]

    def array(self, location: int) -> NDArray[Any]:
        """One row's features as they are stored."""
        return np.frombuffer(self.raw(location), dtype=self.spec.dtype).reshape(self.spec.row_shape)

    def blocks(self) -> Any:
        """All features in row order, as verified blocks of 1,024 rows of bytes."""
        locations = [self.locations[item_id] for item_id in self.rows]
        for start in range(0, len(locations), BLOCK):
            part = locations[start : start + BLOCK]
            if (
                part == list(range(start, start + len(part)))
                and self.sealed is not None
                and (len(part) == BLOCK or start + len(part) == self.sealed.n)
            ):
                yield self.sealed.block(start // BLOCK)
            else:
                yield b"".join(self.raw(location) for location in part)

    def view_blocks(self) -> Iterator[NDArray[np.float32]]:
        """The same as numbers: (rows, views, width)."""
        spec = self.spec
        for block in self.blocks():
            yield np.frombuffer(block, dtype=spec.dtype).reshape(-1, spec.views, spec.width).astype(np.float32)

    def close(self) -> None:
        """Close both files."""
        if self.sealed is not None:
            self.sealed.close()
        if self.journal_fd >= 0:
            os.close(self.journal_fd)
            self.journal_fd = -1


def to_record(row: Item) -> list[Any]:
    """A row in the form of the journal."""
    words = [row.label, row.product, row.split]
    # Rows of the first source, which are most, are written as they were before there was more than one.
    return [row.item_id, row.path, row.digest, *words, *([row.source] if row.source else []), dict(row.extra)]


def from_record(record: Sequence[Any]) -> Item:
    """A row from the journal; labels, products and splits are interned, since many rows share them."""
    item_id, path, digest, *words, extra = record
    if not (type(item_id) is type(path) is type(digest) is str and isinstance(extra, dict)):
        raise TypeError("not the record of a row")
    label, product, split, source = (sys.intern(word) if word is not None else None for word in [*words, None][:4])
    if any(isinstance(value, float) and isnan(value) for value in extra.values()):
        # NaN becomes an empty cell: it would not even equal itself when it is read again.
        extra = {name: None if isinstance(value, float) and isnan(value) else value for name, value in extra.items()}
    kept = MappingProxyType(extra) if extra else NOTHING
    return Item(item_id, path, label, product, split, kept, digest=digest, source=source)


def load_snapshot(path: Path) -> Snapshot | None:
    """Everything committed to a store; needs no lock. None where there is no store."""
    for _ in range(20):
        # The journal first: if a writer seals in between, the new file names the journal it has merged.
        fd = _open(journal_beside(path))
        sealed = None
        try:
            replay = log.replay(fd, journal_beside(path)) if fd >= 0 else log.Replay([], 0)
            sealed = SealedFile.open(path)
            head = _head(path, replay.frames[0]) if replay.frames else None
            if head is not None and sealed is not None and sealed.merged == head["journal"]:
                head, replay = None, log.Replay([], 0)
            if head is not None and sealed is not None and sealed.store_id != head["base"]:
                sealed.close()
                os.close(fd)
                continue
            if head is None and sealed is None:
                if fd >= 0:
                    raise FeatxError(
                        "store-broken",
                        f"`{journal_beside(path)}` holds no readable row",
                        "remove it and extract again: its rows cannot be recovered",
                    )
                return None
            try:
                return _combine(path, sealed, head, replay, fd)
            except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError, MemoryError) as error:
                raise _no_journal(path, f"a frame has the wrong content ({type(error).__name__})") from error
        except BaseException:
            if sealed is not None:
                sealed.close()
            with suppress(OSError):
                os.close(fd)
            raise
    raise FeatxError(
        "store-broken",
        f"`{journal_beside(path)}` belongs to another file than `{path}`",
        "restore the file it belongs to, or remove the journal and lose the rows waiting in it",
        {"store": str(path)},
    )


def _open(path: Path) -> int:
    try:
        with open_regular(path) as file:
            return os.dup(file.fileno())
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise FeatxError("no-permission", f"cannot read `{path}`: {error.strerror}", "make it readable") from error


def _head(path: Path, frame: log.Frame) -> dict[str, Any]:
    """The head of a journal; its format number is checked before anything else."""
    head = frame.payload
    if frame.kind != log.HEAD or not isinstance(head, dict) or type(head.get("schema")) is not int:
        raise _no_journal(path, "it does not begin with a head")
    if head["schema"] > log.SCHEMA:
        raise newer(path, head["schema"])
    texts = all(isinstance(head.get(name), str) for name in ("journal", "base", "dtype"))
    numbers = all(type(head.get(name)) is int and 0 < head[name] < 2**31 for name in ("width", "views"))
    facts = all(isinstance(head.get(name), dict) for name in ("fingerprint", "provenance"))
    if head["schema"] < 1 or not (texts and numbers and facts) or head["dtype"] not in ("float32", "float16"):
        raise _no_journal(path, "its head does not describe its rows")
    return head


def _no_journal(path: Path, what: str) -> FeatxError:
    return FeatxError(
        "store-broken",
        f"`{journal_beside(path)}` is damaged or not the journal of a store: {what}",
        "rebuild the store from the photos: `featx extract` with `--replace --yes`",
        {"store": str(path)},
    )


def _combine(
    path: Path, sealed: SealedFile | None, head: Mapping[str, Any] | None, replay: log.Replay, fd: int
) -> Snapshot:
    if sealed is not None:
        spec, provenance = sealed.spec, dict(sealed.provenance)
    else:
        assert head is not None
        try:
            fingerprint = Fingerprint.from_dict(head["fingerprint"], width=head["width"])
        except FeatxError as error:
            raise _no_journal(path, error.message) from error
        spec = FeatureSpec(fingerprint, head["width"], head["views"], head["dtype"])
        provenance = dict(head["provenance"])
    contents = Snapshot(path, spec, provenance, sealed=sealed, journal_damage=replay.damage, journal_fd=fd)
    if sealed is not None:
        for i, row in enumerate(sealed.rows()):
            contents.rows[row.item_id] = row
            contents.locations[row.item_id] = i
            contents.digests[row.digest] = i
        contents.skipped = {photo.path: photo for photo in sealed.skipped()}
    if head is not None:
        contents.journal_id = head["journal"]
        for frame in replay.frames[1:]:
            if frame.kind == log.ROWS and len(frame.payload) * spec.row_bytes != frame.length:
                raise _no_journal(path, "its features do not match its rows in length")
            contents.apply(frame.kind, frame.payload, frame.offset)
    return contents
