"""Qdrant (an extra): a collection with an index of each column, so that conditions are followed inside the graph."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError
from featx.retrieval.condition_tree import (
    Among,
    And,
    Column,
    Comparison,
    IsNull,
    Literal,
    Node,
    Not,
    Or,
    Value,
)
from featx.retrieval.engines.base import Keys
from featx.retrieval.engines.pushdown import KeptColumn, decided_by, without_not
from featx.retrieval.engines.servers import Address, ServerRows, ServerState, unreachable

STATES = "featx_indexes"
PORT = 6333
LINKS, BUILD_EFFORT = 16, 128
INDEXED = {"text": "keyword", "whole": "integer", "number": "float", "flag": "bool"}
FETCHED_AT_ONCE = 10_000
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
BOUNDS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


class QdrantServer:
    """An index in a collection."""

    def __init__(self, client: Any, address: Address) -> None:
        self._client, self._address = client, address
        self._collection = f"featx_{address.name}"
        self._columns: list[KeptColumn] = []

    @classmethod
    def connect(cls, address: Address) -> Self:
        """Connect; the key of the server, if it wants one, is in the environment."""
        qdrant = _library()
        parts = urlsplit(address.url)
        secure = parts.scheme == "qdrants"
        url = f"{'https' if secure else 'http'}://{parts.hostname or 'localhost'}:{parts.port or PORT}"
        client = qdrant.QdrantClient(
            url=url, api_key=os.environ.get("QDRANT_API_KEY"), timeout=60, check_compatibility=False
        )
        server = cls(client, address)
        server._make_states()
        return server

    def _make_states(self) -> None:
        models = _library().models
        with self._errors():
            if not self._client.collection_exists(STATES):
                plain = models.VectorParams(size=1, distance=models.Distance.DOT)
                self._client.create_collection(STATES, vectors_config=plain)

    def state(self) -> ServerState | None:
        """What the server remembers of the index; None where there is none."""
        with self._errors():
            found = self._client.retrieve(STATES, [self._number], with_payload=True)
        if not found:
            return None
        try:
            state = msgspec.json.decode(found[0].payload["state"], type=ServerState)
            self._columns = [KeptColumn.of_record(record) for record in state.columns]
        except (msgspec.MsgspecError, ValueError, KeyError):
            return None
        return state

    @property
    def _number(self) -> int:
        return int.from_bytes(self._address.name.encode()[:7].ljust(7), "big")

    def remember(self, state: ServerState) -> None:
        """Keep the state."""
        models = _library().models
        payload = {"name": self._address.name, "state": msgspec.json.encode(state).decode()}
        with self._errors():
            self._client.upsert(STATES, [models.PointStruct(id=self._number, vector=[1.0], payload=payload)], wait=True)

    def begin(self, width: int, columns: Sequence[KeptColumn], *, anew: bool) -> None:
        """Make the collection, and an index of each column: without it, searches under conditions miss most."""
        models = _library().models
        self._columns = list(columns)
        with self._errors():
            there = self._client.collection_exists(self._collection)
            if there and not anew:
                return
            if there:
                self._client.delete_collection(self._collection)
            self._client.create_collection(
                self._collection,
                vectors_config=models.VectorParams(
                    size=width, distance=models.Distance.COSINE, on_disk=True, datatype=models.Datatype.FLOAT16
                ),
                hnsw_config=models.HnswConfigDiff(m=LINKS, ef_construct=BUILD_EFFORT),
            )
            for column in columns:
                kind = INDEXED[column.kind]
                self._client.create_payload_index(self._collection, column.alias, field_schema=kind, wait=True)

    def stamps(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of all rows in order, and the stamp of each."""
        found: dict[int, int] = {}
        offset: Any = None
        with self._errors():
            while True:
                points, offset = self._client.scroll(
                    self._collection, limit=FETCHED_AT_ONCE, offset=offset, with_payload=["stamp"], with_vectors=False
                )
                found |= {int(point.id): int(point.payload.get("stamp", -1)) for point in points}
                if offset is None:
                    break
        keys = np.array(sorted(found), dtype=np.int64)
        return keys, np.array([found[key] for key in keys.tolist()], dtype=np.int64)

    def put(self, rows: ServerRows) -> None:
        """Add or replace rows."""
        models = _library().models
        payloads = [
            {"stamp": stamp, **{column.alias: rows.values[column.name][number] for column in self._columns}}
            for number, stamp in enumerate(rows.stamps.tolist())
        ]
        batch = models.Batch(ids=rows.keys.tolist(), vectors=rows.directions.tolist(), payloads=payloads)
        with self._errors():
            self._client.upsert(self._collection, batch, wait=True)

    def remove(self, keys: NDArray[np.int64]) -> None:
        """Forget rows."""
        models = _library().models
        with self._errors():
            self._client.delete(self._collection, models.PointIdsList(points=keys.tolist()), wait=True)

    def finish(self) -> None:
        """Nothing: the server builds its graph as rows come in, and answers exactly until it is built."""

    def engine(self) -> QdrantEngine:
        """The collection, to be searched."""
        return QdrantEngine(self, self._columns)

    def count(self) -> int:
        """How many rows there are."""
        with self._errors():
            return int(self._client.count(self._collection, exact=True).count)

    def nearest(self, direction: NDArray[np.float32], k: int, effort: int, condition: Any) -> Keys:
        """The numbers of probably the k nearest rows."""
        models = _library().models
        with self._errors():
            answer = self._client.query_points(
                self._collection, query=direction.tolist(), limit=k, query_filter=condition, with_payload=False,
                search_params=models.SearchParams(hnsw_ef=effort),
            )  # fmt: skip
        return np.array([point.id for point in answer.points], dtype=np.uint64)

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from qdrant_client.http.exceptions import ApiException

        try:
            yield
        except (ApiException, OSError) as error:
            raise unreachable(self._address, error) from error


