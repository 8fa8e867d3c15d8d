"""Writes a store of format 1 as docs/store-format.md describes it, with h5py alone; featx is not imported.

`python tests/store/old_stores/make_format_1.py` wrote `format-1.h5` and its journal. They stay as they are: what the
first release wrote must open for ever, so this script only says how they came about.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np

FACTS = {"backbone": "toy", "weights": "none", "width": 3, "layer": "top", "pool": "avg", "preprocessing": "none"}
ROWS: list[dict] = [
    {"id": "a1", "path": "photos/boots/a1.jpg", "digest": "a" * 64, "label": "boots", "product": "a", "split": "train",
     "features": [1.0, 0.0, 0.5]},
    {"id": "Stövel 靴", "path": b"photos/odd\xff name.jpg".decode("utf-8", "surrogateescape"), "digest": "b" * 64,
     "label": "", "product": None, "split": None, "features": [0.0, 1.0, -2.0]},
    {"id": "c", "path": "photos/c.jpg", "digest": "c" * 64, "label": None, "product": "a", "split": "test",
     "features": [3.5, 0.25, 1e-6]},
]  # fmt: skip
COLUMNS = {
    "price": ("float", [12.5, float("nan"), 3.0], [1, 0, 1]),
    "stock": ("int", [7, -1, 0], [1, 1, 2]),
    "new": ("bool", [1, 0, 1], [1, 1, 1]),
    "note%2Ftext": ("string", ["é", "", "x"], [1, 0, 1]),
    "mixed": ("json", ["1", '"one"', "true"], [1, 1, 1]),
}
WAITING = ["d", "photos/d.jpg", "d" * 64, "hats", None, "train", {"price": 1.0}]


def texts(group: h5py.Group, name: str, values: list[str]) -> None:
    data = [value.encode("utf-8", "surrogateescape") for value in values]
    kind = h5py.string_dtype("utf-8", max(map(len, data), default=1) or 1)
    group.create_dataset(name, data=np.array(data, dtype=kind), maxshape=(None,), chunks=(16,), compression="gzip",
                         fletcher32=True)  # fmt: skip


def numbers(group: h5py.Group, name: str, values: list, dtype: str) -> None:
    group.create_dataset(name, data=np.array(values, dtype=dtype), maxshape=(None,), chunks=(16,), compression="gzip",
                         fletcher32=True)  # fmt: skip


def frame(kind: int, sequence: int, record: object, features: bytes = b"") -> bytes:
    encoded = json.dumps(record).encode("ascii")
    front = struct.pack(
        "<4sBxxxQIQI", b"FXJ1", kind, sequence, len(encoded), len(features), zlib.crc32(encoded + features)
    )
    return front + struct.pack("<I", zlib.crc32(front)) + encoded + features


def main(folder: Path) -> None:
    features = np.array([row["features"] for row in ROWS], dtype=np.float32)
    with h5py.File(folder / "format-1.h5", "w", libver=("v110", "v110")) as file:
        file.attrs.update({"schema_version": 1, "n": len(ROWS), "width": 3, "views": 1})
        head = {"created_by": "featx 0.1.0", "store_id": "0" * 32, "merged_journal": "-",
                "fingerprint": json.dumps(FACTS), "provenance": json.dumps({"source": "photos"})}  # fmt: skip
        for name, text in head.items():
            file.attrs[name] = np.bytes_(text.encode())
        file.create_dataset("features", data=features)
        numbers(file, "features_crc32", [zlib.crc32(features.tobytes())], "uint32")
        for name in ("id", "path", "digest"):
            texts(file, name, [row[name] for row in ROWS])
        for name in ("label", "product", "split"):
            texts(file, name, [row[name] or "" for row in ROWS])
            numbers(file, f"{name}_known", [row[name] is not None for row in ROWS], "uint8")
        columns, states = file.create_group("columns"), file.create_group("columns_state")
        for name, (kind, values, state) in COLUMNS.items():
            if kind in ("string", "json"):
                texts(columns, name, [str(value) for value in values])
            else:
                numbers(columns, name, values, {"bool": "uint8", "int": "int64", "float": "float64"}[kind])
            columns[name].attrs["kind"] = np.bytes_(kind.encode())
            numbers(states, name, state, "uint8")
        skipped = file.create_group("skipped")
        for name, text in (("path", "photos/bad.jpg"), ("reason", "truncated"), ("detail", "half of it")):
            texts(skipped, name, [text])
        numbers(skipped, "size", [12], "int64")
        numbers(skipped, "mtime_ns", [34], "int64")
    head = {"schema": 1, "journal": "1" * 32, "base": "0" * 32, "fingerprint": FACTS, "width": 3, "views": 1,
            "dtype": "float32", "provenance": {"source": "photos"}}  # fmt: skip
    row = np.array([0.5, 0.5, 0.5], dtype=np.float32).tobytes()
    (folder / "format-1.h5.journal").write_bytes(
        frame(1, 0, head) + frame(2, 1, [WAITING], row) + frame(6, 2, [["photos/e.jpg", "empty", "", 0, 1]])
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
