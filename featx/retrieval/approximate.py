"""`NAME.h5.approx`: candidates for the most similar products, without comparing all of them.

A graph of nearest neighbours (usearch, an extra) proposes candidates; what is shown of them is compared exactly, as
without it. The graph knows photos by their digest, so a store that changed needs only what came and went. The share of
the true ten nearest that it proposes is measured on the catalogue itself whenever the file is made or renewed.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.compute.hashes import number_for
from featx.compute.threads import cores
from featx.errors import FeatxError
from featx.files.atomic import atomic_writer, temporary_path
from featx.files.locks import one_writer
from featx.files.mapped import ALIGN, pack_header, unpack_header
from featx.files.regular import open_regular
from featx.retrieval.cache import identity_of
from featx.retrieval.engines.base import CandidateSource, ChangeableEngine, Keys
from featx.retrieval.engines.usearch_engine import KIND, UsearchEngine
from featx.retrieval.measured_recall import Groups, tuned
from featx.retrieval.rows import IndexRows
from featx.workspace import journal_beside

MAGIC = b"featx-approx/1\n"
BLOCK = 20_000
PIECE = 1 << 20
# A repaired graph that finds less than this is made anew.
TOO_FEW = 0.9
# More changes than this, and a new graph is sooner made than an old one repaired.
MENDED = 0.3

# How many photos are to be done, to a context that gives a function to tell how many are.
Watch = Callable[[int], Any]


def approximate_of(store: Path) -> Path:
    """The path of the graph of a store."""
    return store.with_name(store.name + ".approx")


def open_nearby(index: IndexRows, *, make: bool = False, watch: Watch | None = None) -> CandidateSource | None:
    """The graph of an index's store, brought up to date; with `make`, created if there is none.

    `watch` gets how many photos are to be added and returns a context that gives a function to tell how many are.
    None where there is none, or where the store has rows that are not sealed yet.
    """
    assert index.path is not None
    path = approximate_of(index.path)
    if not (make or path.is_file()) or journal_beside(index.path).exists() or not (index.scale > 0).any():
        return None
    identity = identity_of(index.path)
    if identity is None:
        return None
    held = read_approximate(path)
    if held is not None and held.head.get("blocks", []) != index.described:
        if not make:
            return None  # it compares other parts of a joined backbone
        held = None
    if held is not None and held.head["store"] == identity:
        return held.opened()
    keys, rows = _keys(index)
    fingerprint = _fingerprint(index)
    repaired = _repaired(held, index, fingerprint, keys, rows, watch) if held is not None else None
    groups = Groups.of(index)
    nearby = tuned(repaired, index, keys, rows, groups) if repaired is not None else None
    if nearby is None or nearby.recall < TOO_FEW:
        fresh = _added(UsearchEngine.empty(index.features.shape[1]), index, np.unique(keys), keys, rows, watch)
        nearby = tuned(fresh, index, keys, rows, groups)
    with one_writer(path.parent, "an approximate index"):
        # Another process may have made the graph of newer rows meanwhile: this one is for this command alone then.
        if identity_of(index.path) == identity:
            write_approximate(path, identity, fingerprint, nearby, index.described)
    return nearby


def damage(store: Path) -> str | None:
    """The fault of the graph beside a store, checked to its last byte; None if there is no fault, or no graph."""
    path = approximate_of(store)
    if not path.exists():
        return None
    held = read_approximate(path)
    if held is None:
        return "it is cut off or not of this version"
    return None if zlib.crc32(held.body) == held.head["body_crc"] else "its bytes have changed"


@dataclass(frozen=True)
class _Held:
    """A mapped file."""

    head: dict[str, Any]
    body: memoryview

    def _part(self, offset: int, kind: type) -> NDArray[Any]:
        return np.frombuffer(self.body, dtype=kind, count=self.head["rows"], offset=offset)

    @property
    def keys(self) -> Keys:
        return self._part(0, np.uint64)

    def opened(self) -> CandidateSource:
        engine = UsearchEngine.restore(self.body[self.head["graph_at"] :], view=True)
        if engine is None or len(engine) != self.head["photos"]:
            raise _broken()
        rows = self._part(8 * self.head["rows"], np.int64)
        towards, away = (self.head.get(name) for name in ("towards", "away"))
        return CandidateSource(engine, self.keys, rows, self.head["recall"], self.head["effort"], towards, away)

    def loaded(self) -> ChangeableEngine:
        """The engine in memory, to be changed."""
        engine = UsearchEngine.restore(self.body[self.head["graph_at"] :], view=False)
        if engine is None:
            raise _broken()
        return engine


def read_approximate(path: Path) -> _Held | None:
    """The content of an approximate index's file; None if there is no such file."""
    try:
        with open_regular(path) as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        head, begin = unpack_header(MAGIC, whole) or ({}, 0)
        return _Held(head, whole[begin:]) if head else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_approximate(
    path: Path, identity: str, fingerprint: str, nearby: CandidateSource, blocks: Sequence[str] = ()
) -> None:
    """Write an approximate index, whole or not at all."""
    assert isinstance(nearby.engine, UsearchEngine)
    graph = temporary_path(path)
    try:
        nearby.engine.save(graph)
        _write_with_graph(path, graph, identity, fingerprint, nearby, blocks)
    except OSError as error:
        raise FeatxError(
            "no-permission", f"cannot write {path}: {error.strerror or error}", "search without that file: `--exact`"
        ) from error
    finally:
        graph.unlink(missing_ok=True)


