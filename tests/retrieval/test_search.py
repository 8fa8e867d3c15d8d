"""The index: the same answers as a plain computation, in any order of the rows, with any filter."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from featx.compute.vectors import Halves
from featx.errors import FeatxError
from featx.retrieval import Query, SimilarityIndex, index_of, screen, search
from featx.retrieval.cache import _Columns, cache_of
from featx.retrieval.calibration import calibrate
from featx.retrieval.engines import exact
from featx.retrieval.lookup import find
from featx.retrieval.related import related
from featx.retrieval.rows import IndexRows
from featx.retrieval.string_column import StringColumn
from featx.store import Row, StoreWriter, open_store
from tests.conftest import ROOT, toy_fingerprint

random = np.random.default_rng(7)


def index_of_rows(features, ids, **facts):
    return SimilarityIndex(IndexRows.of(features, ids, **facts))


def make_store(path, features, products=None, labels=None, dtype="float32"):
    rows = [
        Row(
            f"item{i}",
            f"photos/item{i}.jpg",
            f"{i:064x}",
            labels[i] if labels else None,
            products[i] if products else None,
            None,
            {"price": float(i)},
            vector,
        )
        for i, vector in enumerate(features)
    ]
    with StoreWriter.open(path, toy_fingerprint(features.shape[1]), dtype=dtype) as writer:
        writer.append(rows)
        writer.seal()
    return path


def catalogue(n=200, width=16, seed=0):
    random = np.random.default_rng(seed)
    centres = random.normal(size=(8, width))
    labels = random.integers(0, 8, n)
    features = (centres[labels] + random.normal(size=(n, width)) * 0.7).astype(np.float32)
    return features, [f"c{label}" for label in labels], [f"p{i // 3}" for i in range(n)]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_answers_are_those_of_scikit_learn(dtype):
    features = random.normal(size=(500, 24)).astype(dtype)
    ids = [f"i{i:03d}" for i in range(500)]
    index = index_of_rows(features, ids)
    theirs = NearestNeighbors(n_neighbors=10, metric="cosine").fit(features.astype(np.float64))
    distances, places = theirs.kneighbors(features[:30].astype(np.float64))
    for row in range(30):
        matches = index.query(features[row], 10, copies=True)
        assert [match.item_id for match in matches] == [ids[i] for i in places[row]]
        np.testing.assert_allclose([match.similarity for match in matches], 1 - distances[row], atol=2e-6)


def plain(features, ids, products, query, own, k, pool, allowed=None):
    """Every product's similarity, computed the slow way."""
    unit = features.astype(np.float64)
    lengths = np.linalg.norm(unit, axis=1, keepdims=True)
    unit = np.divide(unit, lengths, out=np.zeros_like(unit), where=lengths > 0)
    wanted = np.atleast_2d(query).astype(np.float64)
    wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    similar = wanted @ unit.T
    best = {}
    for product in set(products) - own:
        rows = [i for i, other in enumerate(products) if other == product and (allowed is None or allowed[i])]
        if rows:
            best[product] = similar[:, rows].max() if pool == "best" else similar[:, rows].mean()
    return sorted(best.items(), key=lambda pair: -pair[1])[:k]


@pytest.mark.parametrize("pool", ["best", "mean"])
def test_photos_of_a_product_count_together(pool):
    features, labels, products = catalogue()
    ids = [f"i{i}" for i in range(len(features))]
    index = index_of_rows(features, ids, products=products, labels=labels)
    for product in ("p0", "p7", "p40"):
        rows = [i for i, other in enumerate(products) if other == product]
        matches = index.query(product, 8, pool=pool, copies=True)
        wanted = plain(features, ids, products, features[rows], {product}, 8, pool)
        assert [match.product for match in matches] == [name for name, _ in wanted]
        np.testing.assert_allclose([match.similarity for match in matches], [value for _, value in wanted], atol=2e-5)


