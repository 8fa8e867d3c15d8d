"""`NAME.h5.lance`: an index on the disk for catalogues beyond what a graph in memory serves.

The file names a folder beside it, `NAME.h5.lance-XXXXXXXX`, that holds the lists. An index belongs to one sealed store
and is never changed: a new one is built beside it, measured, and only then named. What it proposes is compared exactly.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from featx.compute.centres import centres_of
from featx.errors import FeatxError
from featx.files.atomic import cannot_write, write_atomic
from featx.files.locks import one_writer
from featx.files.regular import read_regular
from featx.retrieval.approximate import Watch, watched
from featx.retrieval.cache import identity_of
from featx.retrieval.engines.base import CandidateSource
from featx.retrieval.engines.lance_engine import LanceEngine, Piece, make_lists, write_lance
from featx.retrieval.engines.pushdown import KeptColumn, kept_columns
from featx.retrieval.measured_recall import GROUP, Groups, tuned
from featx.retrieval.rows import IndexRows
from featx.workspace import journal_beside

VERSION = 1
BLOCK = 20_000
# Rows of one list; so many lists that a search reads a hundredth of a large catalogue.
ROWS_IN_A_LIST, MOST_LISTS = 1000, 20_000
# Rows that the centres of the lists are learned from, for each list and in all.
LEARNED_FROM, MOST_LEARNED_FROM = 128, 200_000
# An index that finds less than this, under conditions too, is not put into use.
REQUIRED = 0.95
# Fewer rows than these are compared one by one by Lance too: its codes need some rows to learn from.
FEWEST = 512
# Bits for each number in the lists; more are taken where fewer find less than this.
BITS, WANTED = (1, 5), 0.98


class Part(msgspec.Struct, frozen=True):
    """A file of the folder, as it was written."""

    path: str
    bytes: int
    crc: int


class LanceHead(msgspec.Struct, frozen=True):
    """What the file beside a store says of its index."""

    version: int
    store: str
    described: list[str]
    folder: str
    columns: list[tuple[str, str, str]]
    recall: float
    towards: float
    away: float
    effort: int
    parts: list[Part]


@dataclass(frozen=True)
class LanceIndex:
    """The index of a store: the file that names it, and what the file says."""

    path: Path
    head: LanceHead

    @property
    def folder(self) -> Path:
        """Where its lists are."""
        return self.path.with_name(self.head.folder)

    @property
    def columns(self) -> list[KeptColumn]:
        """The columns that conditions may use in it."""
        return [KeptColumn.of_record(record) for record in self.head.columns]

    def source(self, index: IndexRows) -> CandidateSource:
        """Its engine, over the rows of the store."""
        engine = LanceEngine.open(self.folder, self.columns)
        return replace(
            _untuned(engine, index), recall=self.head.recall, towards=self.head.towards, away=self.head.away,
            effort=self.head.effort,
        )  # fmt: skip


def lance_of(store: Path) -> Path:
    """The path of the file that names the index of a store."""
    return store.with_name(store.name + ".lance")


def read_lance(store: Path) -> LanceIndex | None:
    """The index beside a store, of whichever state of it; None where there is none that can be read."""
    try:
        head = msgspec.json.decode(read_regular(lance_of(store)), type=LanceHead)
    except (OSError, msgspec.MsgspecError):
        return None
    named = head.folder.startswith(lance_of(store).name) and os.sep not in head.folder
    return LanceIndex(lance_of(store), head) if named and head.version == VERSION else None


def open_lance(index: IndexRows) -> CandidateSource | None:
    """The index of a store as it is now; None where there is none, or only one of another state of the store."""
    assert index.path is not None
    held = read_lance(index.path)
    if held is None or journal_beside(index.path).exists() or held.head.store != identity_of(index.path):
        return None
    return held.source(index) if held.head.described == index.described and held.folder.is_dir() else None


def build_lance(index: IndexRows, watch: Watch | None = None) -> CandidateSource:
    """Build the index of a store beside the one in use, measure it, and put it into use if it finds enough."""
    assert index.path is not None
    identity = identity_of(index.path)
    if identity is None or journal_beside(index.path).exists():
        raise unsealed(index)
    pointer = lance_of(index.path)
    with one_writer(pointer.parent, "an index"):
        before = read_lance(index.path)
        _remove_folders(pointer, {before.folder.name} if before else set())
        folder = pointer.with_name(f"{pointer.name}-{os.urandom(4).hex()}")
        try:
            columns, source = _built(folder, index, watch)
            require_recall(
                source, "search exactly (`--exact`), or with the graph: `featx index build --engine usearch`"
            )
            parts = _parts(folder)
            kept = [(column.name, column.alias, str(column.kind)) for column in columns]
            head = LanceHead(VERSION, identity, index.described, folder.name, kept, source.recall,
                             source.towards or 0.0, source.away or 0.0, source.effort, parts)  # fmt: skip
            write_atomic(pointer, msgspec.json.encode(head))
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise cannot_write(folder, error, "`--exact` needs no index") from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return source


def unsealed(index: IndexRows) -> FeatxError:
    """The error for a store that changes still."""
    return FeatxError(
        "store-busy", f"`{index.path}` has photos that are not sealed yet", "run `featx extract` again first"
    )


def lance_damage(store: Path) -> str | None:
    """The fault of the index beside a store, every byte of it checked; None if there is no fault, or no index."""
    if not lance_of(store).exists():
        return None
    held = read_lance(store)
    if held is None:
        return "it is cut off or not of this version"
    try:
        return None if _parts(held.folder) == held.head.parts else "its bytes have changed"
    except OSError:
        return "its folder cannot be read"


def remove_lance(store: Path) -> None:
    """Delete the index of a store."""
    lance_of(store).unlink(missing_ok=True)
    _remove_folders(lance_of(store), set())


def _built(folder: Path, index: IndexRows, watch: Watch | None) -> tuple[list[KeptColumn], CandidateSource]:
    rows = np.flatnonzero(index.scale > 0)
    columns = dict(index.columns())
    kept = [*kept_columns(columns), KeptColumn(GROUP, GROUP, "whole")]
    groups = Groups.of(index)

    def pieces() -> Iterator[Piece]:
        with watched(watch, len(rows)) as advance:
            for start in range(0, len(rows), BLOCK):
                part = rows[start : start + BLOCK]
                values = {c.name: [columns[c.name][row] for row in part.tolist()] for c in kept if c.name != GROUP}
                values[GROUP] = groups.codes[part].tolist()
                yield Piece(part.astype(np.int64), index.unit_rows(part), values)
                advance(start + len(part))

    write_lance(folder, index.features.shape[1], kept, pieces())
    if len(rows) < FEWEST:
        return kept, _measured(folder, kept, index, groups)
    centres = _list_centres(index, rows)
    for bits in BITS:
        make_lists(folder, centres, bits)
        source = _measured(folder, kept, index, groups)
        if min(_shares(source).values()) >= WANTED:
            break
    return kept, source


def _measured(folder: Path, kept: list[KeptColumn], index: IndexRows, groups: Groups) -> CandidateSource:
    untuned = _untuned(LanceEngine.open(folder, kept), index)
    return tuned(untuned.engine, index, untuned.keys, untuned.rows, groups)


def _list_centres(index: IndexRows, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """The centres of the lists, the same whenever the index of these rows is built."""
    lists = min(max(len(rows) // ROWS_IN_A_LIST, 1), MOST_LISTS)
    some = min(len(rows), LEARNED_FROM * lists, MOST_LEARNED_FROM)
    picked = np.sort(np.random.default_rng(0).choice(len(rows), some, replace=False))
    return centres_of(index.unit_rows(rows[picked]), lists)


def _untuned(engine: LanceEngine, index: IndexRows) -> CandidateSource:
    rows = np.flatnonzero(index.scale > 0).astype(np.int64)
    return CandidateSource(engine, rows.astype(np.uint64), rows, 0.0, engine.efforts[0])


def require_recall(source: CandidateSource, hint: str) -> None:
    """Refuse an index that finds too little, with or without conditions."""
    shares = _shares(source)
    least = min(shares, key=lambda name: shares[name])
    if shares[least] < REQUIRED:
        raise FeatxError(
            "index-inexact",
            f"the new index finds only {100 * shares[least]:.1f} % of the ten nearest photos {least}, and "
            f"{100 * REQUIRED:.0f} % are required, so it was not put into use",
            hint,
            {"recall": source.recall, "towards": source.towards, "away": source.away},
        )


def _shares(source: CandidateSource) -> dict[str, float]:
    """What an index finds of the ten nearest, by the kind of condition."""
    return {"without a condition": source.recall, "under a condition like the query": source.towards or 0.0,
            "under a condition unlike the query": source.away or 0.0}  # fmt: skip


def _parts(folder: Path) -> list[Part]:
    """Every file of a folder with its length and checksum."""
    parts = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        crc, size = 0, 0
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                crc, size = zlib.crc32(piece, crc), size + len(piece)
        parts.append(Part(path.relative_to(folder).as_posix(), size, crc))
    return parts


def _remove_folders(pointer: Path, keep: set[str]) -> None:
    """Remove what killed builds left, and indexes before the one in use: readers may still be in that one."""
    for folder in pointer.parent.glob(f"{pointer.name}-????????"):
        if folder.name not in keep:
            shutil.rmtree(folder, ignore_errors=True)
