"""What every search engine promises: the answers of exact search, nearly all of them, whatever happens to the store."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.errors import FeatxError
from featx.retrieval import SimilarityIndex, index_of, lance_index
from featx.retrieval.condition_tree import Column, Comparison, Literal, evaluate
from featx.retrieval.conditions import read_condition
from featx.retrieval.engine_choice import build_index, open_engine
from featx.retrieval.engines.exact import similarities
from featx.retrieval.engines.lance_engine import LanceEngine, Piece, write_lance
from featx.retrieval.engines.pushdown import kept_columns
from featx.retrieval.engines.servers import Address, is_address
from featx.retrieval.measured_recall import Groups, tuned
from featx.retrieval.query import open_index
from featx.retrieval.server_index import sync
from featx.store import Row, StoreWriter
from tests.conftest import Run, command_environment, toy_fingerprint

WIDTH, CLUSTERS, N = 24, 12, 900
Open = Callable[[Path], SimilarityIndex]


def row(i: int, *, name: str = "", seed: int = 3, price: float | None = None) -> Row:
    """A row around one of a few centres; each cluster is a category, so that a condition leads away from a query."""
    centres = np.random.default_rng(3).normal(size=(CLUSTERS, WIDTH))
    features = (centres[i % CLUSTERS] + 0.5 * np.random.default_rng([seed, i]).normal(size=WIDTH)).astype(np.float32)
    extra = {"price": float(i) if price is None else price, "Größe ": f"g{i % 3}", "ours": i % 2 == 0}
    name = name or f"item{i}"
    return Row(
        name, f"photos/{name}.jpg", f"{seed:032x}{i:032x}", f"c{i % CLUSTERS}", f"p{i // 2}", None, extra, features
    )


def write(path: Path, rows: list[Row], gone: tuple[str, ...] = ()) -> Path:
    with StoreWriter.open(path, toy_fingerprint(WIDTH)) as writer:
        writer.remove(list(gone))
        writer.append(rows)
        writer.seal()
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("engines") / "toy.h5", [row(i) for i in range(N)])


@pytest.fixture(autouse=True)
def large_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a small catalogue all rows would be compared, and a few questions tell enough of it."""
    monkeypatch.setattr("featx.retrieval.measured_recall.SAMPLE", 40)
    monkeypatch.setattr("featx.retrieval.measured_recall.FILTERED", 10)
    monkeypatch.setattr("featx.retrieval.search.FEW", 0)
    monkeypatch.setattr("featx.retrieval.measured_recall.FEW", 0)


