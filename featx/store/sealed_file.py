"""The HDF5 file of a store, never trusted when it is read.

Features are one contiguous dataset (so they can be memory-mapped) with our own CRC-32 for each 1,024 rows; everything
else has a fixed width and HDF5's checksum.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np
from numpy.typing import NDArray

from featx.backbones.fingerprint import Fingerprint
from featx.catalogue.items import NOTHING, Item, Skipped
from featx.catalogue.own_columns import Value
from featx.errors import FeatxError
from featx.files.regular import read_at
from featx.store.records import FeatureSpec

SCHEMA = 1
BLOCK = 1024
MOST_TOGETHER, MOST_DATASETS, UNFILLED = 256 << 20, 10_000, 1 << 20
MAX_CHUNK = 64 << 20
EVERYTHING = slice(None)
WORDS = ("label", "product", "split")
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
# In `columns_state`: an empty cell, a value, an item without the column.
EMPTY, VALUE, ABSENT = range(3)


def newer(path: Path, schema: object) -> FeatxError:
    """The error for a store written by a later version."""
    return FeatxError(
        "store-newer",
        f"`{path}` was written by a newer featx (format {schema}; this one reads up to {SCHEMA})",
        "`pip install --upgrade featx`",
        {"store": str(path), "schema": str(schema)},
    )


_BROKEN = "`{}` is damaged or not a feature store: "


def broken(path: Path, what: str) -> FeatxError:
    """The error for a file that is damaged or not a store."""
    return FeatxError(
        "store-broken",
        _BROKEN.format(path) + what,
        "rebuild it from the photos: `featx extract` with `--replace --yes`",
        {"store": str(path)},
    )


class SealedFile:
    """A sealed store, checked for anything that could harm its reader before it is read."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self.size = os.stat(file.id.get_vfd_handle()).st_size
        schema = self._attribute(file, "schema_version")
        if not isinstance(schema, int):
            raise broken(path, "it has no format number")
        if schema > SCHEMA:
            raise newer(path, schema)
        if schema < 1:
            raise broken(path, f"there is no format {schema}")
        # Texts are padded to the longest and compress well, but their total size still has a limit.
        if sum(self._vet(group, name) for group, name in _walk(path, file)) > 50 * self.size + MOST_TOGETHER:
            raise broken(path, "its datasets claim to expand beyond the file size")
        facts = {name: self._attribute(file, name) for name in
                 ("n", "width", "views", "store_id", "merged_journal", "fingerprint", "provenance")}  # fmt: skip
        self.n, self.store_id, self.merged = int(facts["n"]), str(facts["store_id"]), str(facts["merged_journal"])
        self.provenance: dict[str, object] = json.loads(facts["provenance"])
        if not isinstance(self.provenance, dict):
            raise broken(path, "it does not say how its features were made")
        features = file["features"]
        width, views = int(facts["width"]), int(facts["views"])
        try:
            fingerprint = Fingerprint.from_dict(json.loads(facts["fingerprint"]), width=width)
        except FeatxError as error:
            raise broken(path, error.message) from error
        self.spec = FeatureSpec(fingerprint, width, views, str(features.dtype))
        if features.shape != (self.n, *self.spec.row_shape) or str(features.dtype) not in ("float32", "float16"):
            raise broken(path, "the shape of its features is not the one it declares")
        if features.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS:
            raise broken(path, "its features are not contiguous")
        self.offset = features.id.get_offset() if self.n else 0
        if self.n and (self.offset is None or self.offset + self.n * self.spec.row_bytes > self.size):
            raise broken(path, "it ends before its features do")
        self._sums = self._read(file, "features_crc32", -(-self.n // BLOCK))
        self._file = file
        self.fd = os.dup(file.id.get_vfd_handle())

    @classmethod
    def open(cls, path: Path) -> SealedFile | None:
        """Open a store's HDF5 file; None where there is none."""
        if not path.exists():
            return None
        if not path.is_file():
            raise broken(path, "it is not a file")
        file = None
        try:
            file = h5py.File(path, "r", locking=False)
            return cls(path, file)
        except FeatxError:
            if file is not None:
                file.close()
            raise
        except PermissionError as error:
            raise FeatxError("no-permission", f"cannot read `{path}`", "make it readable") from error
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError) as error:
            if file is not None:
                file.close()
            raise broken(path, _first_line(error)) from error

    def _vet(self, group: h5py.Group, name: bytes) -> int:
        """The size in bytes that a dataset declares; refuses anything suspicious about it."""
        dataset = h5py.h5d.open(group.id, name)
        kind, plan = dataset.get_type(), dataset.get_create_plist()
        where = name.decode("utf-8", "replace")
        plain = kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT) or (
            kind.get_class() == h5py.h5t.STRING and not kind.is_variable_str()
        )
        if not plain:
            raise broken(self.path, f"`{where}` has a type that a store never has")
        layout = plan.get_layout()
        if layout not in (h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED) or plan.get_external_count():
            raise broken(self.path, f"`{where}` keeps its data outside this file")
        if {plan.get_filter(i)[0] for i in range(plan.get_nfilters())} - FILTERS:
            raise broken(self.path, f"`{where}` uses a filter that a store never has")
        declared = int(kind.get_size() * prod(dataset.shape))
        if layout == h5py.h5d.CHUNKED:
            piece = kind.get_size() * prod(plan.get_chunk())
            if piece > MAX_CHUNK:
                raise broken(self.path, f"`{where}` has chunks of {piece:,} bytes")
        # Deflate shrinks at best 1,032 bytes to one, and a small unfilled chunk does no harm either. The length of the
        # whole file says nothing about compressed data: holes in it take no space.
        most = (
            self.size if layout == h5py.h5d.CONTIGUOUS else 1040 * min(dataset.get_storage_size(), self.size) + UNFILLED
        )
        if declared > most:
            raise broken(self.path, f"`{where}` claims to expand beyond the file size")
        return declared

    def _attribute(self, file: h5py.File, name: str) -> Any:
        attribute = h5py.h5a.open(file.id, name.encode())
        kind = attribute.get_type()
        if attribute.shape != () or (
            kind.get_class() != h5py.h5t.INTEGER
            and (kind.get_class() != h5py.h5t.STRING or kind.is_variable_str() or kind.get_size() > MAX_CHUNK)
        ):
            raise broken(self.path, f"its `{name}` has a type that a store never has")
        value = file.attrs[name]
        return bytes(value).decode() if isinstance(value, bytes) else int(value)

    def _read(self, group: h5py.Group, name: str, n: int, part: slice = EVERYTHING) -> NDArray[Any]:
        dataset = group[name]
        if dataset.shape != (n,):
            raise broken(self.path, f"`{name}` and the features differ in their number of rows")
        return np.asarray(dataset[part])

    def _texts(self, group: h5py.Group, name: str, n: int, part: slice = EVERYTHING) -> list[str]:
        dataset = group[name]
        if dataset.shape != (n,):
            raise broken(self.path, f"`{name}` and the features differ in their number of rows")
        first, last, _ = part.indices(n)
        step = dataset.chunks[0] if dataset.chunks else max(n, 1)
        texts: list[str] = []
        for start in range(first, last, step):
            piece = dataset[start : min(start + step, last)].tolist()
            texts += [bytes(text).decode("utf-8", "surrogateescape") for text in piece]
        return texts

    def rows(self) -> list[Item]:
        """Every row without its features, in order."""
        rows = [row for piece in self.pieces() for row in piece]
        if len({row.item_id for row in rows}) != self.n:
            raise broken(self.path, "an id occurs twice")
        return rows

    def pieces(self, step: int = 8192) -> Iterator[list[Item]]:
        """Every row without its features, in order, some thousands at a time."""
        cache: dict[str, str] = {}
        for start in range(0, self.n, step):
            try:
                rows = self._rows(slice(start, start + step), cache)
            except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError) as error:
                raise broken(self.path, _first_line(error)) from error
            yield rows

    def _rows(self, part: slice, cache: dict[str, str]) -> list[Item]:
        file = self._file
        ids, paths, digests = (self._texts(file, name, self.n, part) for name in ("id", "path", "digest"))
        words: list[list[str | None]] = []
        for word in WORDS:
            known = self._read(file, f"{word}_known", self.n, part).tolist()
            texts = self._texts(file, word, self.n, part)
            words.append(
                [cache.setdefault(text, text) if has else None for text, has in zip(texts, known, strict=True)]
            )
        n = len(ids)
        sources = self._texts(file, "source", self.n, part) if "source" in file else [""] * n
        extras: list[dict[str, Value]] = [{} for _ in range(n)] if len(file["columns"]) else []
        for key in file["columns"]:
            name = "" if key == "%" else unquote(key, errors="surrogateescape")
            state = self._read(file["columns_state"], key, self.n, part).tolist()
            for i, value in enumerate(self._values(file["columns"], key, state, part)):
                if state[i] != ABSENT:
                    extras[i][name] = value
        return [
            Item(
                ids[i],
                paths[i],
                words[0][i],
                words[1][i],
                words[2][i],
                MappingProxyType(extras[i]) if extras and extras[i] else NOTHING,
                digest=digests[i],
                source=cache.setdefault(sources[i], sources[i]) or None,
            )
            for i in range(n)
        ]

    def _values(self, columns: h5py.Group, key: str, state: Sequence[int], part: slice) -> Iterator[Value]:
        attribute = h5py.h5a.open(columns[key].id, b"kind")
        if attribute.get_type().get_class() != h5py.h5t.STRING or attribute.get_type().is_variable_str():
            raise broken(self.path, f"column `{key}` does not declare its type")
        kind = bytes(columns[key].attrs["kind"]).decode()
        if kind in ("string", "json"):
            for has, text in zip(state, self._texts(columns, key, self.n, part), strict=True):
                yield None if has != VALUE else text if kind == "string" else self._json(key, text)
        else:
            convert = {"bool": bool, "int": int, "float": float}[kind]
            for has, number in zip(state, self._read(columns, key, self.n, part).tolist(), strict=True):
                yield convert(number) if has == VALUE else None

    def _json(self, key: str, text: str) -> Value:
        # A nested list takes a hundred bytes for a few characters; no cell ever contains one.
        if text[:1] in ("[", "{"):
            raise broken(self.path, f"column `{key}` contains something that is not a cell")
        value: Value = json.loads(text)
        return value

    def skipped(self) -> list[Skipped]:
        """Photos that could not be used."""
        try:
            group = self._file["skipped"]
            n = int(group["path"].shape[0])
            texts = [self._texts(group, name, n) for name in ("path", "reason", "detail")]
            numbers = [self._read(group, name, n).tolist() for name in ("size", "mtime_ns")]
            return [Skipped(*record) for record in zip(*texts, *numbers, strict=True)]
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            raise broken(self.path, _first_line(error)) from error

    def block(self, number: int) -> bytes:
        """The features of up to 1,024 rows, their checksum verified."""
        start = number * BLOCK
        count = min(BLOCK, self.n - start)
        wanted = count * self.spec.row_bytes
        position = (self.offset or 0) + start * self.spec.row_bytes
        pieces: list[bytes] = []
        while wanted:
            piece = read_at(self.fd, min(wanted, 1 << 30), position)
            if not piece:
                break
            pieces.append(piece)
            wanted -= len(piece)
            position += len(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if wanted or zlib.crc32(data) != int(self._sums[number]):
            raise broken(self.path, f"the features of rows {start:,}–{start + count - 1:,} are not what was written")
        if not np.isfinite(np.frombuffer(data, dtype=self.spec.dtype)).all():
            raise broken(self.path, f"the features of rows {start:,}–{start + count - 1:,} are not all numbers")
        return data

    def check(self) -> list[str]:
        """Every damaged block of features, in words; everything else was verified when it was read."""
        damage = []
        for number in range(-(-self.n // BLOCK)):
            try:
                self.block(number)
            except FeatxError as error:
                damage.append(error.message.removeprefix(_BROKEN.format(self.path)))
        return damage

    def close(self) -> None:
        """Close the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self._file.close()


def _walk(path: Path, file: h5py.File) -> Iterator[tuple[h5py.Group, bytes]]:
    """Every dataset of a store. Anything but hard links to datasets in the four known groups is refused."""
    for group_name in ("", "columns", "columns_state", "skipped"):
        group = file[group_name] if group_name else file
        if len(group) > MOST_DATASETS:
            raise broken(path, "it has too many datasets")
        for name in list(group.id):
            where = name.decode("utf-8", "replace")
            if group.id.links.get_info(name).type != h5py.h5l.TYPE_HARD:
                raise broken(path, f"`{where}` is a link to somewhere else")
            information = h5py.h5o.get_info(group.id, name)
            if information.rc > 1:
                raise broken(path, f"`{where}` has several names")
            kind = information.type
            if kind == h5py.h5o.TYPE_GROUP and not group_name and where in ("columns", "columns_state", "skipped"):
                continue
            if kind != h5py.h5o.TYPE_DATASET:
                raise broken(path, f"`{where}` is not a dataset")
            yield group, name


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