vectors = st.lists(
    st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, float("nan"), float("inf"), 1e-38, 3e38]), min_size=3, max_size=3
)


@settings(deadline=None, max_examples=60)
@given(st.lists(vectors, min_size=1, max_size=14), st.randoms(), st.sampled_from(["best", "mean"]))
def test_the_order_of_the_items_changes_nothing_not_even_with_broken_vectors(rows, shuffled, pool):
    features = np.array(rows, dtype=np.float32)
    ids, products = [f"i{i}" for i in range(len(rows))], [f"p{i % 5}" for i in range(len(rows))]
    order = list(range(len(rows)))
    shuffled.shuffle(order)
    ordered = index_of_rows(features, ids, products=products)
    other = index_of_rows(features[order], [ids[i] for i in order], products=[products[i] for i in order])
    for asked in ({}, {"copies": True}, {"diverse": True, "copies": True}, {"min_similarity": 0.5}):
        query = Query("q", features[:2], frozenset(["p0"]))
        first, second = (index.matches(query, 4, pool=pool, **asked) for index in (ordered, other))
        assert first.neighbours == second.neighbours
        assert first.hidden == second.hidden
        assert all(-1 <= neighbour.similarity <= 1 for neighbour in first)
        assert "p0" not in [neighbour.product for neighbour in first]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0, 60), st.booleans())
def test_filtering_is_the_same_as_filtering_afterwards(seed, k, price, diverse):
    features, labels, _ = catalogue(60, seed=seed)
    ids = [f"i{i:02d}" for i in range(60)]
    index = index_of_rows(features, ids, labels=labels, columns={"price": [float(i) for i in range(60)]})
    everyone = index.query("i07", 60, copies=True)
    kept = [match for match in everyone if int(match.item_id[1:]) < price and match.label in ("c1", "c2", "c3")]
    matches = index.query(
        "i07", k, where=f"price < {price!r} and category in ('c1', 'c2', 'c3')", copies=True, diverse=diverse
    )
    assert (set(matches) <= set(kept) and len(matches) == len(kept[:k])) if diverse else matches == kept[:k]


def test_a_product_never_answers_itself_nor_do_its_very_bytes():
    features, _, products = catalogue(30)
    digests = [f"d{i}" for i in range(30)]
    digests[20] = digests[0]
    features[20] = features[0]
    index = index_of_rows(features, [f"i{i}" for i in range(30)], products=products, digests=digests)
    matches = index.query("i0", 30, copies=True)
    assert "p0" not in [match.product for match in matches]
    assert "i20" not in [match.item_id for match in matches]
    assert {match.product for match in matches} == {f"p{i}" for i in range(1, 10)}


def test_near_copies_are_hidden_counted_and_shown_on_demand():
    features = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]] + np.float32(0.01)
    index = index_of_rows(features, ["a", "b", "c", "d"])
    matches = index.matches("a", 5)
    assert matches.hidden == 1
    assert "b" not in [match.item_id for match in matches]
    shown = index.matches("a", 5, copies=True)
    assert (shown.hidden, shown[0].item_id, shown[0].near_copy) == (0, "b", True)


def test_a_diverse_answer_does_not_show_the_same_sandal_again():
    features = np.array([[1, 0, 0], [0.9, 0.3, 0], [0.9, 0.301, 0], [0.9, 0.302, 0], [0.9, 0, 0.45]], dtype=np.float32)
    index = index_of_rows(features, list("qabcd"))
    assert [match.item_id for match in index.query("q", 2)] == ["a", "b"]
    assert [match.item_id for match in index.query("q", 2, diverse=True)] == ["a", "d"]


