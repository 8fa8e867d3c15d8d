"""PostgreSQL with pgvector (an extra): a table of half-precision vectors with an HNSW index."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError
from featx.retrieval.engines.base import Keys
from featx.retrieval.engines.pushdown import KeptColumn, sql_of, understood
from featx.retrieval.engines.servers import Address, ServerRows, ServerState, unreachable

if TYPE_CHECKING:
    from featx.retrieval.condition_tree import Node

# Texts are compared letter by letter, as featx does, whatever the language of the database.
TYPES = {"text": 'text COLLATE "C"', "whole": "bigint", "number": "double precision", "flag": "boolean"}
# And while rows are sent: in binary, since vectors as text took nine times as long.
SENT_AS = {"text": "text", "whole": "int8", "number": "float8", "flag": "bool"}
STATES = "featx_indexes"
# pgvector's index takes no longer vectors in half precision.
WIDEST = 4000
LINKS, BUILD_EFFORT = 16, 64
# Under a condition so many of the nearest rows are looked at. Where too few meet it, the graph leads elsewhere:
# then all rows that do are compared, up to so many as the planner expects, or the graph is followed further.
LOOKED_AT, COMPARED, MOST_SCANNED = 400, 200_000, 400_000
FETCHED_AT_ONCE = 50_000


class PostgresServer:
    """An index in a table of a database."""

    def __init__(self, connection: Any, address: Address) -> None:
        self._connection, self._address = connection, address
        self._table = f"featx_{address.name}"
        self._columns: list[KeptColumn] = []
        # Searches come from several threads, and a connection has one transaction at a time.
        self._searching = Lock()
        # The connection is open for as long as somebody may search.
        weakref.finalize(self, connection.close)

    @classmethod
    def connect(cls, address: Address) -> Self:
        """Connect to the database; searches need no more rights there than to read."""
        return cls(_connected(address), address)

    def state(self) -> ServerState | None:
        """What the database remembers of the index; None where there is none."""
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", [STATES])
            if cursor.fetchone() == (None,):
                return None
            cursor.execute(f"SELECT state FROM {STATES} WHERE name = %s", [self._address.name])
            found = cursor.fetchone()
        if found is None:
            return None
        try:
            state = msgspec.json.decode(found[0], type=ServerState)
            self._columns = [KeptColumn.of_record(record) for record in state.columns]
        except (msgspec.MsgspecError, ValueError):
            return None
        return state

    def remember(self, state: ServerState) -> None:
        """Keep the state."""
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {STATES} (name text PRIMARY KEY, state text NOT NULL)")
            cursor.execute(
                f"INSERT INTO {STATES} VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET state = excluded.state",
                [self._address.name, msgspec.json.encode(state).decode()],
            )

    def begin(self, width: int, columns: Sequence[KeptColumn], *, anew: bool) -> None:
        """Make the table."""
        if width > WIDEST:
            raise FeatxError(
                "bad-flag",
                f"pgvector's index takes up to {WIDEST:,} numbers a photo, and this store has {width:,}",
                "extract with a smaller backbone, or build a local index: `featx index build`",
            )
        self._columns = list(columns)
        own = "".join(f', "{column.alias}" {TYPES[column.kind]}' for column in columns)
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'")
            if cursor.fetchone() is None:
                cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
            if anew:
                cursor.execute(f"DROP TABLE IF EXISTS {self._table}")
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} "
                f"(key bigint PRIMARY KEY, stamp bigint NOT NULL, vector halfvec({width}) NOT NULL{own})"
            )
            # It is compressed badly, and read for every comparison.
            cursor.execute(f"ALTER TABLE {self._table} ALTER COLUMN vector SET STORAGE PLAIN" if width <= 900 else
                           f"ALTER TABLE {self._table} ALTER COLUMN vector SET STORAGE EXTERNAL")  # fmt: skip

    def stamps(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of all rows in order, and the stamp of each."""
        keys, stamps = [], []
        with self._errors(), self._connection.transaction(), self._connection.cursor(name="stamps") as cursor:
            cursor.itersize = FETCHED_AT_ONCE
            cursor.execute(f"SELECT key, stamp FROM {self._table} ORDER BY key")
            for key, stamp in cursor:
                keys.append(key)
                stamps.append(stamp)
        return np.array(keys, dtype=np.int64), np.array(stamps, dtype=np.int64)

    def put(self, rows: ServerRows) -> None:
        """Add or replace rows in one transaction."""
        names = ["key", "stamp", "vector", *(column.alias for column in self._columns)]
        listed = ", ".join(f'"{name}"' for name in names)
        values = [rows.values[column.name] for column in self._columns]
        vectors = _packed(rows.directions)
        with self._errors(), self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("DELETE FROM " + self._table + " WHERE key = ANY(%s)", [rows.keys.tolist()])
            with cursor.copy(f"COPY {self._table} ({listed}) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int8", "int8", "bytea", *(SENT_AS[column.kind] for column in self._columns)])
                for row in zip(rows.keys.tolist(), rows.stamps.tolist(), vectors, *values, strict=True):
                    copy.write_row(row)

    def remove(self, keys: NDArray[np.int64]) -> None:
        """Forget rows."""
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {self._table} WHERE key = ANY(%s)", [keys.tolist()])

    def finish(self) -> None:
        """Make the index of vectors, and one of each column: conditions that keep little use these."""
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute(
                f"CREATE INDEX IF NOT EXISTS {self._table}_near ON {self._table} USING hnsw "
                f"(vector halfvec_cosine_ops) WITH (m = {LINKS}, ef_construction = {BUILD_EFFORT})"
            )
            for number, column in enumerate(self._columns):
                if column.kind != "flag":
                    cursor.execute(
                        f'CREATE INDEX IF NOT EXISTS {self._table}_{number} ON {self._table} ("{column.alias}")'
                    )
            cursor.execute(f"VACUUM ANALYZE {self._table}")

    def engine(self) -> PgvectorEngine:
        """The table, to be searched."""
        return PgvectorEngine(self, self._columns)

    def count(self) -> int:
        """How many rows there are."""
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {self._table}")
            return int(cursor.fetchone()[0])

    def nearest(self, direction: NDArray[np.float32], k: int, effort: int, condition: str, values: list[Any]) -> Keys:
        """The numbers of probably the k nearest rows."""
        with self._searching, self._errors():
            try:
                return self._nearest(direction, k, effort, condition, values)
            except _library().OperationalError:
                if not self._connection.broken:
                    raise
            # The server was started again since the last search.
            self._connection = _connected(self._address)
            weakref.finalize(self, self._connection.close)
            return self._nearest(direction, k, effort, condition, values)

    def _nearest(self, direction: NDArray[np.float32], k: int, effort: int, condition: str, values: list[Any]) -> Keys:
        query = f"SELECT key FROM {self._table}{condition} ORDER BY vector <=> %s::halfvec({len(direction)}) LIMIT {k}"
        asked = [*values, _text(direction)]
        with self._connection.transaction(), self._connection.cursor() as cursor:
            # The planner takes the search of a graph for dear, and its vectors for cheap to compare one by one.
            cursor.execute("SET LOCAL enable_seqscan = off")
            # Too little memory ends a search as well, without a word.
            cursor.execute("SET LOCAL hnsw.scan_mem_multiplier = 32")
            cursor.execute(f"SET LOCAL hnsw.max_scan_tuples = {MOST_SCANNED}")
            cursor.execute(f"SET LOCAL hnsw.ef_search = {max(effort, LOOKED_AT) if condition else effort}")
            # In strict order it drops rows that come late; featx orders them itself.
            cursor.execute(f"SET LOCAL hnsw.iterative_scan = {'off' if condition else 'relaxed_order'}")
            found = cursor.execute(query, asked).fetchall()
            if condition and len(found) < k:
                if self._expected(cursor, condition, values) <= COMPARED:
                    cursor.execute("SET LOCAL enable_seqscan = on")
                    cursor.execute("SET LOCAL enable_indexscan = off")
                else:
                    cursor.execute("SET LOCAL hnsw.iterative_scan = relaxed_order")
                found = cursor.execute(query, asked).fetchall()
            return np.array([key for (key,) in found], dtype=np.uint64)

    def _expected(self, cursor: Any, condition: str, values: list[Any]) -> int:
        """How many rows meet a condition, as the planner expects."""
        plan = cursor.execute(f"EXPLAIN (FORMAT JSON) SELECT FROM {self._table}{condition}", values).fetchone()[0]
        return int(plan[0]["Plan"]["Plan Rows"])

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        psycopg = _library()
        try:
            yield
        except psycopg.Error as error:
            raise unreachable(self._address, error) from error