@pytest.fixture(params=["exact", "usearch", "lance", "postgresql", "qdrant"])
def engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine, or the address of an index of its own on a server."""
    name = request.node.name.encode().hex()[-30:]
    match request.param:
        case "usearch" | "lance":
            pytest.importorskip(request.param, reason=f"{request.param} is not installed")
        case "postgresql":
            return f"{request.getfixturevalue('postgres')}#{name}"
        case "qdrant":
            return f"{request.getfixturevalue('qdrant')}#{name}"
    return request.param


@pytest.fixture
def opened(engine: str) -> Open:
    def open_it(path: Path) -> SimilarityIndex:
        if is_address(engine):
            sync(index_of(path).rows, engine)
        return open_index(path, engine=engine)

    return open_it


def products(index: SimilarityIndex, query: object, **settings: object) -> list[str]:
    return [match.product for match in index.matches(query, 10, **settings)]


CONDITIONS = [
    None,
    pytest.param("label = 'c3'", marks=pytest.mark.long),
    "label in ('c3', 'c4') and price < 700",
    pytest.param("not label = 'c0' and ours = true", marks=pytest.mark.long),
    pytest.param("\"Größe \" = 'g1' and price >= 100.5", marks=pytest.mark.long),
    pytest.param("price is null or id like 'item1%'", marks=pytest.mark.long),
]


@pytest.mark.parametrize("where", CONDITIONS)
def test_answers_are_those_of_exact_search(store: Path, opened: Open, where: str | None) -> None:
    exact, index = index_of(store), opened(store)
    found = wanted = 0
    for i in range(0, N, 60):
        true = exact.matches(f"item{i}", 10, where=where)
        near = index.matches(f"item{i}", 10, where=where)
        scores = {match.product: match.similarity for match in exact.matches(f"item{i}", N, where=where)}
        assert all(scores[match.product] == match.similarity for match in near), "the numbers are never wrong"
        assert [match.similarity for match in near] == sorted((match.similarity for match in near), reverse=True)
        found += len({match.product for match in true} & {match.product for match in near})
        wanted += len(true)
    # An approximate index may miss some, and each processor builds another one.
    assert found >= 0.9 * wanted


def test_a_store_that_gained_lost_and_replaced_photos_is_searched_as_it_is(tmp_path: Path, opened: Open) -> None:
    path = write(tmp_path / "toy.h5", [row(i) for i in range(600)])
    opened(path)
    came = [row(i) for i in range(600, 620)]
    replaced = replace(row(5), features=-row(5).features, digest=f"{99:064x}")
    write(path, [*came, replaced], gone=tuple(f"item{i}" for i in range(100, 150)))
    index = opened(path)
    assert index.matches(came[3].features, 1, copies=True)[0].item_id == "item603"
    assert index.matches(replaced.features, 1, copies=True)[0].item_id == "item5"
    answers = {match.item_id for i in range(CLUSTERS) for match in index.matches(row(i).features, 100, copies=True)}
    assert not answers & {f"item{i}" for i in range(100, 150)}


def test_ids_in_any_script_come_back_as_they_are(tmp_path: Path, opened: Open) -> None:
    names = ["Stiefel für Ä", "鞋子", "сапог'; drop table", 'a"b', "emoji 👢", "nul? %s"]
    path = write(tmp_path / "toy.h5", [row(i, name=name) for i, name in enumerate(names)])
    index = opened(path)
    for i, name in enumerate(names):
        assert index.matches(row(i).features, 1, copies=True)[0].item_id == name
        where = "id = '" + name.replace("'", "''") + "'"
        assert [match.item_id for match in index.matches(row(0).features, 5, where=where, copies=True)] == [name]


def test_an_index_is_opened_again_without_building_it(tmp_path: Path, engine: str) -> None:
    if engine == "exact":
        pytest.skip("there is nothing to build")
    path = write(tmp_path / "toy.h5", [row(i) for i in range(600)])
    if is_address(engine):
        built = sync(index_of(path).rows, engine).source
    else:
        _, built = build_index(index_of(path).rows, engine)
    again = open_engine(index_of(path).rows, engine, make=False)
    assert again is not None
    assert (again.recall, again.towards, again.away, again.effort) == (
        built.recall, built.towards, built.away, built.effort,
    )  # fmt: skip
    assert built.filtered is not None and built.filtered >= 0.95


COLUMNS = {
    "label": ["a", "b", None, "Ä'", "B", "", "z" * 50, "-1"],
    "price": [1.5, None, -3.0, 2.0, 0.0, 1e300, 2.0, 7.25],
    "stock": [0, 5, None, -7, 5, 2**40, 1, 1],
    "new": [True, False, None, True, False, True, None, False],
    "Mixed": ["a", 1, 2.5, None, True, "b", "1", 1],
}
LITERALS = [
    "'a'",
    "'B'",
    "'Ä'''",
    "''",
    "2",
    "2.0",
    "-3",
    "5",
    "1e300",
    "0.1",
    "true",
    "false",
    "label",
    "price",
    "Mixed",
]


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> str:
    column = draw(st.sampled_from(list(COLUMNS)))
    literal = st.sampled_from(LITERALS)
    kind = draw(st.integers(0, 5 if depth else 2))
    if kind == 0:
        return f"{column} {draw(st.sampled_from(['=', '!=', '<', '<=', '>', '>=']))} {draw(literal)}"
    if kind == 1:
        return f"{column} in ({draw(literal)}, {draw(literal)})"
    if kind == 2:
        return f"{column} is {draw(st.sampled_from(['null', 'not null']))}"
    if kind == 3:
        return f"not ({draw(conditions(depth - 1))})"
    word = "and" if kind == 4 else "or"
    return f"({draw(conditions(depth - 1))}) {word} ({draw(conditions(depth - 1))})"


@pytest.fixture(scope="module")
def mixed_engine(tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("lance")
    kept = kept_columns(COLUMNS)
    assert [column.name for column in kept] == ["label", "price", "stock", "new"]
    folder = tmp_path_factory.mktemp("mixed") / "lists"
    piece = Piece(np.arange(8), np.eye(8, dtype=np.float32), COLUMNS)
    write_lance(folder, 8, kept, [piece])
    return LanceEngine.open(folder, kept)


@settings(max_examples=150, deadline=None)
@given(text=conditions())
def test_an_engine_decides_a_condition_as_featx_does_or_leaves_it_to_featx(mixed_engine, text: str) -> None:
    condition = read_condition(text, COLUMNS)
    try:
        meets = condition.rows(COLUMNS, 8)
    except FeatxError:
        return  # words compared with numbers are refused
    only = mixed_engine.understood(condition.tree)
    if only is None:
        return
    decided = mixed_engine.search(np.ones(8, np.float32), 8, 20, only).tolist()
    kept = evaluate(only, COLUMNS, 8)
    assert sorted(decided) == np.flatnonzero(kept).tolist()
    assert not (meets & ~kept).any(), "what an engine leaves out must not meet the condition"


def test_a_small_selection_is_compared_row_by_row(store: Path) -> None:
    rows = index_of(store).rows
    some = np.array([3, 700, N - 1])
    alone = similarities(rows, row(8).features, rows=some)
    assert np.allclose(alone, similarities(rows, row(8).features)[some], atol=1e-6)


class Blind:
    """An engine that finds everything, but under a condition only what lies near the query."""

    name, efforts = "blind", (1,)

    def __init__(self, index) -> None:
        self.index, self.groups = index, Groups.of(index)

    def __len__(self) -> int:
        return len(self.index)

    def understood(self, condition):
        return condition

    def search(self, direction, k, effort, only=None):
        order = np.argsort(-(self.index.unit_rows(slice(0, N)) @ direction))
        if only is not None:
            may = (self.groups.codes == only.right.value) ^ (only.sign == "!=")
            order = np.concatenate([order[:50][may[order[:50]]], np.flatnonzero(may)[:k]])
        return order[:k].astype(np.uint64)


def test_an_engine_that_is_blind_away_from_the_query_is_noticed(store: Path) -> None:
    index = index_of(store).rows
    rows = np.arange(N, dtype=np.int64)
    source = tuned(Blind(index), index, rows.astype(np.uint64), rows, Groups.of(index))
    assert source.recall == 1 and source.towards > 0.8 and source.away < 0.8


# --- an index on a server ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["postgres", "qdrant"])
def address(request: pytest.FixtureRequest) -> str:
    return f"{request.getfixturevalue(request.param)}#{request.node.name.encode().hex()[-30:]}"


def test_a_sync_sends_only_what_changed_and_removes_what_is_gone(tmp_path: Path, address: str) -> None:
    path = write(tmp_path / "toy.h5", [row(i) for i in range(300)])
    counts = lambda synced: (synced.sent, synced.removed, synced.unchanged)  # noqa: E731
    assert counts(sync(index_of(path).rows, address)) == (300, 0, 0)
    assert counts(sync(index_of(path).rows, address)) == (0, 0, 300)
    write(path, [*(row(i) for i in range(300, 310)), row(7, price=1.25)], gone=("item1", "item2"))
    assert counts(sync(index_of(path).rows, address)) == (11, 2, 297)
    matches = open_index(path, engine=address).matches("item9", 5, where="price = 1.25")
    assert [match.item_id for match in matches] == ["item7"]


def test_a_sync_that_was_interrupted_goes_on_where_it_stopped_and_is_not_searched(tmp_path: Path, address: str) -> None:
    path = write(tmp_path / "toy.h5", [row(i) for i in range(300)])
    sync(index_of(path).rows, address)
    write(path, [row(i) for i in range(300, 2500)])
    sent = []

    class Broken(Exception): ...

    @contextmanager
    def power_cut(total: int):
        def advance(done: int) -> None:
            sent.append(done)
            raise Broken

        yield advance

    with pytest.raises(Broken):
        sync(index_of(path).rows, address, power_cut)
    with pytest.raises(FeatxError, match="of another state of") as error:
        open_index(path, engine=address)
    assert error.value.code == "index-stale" and "featx index sync" in error.value.hint
    synced = sync(index_of(path).rows, address)
    assert (synced.sent, synced.unchanged) == (2200 - sent[0], 300 + sent[0])


def test_the_command_syncs_and_searches_the_server(featx: Run, tmp_path: Path, postgres: str) -> None:
    path = write(tmp_path / "toy.h5", [row(i) for i in range(300)])
    address = f"{postgres}#command"
    ran = featx("index", "sync", address, "--store", str(path), "--json")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["engine"] == "pgvector" and document["sent"] == 300 and document["recall_away"] >= 0.95
    found = featx("similar", "item5", "--store", str(path), "--engine", address, "--json")
    assert "by pgvector" in found.stderr
    assert found.stdout == featx("similar", "item5", "--store", str(path), "--json").stdout
    write(path, [row(300)])
    stale = featx("similar", "item5", "--store", str(path), "--engine", address)
    assert stale.returncode == 5 and "another state" in stale.stderr


def test_a_database_is_searched_by_many_threads_and_after_it_was_started_again(tmp_path: Path, postgres: str) -> None:
    import psycopg

    path = write(tmp_path / "toy.h5", [row(i) for i in range(300)])
    address = f"{postgres}#threads"
    sync(index_of(path).rows, address)
    index = open_index(path, engine=address)
    wanted = products(index, "item5")
    with ThreadPoolExecutor(8) as threads:
        assert all(found == wanted for found in threads.map(lambda _: products(index, "item5"), range(40)))
    with psycopg.connect(postgres, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
        )
    assert products(index, "item5") == wanted


def test_under_a_condition_far_from_the_query_a_database_compares_what_meets_it(
    tmp_path: Path, postgres: str, monkeypatch
) -> None:
    """The graph leads there only past most of the rows, and gives up before; no index of a flag helps."""
    monkeypatch.setattr("featx.retrieval.engines.postgres.LOOKED_AT", 40)
    monkeypatch.setattr("featx.retrieval.engines.postgres.MOST_SCANNED", 100)
    rows = [replace(row(i), extra={"ours": i % CLUSTERS == 5}) for i in range(N)]
    address = f"{postgres}#far"
    index = index_of(write(tmp_path / "toy.h5", rows))
    sync(index.rows, address)
    engine = open_index(index.rows.path, engine=address).nearby.engine
    ours = Comparison("=", Column("ours", 0), Literal(True, 0))
    for i in range(4):
        found = engine.search(index.rows.unit_rows(np.array([i]))[0], N // CLUSTERS, 40, ours)
        assert len(set(found.tolist())) == N // CLUSTERS


def test_a_large_store_is_searched_on_the_server_it_was_synced_to_until_it_changes(
    tmp_path: Path, postgres: str, monkeypatch
) -> None:
    monkeypatch.setattr("featx.retrieval.query.SMALL", 0)
    monkeypatch.setattr("featx.retrieval.engine_choice.SMALL", 0)
    path = write(tmp_path / "toy.h5", [row(i) for i in range(300)])
    sync(index_of(path).rows, f"{postgres}#noted")
    assert open_index(path).nearby.engine.name == "pgvector"
    write(path, [row(300)])
    assert open_index(path).nearby is None, "every photo is compared until the next sync"


def test_a_password_is_neither_shown_nor_kept(featx: Run, store: Path) -> None:
    address = Address.of("postgresql://ada:s3cret@localhost:1/shop#Schuhe 1", "store")
    assert address.shown == "postgresql://ada@localhost:1/shop#schuhe_1"
    ran = featx("index", "sync", "postgresql://ada:s3cret@localhost:1/shop", "--store", str(store))
    assert ran.returncode == 4 and "s3cret" not in ran.stderr and "cannot use the index server" in ran.stderr
    ran = featx("index", "sync", "milvus://localhost/x", "--store", str(store))
    assert ran.returncode == 2 and "qdrant://" in ran.stderr


# --- the index on the disk --------------------------------------------------------------------------------------------


def lance_parts(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir() if ".lance-" in entry.name)


def test_an_index_of_lance_that_is_built_again_proposes_the_same(store: Path, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("lance")
    monkeypatch.setattr("featx.retrieval.lance_index.ROWS_IN_A_LIST", 100)
    path = Path(shutil.copy(store, tmp_path / "toy.h5"))
    rows = index_of(path).rows
    queries = rows.unit_rows(np.arange(0, N, 50))
    proposed = []
    for _ in range(2):
        source = build_index(rows, "lance")[1]
        answers = [source.engine.search(query, 10, 2).tolist() for query in queries]
        proposed.append((source.recall, source.towards, source.away, source.effort, answers))
    assert proposed[0] == proposed[1]


@pytest.mark.long
def test_lists_that_find_little_are_made_again_with_more_bits(store: Path, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("lance")
    path = Path(shutil.copy(store, tmp_path / "toy.h5"))
    made = []
    make = lance_index.make_lists
    monkeypatch.setattr(lance_index, "make_lists", lambda *how: made.append(how[2]) or make(*how))
    monkeypatch.setattr(lance_index, "WANTED", 1.01)
    source = build_index(index_of(path).rows, "lance")[1]
    assert made == [1, 5] and source.recall >= 0.99
    assert open_engine(index_of(path).rows, "lance", make=False) is not None


def test_an_index_that_finds_too_little_is_not_put_into_use(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("lance")
    path = write(tmp_path / "toy.h5", [row(i) for i in range(600)])
    build_index(index_of(path).rows, "lance")
    before = lance_parts(path)
    monkeypatch.setattr("featx.retrieval.lance_index.REQUIRED", 1.01)
    with pytest.raises(FeatxError, match=r"finds only [\d.]+ % .* not put into use") as error:
        build_index(index_of(path).rows, "lance")
    assert error.value.code == "index-inexact"
    assert lance_parts(path) == before and open_engine(index_of(path).rows, "lance", make=False) is not None


def test_a_build_that_is_killed_leaves_the_former_index_in_use(tmp_path: Path) -> None:
    pytest.importorskip("lance")
    path = write(tmp_path / "toy.h5", [row(i) for i in range(600)])
    build_index(index_of(path).rows, "lance")
    killed = "\n".join(
        [
            "import os, signal, sys",
            "from featx.retrieval import index_of, lance_index",
            "lance_index._parts = lambda folder: os.kill(os.getpid(), signal.SIGKILL)",
            "lance_index.build_lance(index_of(sys.argv[1]).rows)",
        ]
    )
    ran = subprocess.run([sys.executable, "-c", killed, str(path)], env=command_environment({}), capture_output=True)
    assert ran.returncode == -signal.SIGKILL
    assert len(lance_parts(path)) == 2
    assert open_engine(index_of(path).rows, "lance", make=False) is not None
    build_index(index_of(path).rows, "lance")
    # The one before stays for whoever is reading it; the one that was killed is gone.
    assert len(lance_parts(path)) == 2


def test_a_changed_byte_of_the_index_is_noticed_and_it_is_removed(featx: Run, tmp_path: Path) -> None:
    pytest.importorskip("lance")
    path = write(tmp_path / "toy.h5", [row(i) for i in range(600)])
    ran = featx("index", "build", "--engine", "lance", "--store", str(path), "--json")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["engine"] == "lance" and document["n"] == 600 and document["recall_away"] >= 0.95
    ran = featx("similar", "item5", "--engine", "lance", "--store", str(path), "--where", "label = 'c3'")
    assert "under conditions, by lance" in ran.stderr
    folder = path.parent / lance_parts(path)[0]
    data = max((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    spoiled = bytearray(data.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    data.write_bytes(spoiled)
    assert "its bytes have changed; it was removed" in featx("info", "--check", "--store", str(path)).stderr
    assert not lance_parts(path)


def test_flags_that_contradict_each_other_are_refused(featx: Run, store: Path) -> None:
    ran = featx("similar", "item5", "--engine", "lance", "--exact", "--store", str(store))
    assert ran.returncode == 2 and "both choose how to search" in ran.stderr
    ran = featx("similar", "item5", "--engine", "faiss", "--store", str(store))
    assert ran.returncode == 2 and "choose one of auto, exact, usearch, lance" in ran.stderr
    ran = featx("index", "build", "--engine", "exact", "--store", str(store))
    assert ran.returncode == 2 and "needs no index" in ran.stderr


def test_without_lance_the_error_says_what_to_install(store: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lance", None)
    before = lance_parts(store)
    with pytest.raises(FeatxError, match="needs Lance") as error:
        build_index(index_of(store).rows, "lance")
    assert error.value.code == "extra-missing" and "featx[lance]" in error.value.hint
    assert lance_parts(store) == before, "nothing is left behind"