@pytest.mark.parametrize("pool", ["best", "mean"])
def test_the_related_products_of_all_are_those_of_each(pool, monkeypatch):
    features, labels, products = catalogue(90)
    index = index_of_rows(features, [f"i{i}" for i in range(90)], products=products, labels=labels)
    monkeypatch.setattr("featx.retrieval.related.ELEMENTS", 1000)
    monkeypatch.setattr("featx.retrieval.rows.BLOCK", 32)
    allowed = index.allowed("category != 'c3'")
    rows_of_all = list(related(index, 4, allowed=allowed, pool=pool))
    assert len(rows_of_all) == 30
    for product, rows in zip(index.rows.products, rows_of_all, strict=True):
        alone = index.query(product, 4, where="category != 'c3'", pool=pool)
        assert [row.related for row in rows] == [match.product for match in alone]
        np.testing.assert_allclose([row.similarity for row in rows], [match.similarity for match in alone], atol=3e-6)


@pytest.mark.parametrize("piece", [1, 3, 7, 100])
def test_names_in_pieces_are_all_names_in_order(piece, monkeypatch):
    monkeypatch.setattr("featx.retrieval.string_column.PIECE", piece)
    for texts in ([], [""], ["", "", "a"], ["", "a", "ab", "ä.jpg", "", "x/ab.png", ""]):
        assert list(StringColumn.of(texts)) == texts


def test_a_name_is_found_without_a_list_of_names():
    texts = ["", "a", "ab", "ä.jpg", "a", "x/ab.png", "b\udcff"]
    names = StringColumn.of(texts)
    assert list(names) == texts
    assert [names[i] for i in range(-7, 0)] == texts
    for prepare in (lambda: None, names.expect_many):
        prepare()
        for text in {*texts, "zz", "b", "a\0ab"}:
            assert names.rows_of(text) == [i for i, name in enumerate(texts) if name == text]
    assert names.rows_with("a") == [1, 2, 4, 5]
    assert names.rows_ending("/ab.png") == [5]


def test_items_products_paths_names_and_stems_are_known():
    index = index_of_rows(
        np.eye(5, dtype=np.float32),
        ["x1", "x2", "x3", "x4", "x5"],
        products=["boot", "boot", None, None, None],
        paths=["p/one.jpg", "p/two.jpg", "p/three.v2.png", "p/same.jpg", "q/same.jpg"],
    )
    assert find(index.rows, "x2").paths == ("p/two.jpg",)
    assert find(index.rows, "boot").paths == ("p/one.jpg", "p/two.jpg")
    assert find(index.rows, "p/one.jpg").products == {"boot"}
    assert find(index.rows, "three.v2.png").paths == find(index.rows, "three.v2").paths == ("p/three.v2.png",)
    with pytest.raises(FeatxError, match="matches 2 items") as caught:
        find(index.rows, "same.jpg")
    assert "`x4`, `x5`" in caught.value.hint
    with pytest.raises(FeatxError) as caught:
        find(index.rows, "bot")
    assert (caught.value.code, "`boot`" in caught.value.hint) == ("not-in-store", True)
    with pytest.raises(FeatxError) as caught:
        find(index.rows, "nowhere/one.jpg")
    assert caught.value.code == "no-such-file"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_index_that_expects_many_queries_answers_the_same_and_reads_few_rows(monkeypatch, dtype):
    for name, value in {"FEWEST": 0, "NARROWEST": 1, "STEPS": (4, 8), "SAMPLE": 64, "SPARE": 4}.items():
        monkeypatch.setattr(screen, name, value)
    monkeypatch.setattr("featx.retrieval.search.FEW", 0)
    features, labels, products = catalogue(600)
    features = features * 0.5 ** np.arange(16, dtype=np.float32)
    features[5], features[6], features[7] = 0, np.nan, features[8]
    features[30:60] = features[29] * (1 + 1e-3 * random.normal(size=(30, 16)))
    ids = [f"item{i}" for i in range(600)]
    facts = {"products": products, "labels": labels, "columns": {"price": list(range(600))}}
    plain, prepared = (index_of_rows(features.astype(dtype), ids, **facts) for _ in range(2))
    prepared.expect_many()
    assert prepared.screen is not None
    read: list[int] = []
    reaching = screen.Look.reaching
    monkeypatch.setattr(screen.Look, "reaching", lambda *words: read.append(reaching(*words)) or read[-1])
    queries = ["item3", "item5", "item29", "p20", Query("two", features[[40, 90]]), features[11] * 1e3, -features[0]]
    for query in queries:
        for asked in (
            {}, {"copies": True}, {"where": "price > 250"}, {"label": "c3"}, {"min_similarity": 0.97},
            {"min_similarity": 0.2, "k": 400}, {"diverse": True}, {"pool": "mean"}, {"k": 1},
        ):  # fmt: skip
            wanted, given = plain.matches(query, **asked), prepared.matches(query, **asked)
            assert (given.neighbours, given.hidden) == (wanted.neighbours, wanted.hidden), (query, asked)
    assert np.median([len(rows) for rows in read]) < 60


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_cache_answers_as_the_store_does(tmp_path, dtype):
    features, labels, products = catalogue(120)
    path = make_store(tmp_path / "s.h5", features, products, labels, dtype)
    fresh = index_of(path)
    assert cache_of(path).exists()
    cached = index_of(path)
    assert not isinstance(cached.rows.ids.blob, bytes)
    for where in (None, "price > 30 and product != 'p3' and split is null"):
        for name in ("item3", "p20"):
            assert cached.query(name, 9, where=where) == fresh.query(name, 9, where=where)
    assert cached.words == fresh.words


