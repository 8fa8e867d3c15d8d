"""`NAME.h5.index`: everything a query needs of a store besides the features, laid out to be mapped, not read.

The features stay in the store, whose file is mapped too. The cache belongs to one sealed store, whose end it knows by
its digest. Any other store, or one with rows waiting in its journal, answers by itself, and the cache is made anew. It
may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from featx.catalogue.own_columns import Value
from featx.compute.vectors import side_by_side
from featx.files.atomic import atomic_writer
from featx.files.mapped import ALIGN, pack_header, unpack_header
from featx.files.regular import open_regular, read_regular
from featx.metrics.block_choice import BlockChoice
from featx.retrieval.rows import Columns, IndexRows
from featx.retrieval.search import SimilarityIndex
from featx.retrieval.similarity_words import SimilarityScale
from featx.retrieval.string_column import StringColumn
from featx.workspace import journal_beside

if TYPE_CHECKING:
    from featx.store import Store

MAGIC = b"featx-index/4\n"
KINDS = {"f4": np.float32, "i4": np.int32, "i8": np.int64, "u1": np.uint8}
TEXTS = ("ids", "paths", "digests", "products")
# The attributes of the file, the store's id among them, are written last, at its end.
TAIL = 1 << 16


def cache_of(store: Path) -> Path:
    """The path of the cache of a store."""
    return store.with_name(store.name + ".index")


def open_cached(store: Path) -> SimilarityIndex | None:
    """The index of a store from its cache; None if there is no cache, or it belongs to another file."""
    if journal_beside(store).exists():
        return None
    try:
        with open_regular(cache_of(store)) as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return _index(store, whole)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        # A cache is never worth an error: if it is damaged, the store answers.
        return None


def write_cache(store: Store, index: SimilarityIndex) -> bool:
    """Keep an index beside its store; False where that cannot be, as in a folder that may not be written."""
    whole = store.whole.features_map()
    path = Path(store.path)
    identity = identity_of(path)
    if not isinstance(whole, np.memmap) or identity is None:
        return False
    parts: dict[str, NDArray[Any]] = {
        "scale": index.rows.scale,
        "codes": index.rows.codes,
        "label_codes": index.rows.label_codes,
    }
    for name in TEXTS:
        names: StringColumn = getattr(index.rows, name)
        parts[f"{name}_text"] = np.frombuffer(bytes(names.blob), dtype=np.uint8)
        parts[f"{name}_ends"] = names.ends
    parts["stretch"] = np.zeros(0, np.float32) if index.rows.stretch is None else index.rows.stretch
    parts["order"], parts["starts"] = index.rows.order.astype(np.int32), index.rows.starts.astype(np.int64)
    for number, values in enumerate(index.rows.columns().values()):
        parts[f"column{number}"] = np.frombuffer(json.dumps(values).encode(), dtype=np.uint8)
    for number, values in enumerate(index.rows.own_columns.values()):
        cells = StringColumn.of(map(json.dumps, values))
        parts[f"own{number}_text"] = np.frombuffer(bytes(cells.blob), dtype=np.uint8)
        parts[f"own{number}_ends"] = cells.ends
    places, offset, total = {}, 0, 0
    pieces: list[bytes | memoryview] = []
    for name, part in parts.items():
        places[name] = [offset, int(part.size), part.dtype.str[1:]]
        for piece in (np.ascontiguousarray(part).view(np.uint8).data, b"\0" * (-part.nbytes % ALIGN)):
            pieces.append(piece)
            offset += len(piece)
            total = zlib.crc32(piece, total)
    head = {
        "store": identity,
        "features_at": int(whole.offset),
        "shape": [store.n, store.views, store.whole.width],
        "blocks": list(index.rows.blocks),
        "weights": list(index.rows.weights),
        "block_choice": index.block_choice.to_dict() if index.block_choice else None,
        "columns_used": store.columns_used,
        "dtype": store.dtype.str,
        "label_names": index.rows.label_names,
        "columns": list(index.rows.columns()),
        "own": list(index.rows.own_columns),
        "words": index.words.to_dict() if index.words else None,
        "parts": places,
        "bytes": offset,
        "sum": total,
    }
    try:
        with atomic_writer(cache_of(path)) as file:
            file.write(pack_header(MAGIC, head))
            file.writelines(pieces)
    except OSError:
        return False
    return True


class _Cells(Sequence[Value]):
    """The cells of a column, each read on demand."""

    def __init__(self, texts: StringColumn) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, i: int) -> Value: ...
    @overload
    def __getitem__(self, i: slice) -> list[Value]: ...
    def __getitem__(self, i: int | slice) -> Value | list[Value]:
        """One cell, or some of them."""
        return json.loads(self._texts[i]) if isinstance(i, int) else [json.loads(text) for text in self._texts[i]]


class _Columns(Mapping[str, Sequence[Any]]):
    """The columns by name, each parsed when it is first used: a condition needs one of them, a list of names none."""

    def __init__(self, numbers: Mapping[str, int], read: Callable[[int], Sequence[Any]]) -> None:
        self._numbers, self._read, self._known = numbers, read, dict[str, Sequence[Any]]()

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __getitem__(self, name: str) -> Sequence[Any]:
        """The values of a column, row by row."""
        if name not in self._known:
            self._known[name] = self._read(self._numbers[name])
        return self._known[name]


def cache_damage(store: Path) -> str | None:
    """What is wrong with the cache of a store, in words; a query trusts it, only a check reads all of it."""
    path = cache_of(store)
    try:
        data = read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    try:
        head, begin = unpack_header(MAGIC, memoryview(data)) or ({}, 0)
        if head and zlib.crc32(data[begin:]) == head["sum"] and data[:begin] == pack_header(MAGIC, head):
            return None
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    return "it is not what was written"


def identity_of(store: Path) -> str | None:
    """Identifies this sealed store: the end of its file, into which each sealing writes a new id."""
    with open_regular(store) as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - TAIL))
        tail = file.read(TAIL)
    return f"{hashlib.sha256(tail).hexdigest()} {size}" if b"store_id" in tail else None


def _index(store: Path, whole: memoryview) -> SimilarityIndex | None:
    read = unpack_header(MAGIC, whole)
    if read is None:
        return None
    head, begin = read

    def part(name: str) -> NDArray[Any]:
        offset, size, kind = head["parts"][name]
        return np.frombuffer(whole, dtype=KINDS[kind], count=size, offset=begin + offset)

    def texts(name: str) -> StringColumn:
        offset, size, _ = head["parts"][f"{name}_text"]
        return StringColumn(whole[begin + offset : begin + offset + size], part(f"{name}_ends"))

    def columns() -> Columns:
        numbers = {name: number for number, name in enumerate(head["columns"])}
        return _Columns(numbers, lambda number: json.loads(part(f"column{number}").tobytes()))

    n, views, width = head["shape"]
    if identity_of(store) != head["store"]:
        return None
    # A store file never changes in place: a new one takes its name, and the old one lives as long as it is mapped.
    kind, offset = np.dtype(head["dtype"]), head["features_at"]
    stored = np.memmap(store, dtype=kind, mode="r", offset=offset, shape=(n, views, width))[:, 0]
    features = side_by_side(stored, head["columns_used"])
    if len(part("scale")) != n or len(part("ids_ends")) != n:
        return None
    own = {heading: _Cells(texts(f"own{number}")) for number, heading in enumerate(head["own"])}
    rows = IndexRows(
        features.view(np.ndarray),
        part("scale"),
        texts("ids"),
        texts("paths"),
        texts("digests"),
        part("codes"),
        texts("products"),
        part("label_codes"),
        head["label_names"],
        columns,
        store,
        own,
        tuple(head["blocks"]),
        tuple(head["weights"]),
        part("stretch") if head["weights"] else None,
    )
    rows.__dict__["order"], rows.__dict__["starts"] = part("order"), part("starts")
    index = SimilarityIndex(rows, SimilarityScale.from_dict(head["words"]) if head["words"] else None)
    index.block_choice = BlockChoice.from_dict(head["block_choice"]) if head["block_choice"] else None
    return index
