"""Write the HDF5 file of a store as a new file; only the sealing process does."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np
from numpy.typing import NDArray

from featx.catalogue.items import Item, Skipped
from featx.store.records import FeatureSpec
from featx.store.sealed_file import ABSENT, EMPTY, SCHEMA, VALUE, WORDS
from featx.version import __version__

CHUNK = 1 << 20


def write(
    target: Path,
    spec: FeatureSpec,
    provenance: Mapping[str, object],
    rows: Sequence[Item],
    blocks: Iterable[bytes],
    skipped: Sequence[Skipped],
    merged: str,
) -> None:
    """Write a complete store into a new file, block by block."""
    with h5py.File(target, "x", libver=("v110", "v110"), locking=False) as file:
        facts = {
            "schema_version": SCHEMA,
            "n": len(rows),
            "width": spec.width,
            "views": spec.views,
            "created_by": np.bytes_(f"featx {__version__}".encode()),
            "store_id": np.bytes_(uuid.uuid4().hex.encode()),
            "merged_journal": np.bytes_(merged.encode() or b"-"),
        }
        for name, value in facts.items():
            file.attrs[name] = value
        for name, document in (("fingerprint", spec.fingerprint.to_dict()), ("provenance", provenance)):
            file.attrs[name] = np.bytes_(json.dumps(document, sort_keys=True).encode("ascii"))
        features = file.create_dataset("features", (len(rows), *spec.row_shape), dtype=spec.dtype, fill_time="never")
        sums, start = [], 0
        for block in blocks:
            part = np.frombuffer(block, dtype=spec.dtype).reshape(-1, *spec.row_shape)
            features[start : start + len(part)] = part
            sums.append(zlib.crc32(block))
            start += len(part)
        _numbers(file, "features_crc32", np.array(sums, dtype=np.uint32))
        _strings(file, "id", [row.item_id for row in rows])
        _strings(file, "path", [row.path for row in rows])
        _strings(file, "digest", [row.digest for row in rows])
        for word in WORDS:
            values = [getattr(row, word) for row in rows]
            _strings(file, word, [value or "" for value in values])
            _numbers(file, f"{word}_known", np.array([value is not None for value in values], dtype=np.uint8))
        if any(row.source for row in rows):
            _strings(file, "source", [row.source or "" for row in rows])
        columns, states = file.create_group("columns"), file.create_group("columns_state")
        for name in sorted({name for row in rows for name in row.extra}):
            _column(columns, states, name, rows)
        group = file.create_group("skipped")
        for name in ("path", "reason", "detail"):
            _strings(group, name, [getattr(photo, name) for photo in skipped])
        for name in ("size", "mtime_ns"):
            _numbers(group, name, np.array([getattr(photo, name) for photo in skipped], dtype=np.int64))


def _column(columns: h5py.Group, states: h5py.Group, name: str, rows: Sequence[Item]) -> None:
    values = [row.extra.get(name) for row in rows]
    state = [ABSENT if name not in row.extra else EMPTY if row.extra[name] is None else VALUE for row in rows]
    kinds = {type(value) for value in values if value is not None}
    key = quote(name.encode("utf-8", "surrogateescape"), safe=" !#$&'()*+,-:;<=>?@[]^_`{|}~") or "%"
    key = key.replace(".", "%2E") if not key.strip(".") else key
    if kinds == {bool}:
        kind = "bool"
        _numbers(columns, key, np.array([bool(value) for value in values], dtype=np.uint8))
    elif kinds == {int} and all(-(2**63) <= value < 2**63 for value in values if value is not None):  # type: ignore[operator]
        kind = "int"
        _numbers(columns, key, np.array([value or 0 for value in values], dtype=np.int64))
    elif kinds == {float}:
        kind = "float"
        _numbers(columns, key, np.array([np.nan if value is None else value for value in values], dtype=np.float64))
    elif kinds <= {str}:
        kind = "string"
        _strings(columns, key, [str(value or "") for value in values])
    else:
        # Mixed types are kept as JSON, so that no value changes its type.
        kind = "json"
        _strings(columns, key, ["" if value is None else json.dumps(value) for value in values])
    columns[key].attrs["kind"] = np.bytes_(kind.encode())
    _numbers(states, key, np.array(state, dtype=np.uint8))


def _strings(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    data = [text.encode("utf-8", "surrogateescape") for text in texts]
    width = max(map(len, data), default=1) or 1
    step = max(1, min(4096, CHUNK // width))
    kind = h5py.string_dtype("utf-8", width)
    dataset = group.create_dataset(
        name,
        (len(data),),
        dtype=kind,
        maxshape=(None,),
        chunks=(step,),
        compression="gzip",
        compression_opts=1,
        fletcher32=True,
    )
    for start in range(0, len(data), step):
        dataset[start : start + step] = np.array(data[start : start + step], dtype=kind)


def _numbers(group: h5py.Group, name: str, values: NDArray[Any]) -> None:
    group.create_dataset(name, data=values, maxshape=(None,), chunks=(65536,), compression="gzip",
                         compression_opts=1, fletcher32=True)  # fmt: skip