def test_a_condition_that_keeps_few_of_many_rows_compares_only_these(monkeypatch):
    features, labels, _ = catalogue(200)
    index = index_of_rows(features, [f"i{i:03d}" for i in range(200)], labels=labels)
    wanted, compared = index.query("i007", 10, label="c3"), []
    monkeypatch.setattr(search, "FEW", 5)
    monkeypatch.setattr(search, "similarities", lambda *a: compared.append(a[3]) or exact.similarities(*a))
    assert index.query("i007", 10, label="c3") == wanted
    assert [labels[row] for row in compared[0]] == ["c3"] * labels.count("c3")


def test_a_condition_parses_the_columns_that_it_names_and_no_other(tmp_path, monkeypatch):
    features, labels, products = catalogue(120)
    path = make_store(tmp_path / "s.h5", features, products, labels)
    index_of(path)
    parsed: list[str] = []
    read = _Columns.__getitem__
    monkeypatch.setattr(_Columns, "__getitem__", lambda self, name: parsed.append(name) or read(self, name))
    cached = index_of(path)
    assert "price" in cached.rows.columns() and cached.query("item3", 3, where="price > 30")
    assert set(parsed) == {"price"}


def test_a_store_that_changed_is_never_answered_from_its_old_cache(tmp_path):
    features, _, _ = catalogue(40)
    path = make_store(tmp_path / "s.h5", features)
    before = index_of(path).query("item3", 5, copies=True)
    best = before[0].item_id
    number = int(best.removeprefix("item"))
    row = Row(
        best, f"photos/{best}.jpg", f"{number:064x}", None, None, None, {"price": float(number)}, features[number]
    )
    with StoreWriter.open(path, toy_fingerprint(16)) as writer:
        writer.remove([best])
        assert best not in [match.item_id for match in index_of(path).query("item3", 5, copies=True)]
        writer.seal()
    assert best not in [match.item_id for match in index_of(path).query("item3", 5, copies=True)]
    with StoreWriter.open(path, toy_fingerprint(16)) as writer:
        writer.append([row])
        assert index_of(path).query("item3", 5, copies=True)[0].item_id == best
        writer.seal()
    assert index_of(path).query("item3", 5, copies=True) == before


