"""The output at the cut, kept on disk for every view of every photo: a training reads it instead of the photos.

One file of records of a fixed size, only ever appended to. A record says which photo and view it is of, and carries a
checksum; whatever a killed run or a power cut spoiled is left out and computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError
from featx.files import caches
from featx.files.atomic import cannot_write, write_atomic
from featx.files.locks import held_or_busy
from featx.finetuning.cut.processes import started

# How much of the disk may be taken where nobody says: the lesser of the two.
MOST_BYTES, MOST_OF_FREE = 8 * 2**30, 0.25
# Half precision ends here; networks with larger numbers are scaled.
LARGEST = 60_000.0
# Records that are checked together.
READ_AT_ONCE = 64
RECORDS, ABOUT, LOCK = "activations", "about.json", ".lock"
# Photos whose features are computed together: more take hundreds of megabytes, and no less time.
BATCH = 8


def activations_folder() -> Path:
    """Where activations are kept: the cache folder of this account; each of several processes keeps its own."""
    processes = started()
    return caches.cache_folder("activations" if processes.leads else f"activations-{processes.rank}")


@dataclass(frozen=True)
class Making:
    """Everything that decides what a record holds, beside its photo and view."""

    facts: Mapping[str, object]
    shape: tuple[int, ...]
    # float16, or uint8 where photos themselves are kept
    kind: str = "float16"

    @property
    def record(self) -> np.dtype[Any]:
        """The form of a record."""
        numbers = "<f2" if self.kind == "float16" else "u1"
        head = [("digest", "u1", 32), ("view", "<u4"), ("scale", "<f4"), ("crc", "<u4")]
        return np.dtype([*head, ("maps", numbers, self.shape)])

    @property
    def folder(self) -> Path:
        """The folder of these records, whether it exists or not."""
        text = json.dumps({**self.facts, "shape": self.shape, "kind": self.kind}, sort_keys=True)
        return activations_folder() / hashlib.sha256(text.encode()).hexdigest()[:32]


class Activations:
    """The records of one cut of one network."""

    def __init__(self, making: Making) -> None:
        self.making, self.path = making, making.folder / RECORDS
        self._at: dict[tuple[str, int], int] = {}
        self._n = self.path.stat().st_size // making.record.itemsize if self.path.exists() else 0
        self._find_whole()

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._at

    @classmethod
    @contextmanager
    def open(cls, making: Making, budget: int) -> Iterator[Activations]:
        """The records, for one run at a time; other networks' go where all together exceed the budget."""
        try:
            making.folder.mkdir(parents=True, exist_ok=True)
            busy = "another `featx tune` fills the same cache of activations"
            with held_or_busy(making.folder / LOCK, busy, "wait until it is done"):
                write_atomic(making.folder / ABOUT, json.dumps(dict(making.facts), indent=1).encode())
                _make_room(making.folder, budget)
                yield cls(making)
        except OSError as error:
            raise cannot_write(making.folder, error, "choose another place with `XDG_CACHE_HOME`") from error

    def append(self, keys: Sequence[tuple[str, int]], maps: NDArray[np.float32]) -> None:
        """Keep the output for some photos and views; durable when this returns."""
        records = np.zeros(len(keys), dtype=self.making.record)
        records["digest"] = [np.frombuffer(bytes.fromhex(digest), dtype=np.uint8) for digest, _ in keys]
        records["view"] = [view for _, view in keys]
        records["scale"] = np.maximum(np.abs(maps.reshape(len(keys), -1)).max(axis=1) / LARGEST, 1.0)
        scaled = maps.reshape(records["maps"].shape) / self._scales(records)
        records["maps"] = scaled.astype(records["maps"].dtype)
        records["crc"] = [_checksum(record) for record in records]
        self._write(records.tobytes())
        self._at.update({key: self._n + i for i, key in enumerate(keys)})
        self._n += len(keys)

    def take(self, keys: Sequence[tuple[str, int]]) -> NDArray[np.float32]:
        """The output for these photos and views, one after the other."""
        records = self._read([self._at[key] for key in keys])
        return np.asarray(records["maps"].astype(np.float32) * self._scales(records))

    def batches(self, digests: Sequence[str], view: int = 0) -> Iterator[NDArray[np.float32]]:
        """The output for one view of these photos, some at a time; the photos as they are by default."""
        for start in range(0, len(digests), BATCH):
            yield self.take([(digest, view) for digest in digests[start : start + BATCH]])

    def _scales(self, records: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(records["scale"].reshape(-1, *[1] * len(self.making.shape)))

    def _write(self, data: bytes) -> None:
        size = self.making.record.itemsize
        try:
            with self.path.open("ab") as file:
                # What a full disk cut off goes first, or no later record would be where it should.
                file.truncate(file.tell() // size * size)
                file.write(data)
                file.flush()
                os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(
                self.path, error, "free some space, or keep less: `--views 1`; what is kept stays usable"
            ) from error

    def _read(self, positions: Sequence[int]) -> NDArray[Any]:
        """The records at these places. They are read, not mapped: what is mapped counts as memory of this process."""
        records = np.zeros(len(positions), dtype=self.making.record)
        with self.path.open("rb", buffering=0) as file:
            for i, position in enumerate(positions):
                file.seek(position * self.making.record.itemsize)
                file.readinto(records[i : i + 1].view(np.uint8).data)
        return records

    def _find_whole(self) -> None:
        """Note where the records that are whole lie, by photo and view."""
        for start in range(0, self._n, READ_AT_ONCE):
            places = range(start, min(start + READ_AT_ONCE, self._n))
            for place, record in zip(places, self._read(places), strict=True):
                if _checksum(record) == int(record["crc"]):
                    self._at[record["digest"].tobytes().hex(), int(record["view"])] = place


def _checksum(record: Any) -> int:
    head = record["digest"].tobytes() + record["view"].tobytes() + record["scale"].tobytes()
    return zlib.crc32(record["maps"].tobytes(), zlib.crc32(head))


def budget_of(requested: int | None) -> int:
    """How many bytes may be kept: as requested, or a share of what is free."""
    if requested is not None:
        return requested
    folder = activations_folder()
    while not folder.exists():
        folder = folder.parent
    return min(MOST_BYTES, int(shutil.disk_usage(folder).free * MOST_OF_FREE))


def views_within(budget: int, photos: int, each: int, views: int) -> int:
    """How many altered views of each photo fit beside the plain one."""
    fitting = budget // max(1, photos * each) - 1
    if fitting < 0:
        raise FeatxError(
            "disk-full",
            f"the cache of activations may take {budget:,} bytes, and {photos:,} photos need {photos * each:,}",
            "allow more, `--cache 4GB`, or cut further back: `--depth 1`",
        )
    return min(views, fitting)


def _make_room(folder: Path, budget: int) -> None:
    """Remove the activations of other networks, the longest unused first, until all fit."""
    others = [other for other in folder.parent.iterdir() if other != folder and (other / RECORDS).is_file()]
    sizes = {other: (other / RECORDS).stat().st_size for other in others}
    for other in sorted(others, key=lambda other: (other / ABOUT).stat().st_mtime if (other / ABOUT).exists() else 0):
        if sum(sizes.values()) <= budget:
            return
        with suppress(FeatxError), held_or_busy(other / LOCK, "in use", ""):
            shutil.rmtree(other, ignore_errors=True)
        del sizes[other]
