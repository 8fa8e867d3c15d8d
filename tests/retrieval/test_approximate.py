"""Approximate search: nearly the same answers, exact numbers, and never a catalogue that is no more."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.errors import FeatxError
from featx.retrieval import index_of
from featx.retrieval.approximate import approximate_of, damage, open_nearby, read_approximate
from featx.retrieval.engines.usearch_engine import UsearchEngine
from featx.store import Row, StoreWriter
from tests.conftest import Run, toy_fingerprint

pytest.importorskip("usearch", reason="usearch is not installed")

WIDTH = 24


def rows_of(numbers: range, seed: int = 3) -> list[Row]:
    """Rows around a few centres, two photos a product; a number always makes the same row."""
    centres = np.random.default_rng(seed).normal(size=(12, WIDTH))
    rows = []
    for i in numbers:
        features = (centres[i % 12] + np.random.default_rng([seed, i]).normal(size=WIDTH)).astype(np.float32)
        label, digest = f"c{i % 12}", f"{i:064x}"
        rows.append(
            Row(f"item{i}", f"photos/item{i}.jpg", digest, label, f"p{i // 2}", None, {"price": float(i)}, features)
        )
    return rows


def make_store(path, rows, gone=()):
    with StoreWriter.open(path, toy_fingerprint(WIDTH)) as writer:
        if gone:
            writer.remove(list(gone))
        writer.append(rows)
        writer.seal()
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("approximate") / "toy.h5", rows_of(range(3000)))


@pytest.fixture(scope="module")
def indexes(store):
    exact, approximate = index_of(store), index_of(store)
    approximate.nearby = open_nearby(approximate.rows, make=True)
    return exact, approximate


def products(matches):
    return [match.product for match in matches]


def test_most_of_the_true_nearest_are_found_and_their_share_is_told(indexes) -> None:
    exact, approximate = indexes
    shares = []
    for i in range(0, 3000, 50):
        true, near = (index.matches(f"item{i}", 10) for index in (exact, approximate))
        shares.append(len(set(products(true)) & set(products(near))) / 10)
        assert f"p{i // 2}" not in products(near)
    assert np.mean(shares) >= 0.95
    assert approximate.nearby.recall >= 0.95


def test_a_graph_goes_through_more_than_it_proposes() -> None:
    graph = SimpleNamespace(search=lambda direction, k: SimpleNamespace(keys=[]))
    for k, effort in ((64, 512), (1024, 512)):
        UsearchEngine(graph).search(np.zeros(4, np.float32), k, effort)
        assert graph.expansion_search == max(effort, 2 * k)


def test_the_numbers_are_those_of_exact_search(indexes) -> None:
    exact, approximate = indexes
    true = {match.product: match.similarity for match in exact.matches("item7", 200)}
    assert all(true[match.product] == match.similarity for match in approximate.matches("item7", 10))


@settings(max_examples=25, deadline=None)
@given(price=st.floats(0, 3000), i=st.integers(0, 2999), least=st.sampled_from([-1.0, 0.5, 0.8]))
def test_a_condition_leaves_what_filtering_afterwards_leaves(indexes, price: float, i: int, least: float) -> None:
    exact, approximate = indexes
    settings = {"where": f"price < {price:.1f}", "min_similarity": least}
    true, near = (index.matches(f"item{i}", 5, **settings) for index in (exact, approximate))
    assert len(near) == len(true)
    assert len(set(products(near)) & set(products(true))) >= len(true) - 1


def test_the_graph_follows_a_store_that_gained_and_lost_photos(tmp_path) -> None:
    path = make_store(tmp_path / "toy.h5", rows_of(range(1000)))
    assert open_nearby(index_of(path).rows, make=True) is not None
    make_store(path, rows_of(range(1000, 1100)), gone=[f"item{i}" for i in range(50)])
    index = index_of(path)
    added: list[int] = []

    class Watched:
        def __init__(self, total: int) -> None:
            added.append(total)

        def __enter__(self):
            return lambda done: None

        def __exit__(self, *_: object) -> None: ...

    index.nearby = open_nearby(index.rows, watch=Watched)
    assert added == [100], "only what is new is added"
    assert len(index.nearby) == 1050
    assert index.matches(rows_of(range(1099, 1100))[0].features, 1, copies=True)[0].item_id == "item1099"
    everything = {match.item_id for i in range(12) for match in index.matches(rows_of(range(i, i + 1))[0].features, 60)}
    assert not everything & {f"item{i}" for i in range(50)}
    added.clear()
    assert open_nearby(index.rows, watch=Watched) is not None
    assert not added, "an unchanged store is opened, not indexed"


def test_photos_that_are_not_sealed_are_never_missed(tmp_path) -> None:
    path = make_store(tmp_path / "toy.h5", rows_of(range(200)))
    assert open_nearby(index_of(path).rows, make=True) is not None
    with StoreWriter.open(path, toy_fingerprint(WIDTH)) as writer:
        writer.append(rows_of(range(200, 210)))
        index = index_of(path)
        index.nearby = open_nearby(index.rows, make=True)
        assert index.nearby is None
        assert index.matches(rows_of(range(205, 206))[0].features, 1, copies=True)[0].item_id == "item205"


@pytest.mark.parametrize("spoil", [lambda b: b[:-100], lambda b: b[:400], lambda b: b"", lambda b: b"x" * 5000])
def test_a_cut_off_graph_is_made_anew(tmp_path, spoil) -> None:
    path = make_store(tmp_path / "toy.h5", rows_of(range(300)))
    open_nearby(index_of(path).rows, make=True)
    graph = approximate_of(path)
    graph.write_bytes(spoil(graph.read_bytes()))
    assert damage(path)
    index = index_of(path)
    index.nearby = open_nearby(index.rows, make=True)
    assert len(index.nearby) == 300 and damage(path) is None


def test_a_graph_of_a_former_store_does_not_replace_that_of_the_present_one(tmp_path) -> None:
    """While one process makes its graph, the store gains rows and another process makes the graph of these."""
    path = make_store(tmp_path / "a.h5", rows_of(range(60)))

    @contextmanager
    def meanwhile(total: int):
        make_store(path, rows_of(range(60, 70)))
        assert open_nearby(index_of(path).rows, make=True) is not None
        yield lambda done: None

    assert open_nearby(index_of(path).rows, make=True, watch=meanwhile) is not None
    held = read_approximate(approximate_of(path))
    assert held is not None and held.head["photos"] == 70


def test_a_changed_byte_anywhere_is_noticed(tmp_path) -> None:
    path = make_store(tmp_path / "toy.h5", rows_of(range(300)))
    open_nearby(index_of(path).rows, make=True)
    graph = approximate_of(path)
    whole = graph.read_bytes()
    assert damage(path) is None
    for at in np.random.default_rng(0).integers(0, len(whole), 40):
        spoiled = bytearray(whole)
        spoiled[at] ^= 4
        graph.write_bytes(spoiled)
        padding = whole[at : at + 1] in (b" ", b"\0")
        assert damage(path) or padding


def test_without_usearch_the_error_says_what_to_install(store, monkeypatch) -> None:
    approximate_of(store).unlink(missing_ok=True)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(FeatxError) as error:
        open_nearby(index_of(store).rows, make=True)
    assert error.value.code == "extra-missing" and "featx[approx]" in error.value.hint


def test_the_command_says_how_many_of_the_nearest_it_finds(featx: Run, tmp_path) -> None:
    path = make_store(tmp_path / "toy.h5", rows_of(range(400)))
    exact = featx("similar", "item5", "--store", str(path), "--json")
    approximate = featx("similar", "item5", "--store", str(path), "--json", "--approx")
    assert approximate.returncode == 0, approximate.stderr
    assert "approximate: finds" in approximate.stderr
    assert [json.loads(line)["score"] for line in approximate.stdout.splitlines()] == [
        json.loads(line)["score"] for line in exact.stdout.splitlines()
    ]
    graph = approximate_of(path)
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    assert "it was removed" in featx("info", "--check", "--store", str(path)).stderr
    assert not graph.exists()
    assert featx("similar", "--all", "--approx", "--store", str(path)).returncode == 2