@pytest.mark.parametrize("damage", ["cut", "header", "empty", "foreign"])
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    features, _, _ = catalogue(40)
    path = make_store(tmp_path / "s.h5", features)
    wanted = index_of(path).query("item3", 5)
    data = cache_of(path).read_bytes()
    broken = {"cut": data[:-100], "header": data[:60] + b"#" + data[61:], "empty": b"", "foreign": b"x" * 5000}[damage]
    cache_of(path).write_bytes(broken)
    assert index_of(path).query("item3", 5) == wanted
    assert cache_of(path).read_bytes() == data


@pytest.mark.parametrize("width", [1, 2, 8, 31])
def test_half_precision_is_multiplied_exactly(width):
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    finite = finite[: len(finite) // width * width].reshape(-1, width)
    eye = np.eye(width, dtype=np.float32)
    np.testing.assert_array_equal(Halves(eye).products(finite), finite.astype(np.float32))
    np.testing.assert_array_equal(Halves(eye[-1]).products(finite), finite[:, -1].astype(np.float32))


def test_rows_in_half_precision_are_multiplied_by_directions_of_any_length():
    rows = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float16)
    for length in (1e-6, 1, 1e9):
        wanted = np.full(8, length, dtype=np.float32)
        np.testing.assert_allclose(Halves(wanted).products(rows), rows.astype(np.float32) @ wanted, rtol=1e-4)


def test_a_row_in_half_precision_that_is_not_finite_is_like_nothing():
    with np.errstate(all="ignore"):
        rows = np.random.default_rng(0).normal(size=(9, 16)).astype(np.float16)
        rows[2, 3], rows[5, 1] = np.inf, np.nan
        index = index_of_rows(rows, [f"i{i}" for i in range(9)])
        similarities = {
            match.item_id: match.similarity for match in index.query(rows[0].astype(np.float32), 9, copies=True)
        }
    assert similarities["i2"] == similarities["i5"] == 0


def test_words_are_measured_on_the_catalogue_itself():
    random = np.random.default_rng(0)
    categories = np.repeat(np.arange(10), 60)
    products = np.repeat(np.arange(200), 3)
    features = (
        4 * random.normal(size=(10, 32))[categories]
        + 2 * random.normal(size=(200, 32))[products]
        + 0.3 * random.normal(size=(600, 32))
    ).astype(np.float32)
    index = index_of_rows(
        features,
        [f"i{i}" for i in range(600)],
        products=[f"p{i}" for i in products],
        labels=[f"c{i}" for i in categories],
    )
    words = calibrate(index.rows)
    words_by_name = {word.word: word for word in words.products}
    assert words_by_name["same product"].precision > 0.85
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    similar = unit @ unit.T
    np.fill_diagonal(similar, -2)
    above = similar >= words_by_name["same product"].least
    truth = products[:, None] == products[None, :]
    assert abs(truth[above].mean() - words_by_name["same product"].precision) < 0.08
    assert words.band_of(0.999, other_product=True).word in ("near-duplicate", "same category")


def test_a_catalogue_without_products_and_labels_says_less():
    index = index_of_rows(np.random.default_rng(1).normal(size=(300, 16)), [f"i{i}" for i in range(300)])
    words = calibrate(index.rows)
    assert [word.word for word in (*words.products, *words.categories)] == ["near-duplicate"]
    assert words.categories[0].precision is None


def test_an_index_of_nothing_answers_nothing():
    index = index_of_rows(np.empty((0, 4), dtype=np.float32), [])
    assert index.query(np.ones(4)) == []
    assert list(related(index)) == []
    assert calibrate(index.rows).products == ()


def test_a_known_item_is_answered_without_heavy_libraries(tmp_path):
    features, labels, products = catalogue(60)
    path = make_store(tmp_path / "s.h5", features, products, labels)
    index_of(open_store(path))
    code = (
        "import sys; sys.argv = ['featx', 'similar', 'item3', '-s', sys.argv[1]]\n"
        "from featx.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'h5py', 'pandas', 'jinja2', 'PIL', 'msgspec'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 5