class PgvectorEngine:
    """A table of vectors, searched along its graph."""

    name = "pgvector"
    efforts: tuple[int, ...] = (40, 100, 200, 400, 1000)

    def __init__(self, server: PostgresServer, columns: Sequence[KeptColumn]) -> None:
        self._server, self._columns = server, {column.name: column for column in columns}
        self._n = server.count()

    def __len__(self) -> int:
        return self._n

    def search(self, direction: NDArray[np.float32], k: int, effort: int, only: Node | None = None) -> Keys:
        """The numbers of probably the k nearest under a condition."""
        condition = ""
        values: list[Any] = []
        if only is not None:
            sql, values = sql_of(only, self._columns, "%s")
            condition = f" WHERE {sql}"
        return self._server.nearest(direction, k, min(1000, max(effort, k)), condition, values)

    def understood(self, condition: Node) -> Node | None:
        """As much of a condition as the columns of the table decide."""
        return understood(condition, self._columns)


def _connected(address: Address) -> Any:
    psycopg = _library()
    try:
        return psycopg.connect(address.url, autocommit=True, connect_timeout=10)
    except psycopg.Error as error:
        raise unreachable(address, error) from error


def _packed(directions: NDArray[np.float32]) -> list[bytes]:
    """Vectors as pgvector takes them in binary: how many numbers, two bytes of zeros, the numbers in half precision."""
    head = directions.shape[1].to_bytes(2, "big") + b"\0\0"
    return [head + row.tobytes() for row in directions.astype(">f2")]


def _text(direction: NDArray[np.float32]) -> str:
    return "[" + ",".join(f"{number:.6g}" for number in direction.tolist()) + "]"


def _library() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise FeatxError(
            "extra-missing",
            "an index in PostgreSQL needs psycopg, which is not installed",
            "`pip install 'featx[postgres]'`",
        ) from error
    return psycopg