class QdrantEngine:
    """A collection, searched along its graph."""

    name = "qdrant"
    efforts: tuple[int, ...] = (64, 128, 256, 512)

    def __init__(self, server: QdrantServer, columns: Sequence[KeptColumn]) -> None:
        self._server, self._columns = server, {column.name: column for column in columns}
        self._n = server.count()

    def __len__(self) -> int:
        return self._n

    def search(self, direction: NDArray[np.float32], k: int, effort: int, only: Node | None = None) -> Keys:
        """The numbers of probably the k nearest under a condition."""
        condition = None if only is None else filter_of(only, self._columns)
        return self._server.nearest(direction, k, max(effort, k), condition)

    def understood(self, condition: Node) -> Node | None:
        """As much of a condition as Qdrant decides: it knows no order of texts."""
        return decided_by(without_not(condition), lambda node: _known(node, self._columns))


def _known(node: Node, columns: Mapping[str, KeptColumn]) -> bool:
    from featx.retrieval.engines.pushdown import understood

    if isinstance(node, Comparison) and node.sign in BOUNDS:
        column = node.left if isinstance(node.left, Column) else node.right
        if isinstance(column, Column) and column.name in columns and columns[column.name].kind == "text":
            return False
    return not isinstance(node, And | Or) and understood(node, columns) is not None


def filter_of(node: Node, columns: Mapping[str, KeptColumn]) -> Any:
    """A condition as Qdrant's filter; `not` is only ever before `is null`."""
    models = _library().models
    match node:
        case Comparison(sign, Column(name), Literal(value)):
            return _compared(columns[name], sign, value)
        case Comparison(sign, Literal(value), Column(name)):
            return _compared(columns[name], MIRRORED[sign], value)
        case Among(Column(name), choices):
            same = [_compared(columns[name], "=", choice.value) for choice in choices if isinstance(choice, Literal)]
            return models.Filter(should=same)
        case IsNull(Column(name)):
            return models.Filter(must=[_empty(columns[name])])
        case Not(IsNull(Column(name))):
            return models.Filter(must_not=[_empty(columns[name])])
        case And(parts):
            return models.Filter(must=[filter_of(part, columns) for part in parts])
        case Or(parts):
            return models.Filter(should=[filter_of(part, columns) for part in parts])
    raise TypeError(f"{type(node).__name__} is left to featx")


def _compared(column: KeptColumn, sign: str, value: Value) -> Any:
    models = _library().models
    if sign in BOUNDS:
        bound = models.FieldCondition(key=column.alias, range=models.Range(**{BOUNDS[sign]: value}))
        return models.Filter(must=[bound])
    if column.kind in ("whole", "number"):
        same = models.FieldCondition(key=column.alias, range=models.Range(gte=value, lte=value))
    else:
        same = models.FieldCondition(key=column.alias, match=models.MatchValue(value=value))
    if sign == "=":
        return models.Filter(must=[same])
    return models.Filter(must_not=[same, _empty(column)])


def _empty(column: KeptColumn) -> Any:
    models = _library().models
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=column.alias))


def _library() -> Any:
    try:
        import qdrant_client
    except ImportError as error:
        raise FeatxError(
            "extra-missing",
            "an index on Qdrant needs its client, which is not installed",
            "`pip install 'featx[qdrant]'`",
        ) from error
    return qdrant_client
