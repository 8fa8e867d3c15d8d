"""`featx index sync`: the index of a store on a server, brought up to date and searched from there.

Each row has a stamp of its features and columns there, so that a sync sends only what is new or changed, removes what
is gone, goes on where an interrupted one stopped, and does nothing the second time. Until it is done, and whenever the
store has changed since, the server is not searched: it would miss photos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from featx.compute.hashes import number_for
from featx.errors import FeatxError
from featx.files.atomic import write_atomic
from featx.files.regular import read_regular
from featx.retrieval.approximate import Watch, watched
from featx.retrieval.cache import identity_of
from featx.retrieval.condition_tree import Value
from featx.retrieval.engines.base import CandidateSource
from featx.retrieval.engines.pushdown import KeptColumn, kept_columns
from featx.retrieval.engines.servers import (
    Address,
    ServerRows,
    ServerState,
    VectorServer,
    without_password,
)
from featx.retrieval.lance_index import require_recall, unsealed
from featx.retrieval.measured_recall import GROUP, Groups, tuned
from featx.retrieval.rows import IndexRows
from featx.workspace import journal_beside

SENT_AT_ONCE = 1000
# Numbers that every database has: whole, and not negative.
POSITIVE = (1 << 63) - 1


@dataclass(frozen=True)
class Synced:
    """What a sync did, and how much the index finds."""

    address: Address
    sent: int
    removed: int
    unchanged: int
    source: CandidateSource

    def to_dict(self) -> dict[str, object]:
        """The JSON document of `featx index sync --json`."""
        return {
            "version": 1,
            "server": self.address.shown,
            "engine": self.source.engine.name,
            "n": self.sent + self.unchanged,
            "sent": self.sent,
            "removed": self.removed,
            "unchanged": self.unchanged,
            "recall": self.source.recall,
            "recall_towards": self.source.towards,
            "recall_away": self.source.away,
        }


def address_of(url: str, store: Path) -> Address:
    """The address of a store's index on a server."""
    return Address.of(url, store.name.removesuffix(".h5"))


def server_note(store: Path) -> Path:
    """The path of the file that names the server of a store's index."""
    return store.with_name(store.name + ".server")