def _write_with_graph(
    path: Path, graph: Path, identity: str, fingerprint: str, nearby: CandidateSource, blocks: Sequence[str]
) -> None:
    numbers = nearby.keys.tobytes() + nearby.rows.tobytes()
    numbers += b"\0" * (-len(numbers) % ALIGN)
    # Of a million photos a graph has 700 MB, so it goes from file to file in pieces.
    crc = zlib.crc32(numbers)
    for piece in _pieces(graph):
        crc = zlib.crc32(piece, crc)
    head = {
        "store": identity,
        "fingerprint": fingerprint,
        "blocks": list(blocks),
        "rows": len(nearby.keys),
        "photos": len(nearby),
        "recall": nearby.recall,
        "towards": nearby.towards,
        "away": nearby.away,
        "effort": nearby.effort,
        "graph_at": len(numbers),
        "bytes": len(numbers) + graph.stat().st_size,
        "body_crc": crc,
    }
    with atomic_writer(path) as file:
        file.write(pack_header(MAGIC, head))
        file.write(numbers)
        file.writelines(_pieces(graph))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _broken() -> FeatxError:
    return FeatxError("index-broken", "the approximate index beside the store is damaged", "delete the `.approx` file")


def _keys(index: IndexRows) -> tuple[Keys, NDArray[np.int64]]:
    """The numbers of the photos whose rows have a direction, in order, and these rows."""
    rows = np.flatnonzero(index.scale > 0)
    named = (number_for(digest or item_id) for digest, item_id in zip(index.digests, index.ids, strict=True))
    numbers = np.fromiter(named, np.uint64, len(index))[rows]
    order = np.argsort(numbers, kind="stable")
    return numbers[order], rows[order].astype(np.int64)


def _fingerprint(index: IndexRows) -> str:
    """What made the features: a graph of other features is of no use."""
    from featx.store import open_store

    assert index.path is not None
    store = open_store(index.path)
    return f"{sorted(store.fingerprint.to_dict().items())} {store.width} {KIND}"


def _repaired(
    held: _Held,
    index: IndexRows,
    fingerprint: str,
    keys: Keys,
    rows: NDArray[np.int64],
    watch: Watch | None,
) -> ChangeableEngine | None:
    """The stored engine with new photos added and old ones removed; None if building a new one is faster."""
    if held.head["fingerprint"] != fingerprint or zlib.crc32(held.body) != held.head["body_crc"]:
        return None
    old, new = np.unique(held.keys), np.unique(keys)
    gone, come = np.setdiff1d(old, new, assume_unique=True), np.setdiff1d(new, old, assume_unique=True)
    if len(gone) + len(come) > MENDED * len(new):
        return None
    engine = held.loaded()
    if len(gone):
        engine.remove(gone)
    return _added(engine, index, come, keys, rows, watch)


def _added(
    engine: ChangeableEngine,
    index: IndexRows,
    wanted: Keys,
    keys: Keys,
    rows: NDArray[np.int64],
    watch: Watch | None,
) -> ChangeableEngine:
    """The engine with the photos of some keys added; each photo once, however many rows have it."""
    first = np.searchsorted(keys, wanted)
    # In the order of the store, so that its file is read from one end to the other.
    places = first[np.argsort(rows[first])]
    threads = cores()
    with watched(watch, len(places)) as advance:
        for start in range(0, len(places), BLOCK):
            part = places[start : start + BLOCK]
            engine.add(keys[part], index.unit_rows(rows[part]), threads)
            advance(start + len(part))
    return engine


def watched(watch: Watch | None, total: int) -> Any:
    """The context of a watch that may be none, or has nothing to watch."""

    def silent(done: int) -> None: ...

    return nullcontext(silent) if watch is None or not total else watch(total)