def noted_server(store: Path) -> str | None:
    """The URL of the server that a store was last synced to, without a password; None where it never was."""
    try:
        return read_regular(server_note(store)).decode("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def sync(index: IndexRows, url: str, watch: Watch | None = None) -> Synced:
    """Bring the index on a server to the state of the store, measure it, and put it into use if it finds enough."""
    assert index.path is not None
    identity, address = identity_of(index.path), address_of(url, index.path)
    if identity is None or journal_beside(index.path).exists():
        raise unsealed(index)
    server = open_server(address)
    try:
        before = server.state()
        groups = Groups.of(index, _kept_centres(before, index.features.shape[1]))
        local = _LocalRows.of(index, groups)
        columns = [(column.name, column.alias, str(column.kind)) for column in local.columns]
        state = ServerState("", index.described, index.features.shape[1], columns, groups.centres.tolist())
        anew = before is None or (before.columns, before.width) != (state.columns, state.width)
        server.remember(state)
        server.begin(state.width, local.columns, anew=anew)
        there, stamps = server.stamps()
        here = np.searchsorted(there, local.keys)
        known = np.zeros(len(local.keys), dtype=bool)
        inside = here < len(there)
        known[inside] = (there[here[inside]] == local.keys[inside]) & (stamps[here[inside]] == local.stamps[inside])
        gone = np.setdiff1d(there, local.keys)
        for start in range(0, len(gone), SENT_AT_ONCE):
            server.remove(gone[start : start + SENT_AT_ONCE])
        changed = np.flatnonzero(~known)
        with watched(watch, len(changed)) as advance:
            for start in range(0, len(changed), SENT_AT_ONCE):
                part = changed[start : start + SENT_AT_ONCE]
                server.put(local.piece(part))
                advance(start + len(part))
        server.finish()
        source = tuned(server.engine(), index, local.keys.astype(np.uint64), local.rows, groups)
        require_recall(source, "sync with a smaller store, or search exactly: `--exact`")
        server.remember(_measured(state, identity, source))
    except BaseException:
        server.close()
        raise
    write_atomic(server_note(index.path), f"{without_password(url)}\n".encode())
    return Synced(address, len(changed), len(gone), int(known.sum()), source)


def open_synced(index: IndexRows, url: str) -> CandidateSource:
    """The index on a server; FeatxError where it is not of the store as it is."""
    assert index.path is not None
    address = address_of(url, index.path)
    server = open_server(address)
    state = server.state()
    if state is None or state.store != identity_of(index.path) or state.described != index.described:
        server.close()
        what = "has no index of" if state is None else "has the index of another state of"
        raise FeatxError(
            "index-stale",
            f"`{address.shown}` {what} `{index.path}`",
            f"`featx index sync {without_password(url)}`, or search exactly: `--exact`",
        )
    local = _LocalRows.of(index)
    source = CandidateSource(server.engine(), local.keys.astype(np.uint64), local.rows, state.recall, state.effort)
    return replace(source, towards=state.towards, away=state.away)


def open_server(address: Address) -> VectorServer:
    """Connect to an index on a server."""
    if address.kind == "postgresql":
        from featx.retrieval.engines.postgres import PostgresServer

        return PostgresServer.connect(address)
    from featx.retrieval.engines.qdrant import QdrantServer

    return QdrantServer.connect(address)


def _measured(state: ServerState, identity: str, source: CandidateSource) -> ServerState:
    shares = {"recall": source.recall, "towards": source.towards or 0.0, "away": source.away or 0.0}
    return msgspec.structs.replace(state, store=identity, effort=source.effort, **shares)


def _kept_centres(before: ServerState | None, width: int) -> NDArray[np.float32] | None:
    """The centres of the groups as they were, where the features are of the same kind."""
    if before is None or before.width != width or not before.centres:
        return None
    centres = np.array(before.centres, dtype=np.float32)
    return centres if centres.ndim == 2 and centres.shape[1] == width else None


@dataclass(frozen=True)
class _LocalRows:
    """The rows of a store that have a direction, in the order of their numbers on a server."""

    index: IndexRows
    rows: NDArray[np.int64]
    keys: NDArray[np.int64]
    stamps: NDArray[np.int64]
    columns: list[KeptColumn]
    values: dict[str, Sequence[Value]]

    @classmethod
    def of(cls, index: IndexRows, groups: Groups | None = None) -> _LocalRows:
        """The rows with all that is sent of them where their groups are given, or just their numbers."""
        rows = np.flatnonzero(index.scale > 0).astype(np.int64)
        keys = np.fromiter(map(number_of, index.ids), np.int64, len(index))[rows]
        order = np.argsort(keys, kind="stable")
        rows, keys = rows[order], keys[order]
        if (keys[1:] == keys[:-1]).any():
            raise FeatxError(
                "duplicate-id", "two ids have the same number on the server", "rename one of the two items"
            )
        if groups is None:
            return cls(index, rows, keys, keys, [], {})
        columns = dict(index.columns())
        kept = [*kept_columns(columns), KeptColumn(GROUP, GROUP, "whole")]
        values = {column.name: columns[column.name] for column in kept if column.name != GROUP}
        values[GROUP] = groups.codes.tolist()
        return cls(index, rows, keys, _stamps(index, rows, values), kept, values)

    def piece(self, part: NDArray[np.intp]) -> ServerRows:
        """Some of the rows as a server takes them."""
        rows = self.rows[part]
        values = {name: [column[row] for row in rows.tolist()] for name, column in self.values.items()}
        return ServerRows(self.keys[part], self.stamps[part], self.index.unit_rows(rows), values)


def number_of(item_id: str) -> int:
    """The number of an item on servers."""
    return number_for(item_id) & POSITIVE


def _stamps(index: IndexRows, rows: NDArray[np.int64], values: dict[str, Sequence[Value]]) -> NDArray[np.int64]:
    stamps = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), SENT_AT_ONCE):
        part = rows[start : start + SENT_AT_ONCE]
        for number, (row, direction) in enumerate(zip(part.tolist(), index.unit_rows(part), strict=True), start=start):
            cells = repr([column[row] for column in values.values()]).encode("utf-8", "surrogateescape")
            digest = hashlib.blake2b(direction.tobytes() + cells, digest_size=8).digest()
            stamps[number] = int.from_bytes(digest, "big") & POSITIVE
    return stamps


__all__ = ["Synced", "VectorServer", "address_of", "noted_server", "open_synced", "sync"]
