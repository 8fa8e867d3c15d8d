"""`featx similar` as people use it, and the pages and pictures it makes."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featx as fx
from featx.errors import FeatxError
from featx.images.crop import Crop
from featx.retrieval import Matches, Neighbour, Query, SimilarityIndex
from featx.retrieval.lookup import known_rows, rows_in_any_case
from featx.retrieval.query import find_query, open_index, pool_queries, steer
from featx.retrieval.rows import IndexRows
from featx.views.gallery import Row, gallery_page, half_blocks
from tests.conftest import photo


@pytest.fixture
def store(folder: Path, workplace: Path):
    fx.extract(folder, backbone="colour")
    return next((workplace / "artifacts/embeddings").glob("*.h5"))


def test_a_new_photo_is_looked_up_and_one_with_known_bytes_is_recognised(store, workplace):
    index = open_index()
    new = photo(workplace / "new.jpg", seed=99)
    assert len(index.query(new, 4)) == 4
    assert index.query(str(new), 4) == index.query(new, 4)
    copy = workplace / "renamed.jpg"
    shutil.copy(workplace / "photos/hats/hats1.jpg", copy)
    query = find_query(index, str(copy))
    assert query.products == {index.rows.products[int(index.rows.codes[list(index.rows.ids).index("hats1")])]}
    assert "hats1" not in [match.item_id for match in index.query(query, 20, copies=True)]


def test_a_photo_answers_alike_in_whatever_form_it_comes(store, workplace):
    path = photo(workplace / "new.png", seed=99)
    index = open_index()
    by_path = index.query(path, 4)
    data = path.read_bytes()
    for form in (data, io.BytesIO(data), Image.open(path), np.asarray(Image.open(path))):
        assert index.query(form, 4) == by_path
    known = fx.similar((workplace / "photos/hats/hats1.jpg").read_bytes(), 20)
    assert known.query.paths[0].endswith("hats/hats1.jpg")
    assert "hats1" not in {match.item_id for match in known}
    with pytest.raises(FeatxError, match="the photo: not-an-image") as refused:
        fx.similar(b"no photo")
    assert refused.value.code == "photo-unreadable"


def test_a_lone_name_is_found_in_any_case_unless_two_differ_only_so():
    rows_of_index = IndexRows.of(
        np.eye(5, dtype=np.float32),
        ["A1001", "B-7", "b-7", "e", "f"],
        products=["A1001", "Xy", "xY", "Größe", "Größe"],
        paths=["p/Front.JPG", "p/b.jpg", "p/c.jpg", "p/e.jpg", "p/f.jpg"],
    )

    def rows(name: str) -> list[int] | None:
        return known_rows(rows_of_index, name) or rows_in_any_case(rows_of_index, name)

    assert rows("a1001") == rows("front") == rows("FRONT.jpg") == [0]
    assert rows("B-7") == [1] and rows("b-7") == [2], "the exact name comes first"
    assert rows("XY") is None and rows("a100") is None and rows("q/front.jpg") is None
    assert sorted(rows("GRÖSSE") or []) == [3, 4]
    assert find_query(SimilarityIndex(rows_of_index), "a1001").products == {"A1001"}


def test_several_photos_make_one_query(store):
    index = open_index()
    hats, mugs = find_query(index, "hats0"), find_query(index, "mugs0")
    both = pool_queries([hats, mugs])
    best = {n.item_id: n.similarity for n in index.query(both, 20, copies=True)}
    for name, similarity in best.items():
        alone = [
            next(n.similarity for n in index.query(q.features, 20, copies=True) if n.item_id == name)
            for q in (hats, mugs)
        ]
        assert similarity == pytest.approx(max(alone), abs=2e-6)
    assert not {"hats0", "mugs0"} & set(best)


def test_a_query_moves_towards_and_away(store):
    index = open_index()
    start, like, unlike = (find_query(index, name) for name in ("hats0", "mugs0", "boots0"))
    there = steer(start, [like], [unlike])

    def cosine(a, b):
        return float(np.ravel(a) @ np.ravel(b) / np.linalg.norm(a) / np.linalg.norm(b))

    assert cosine(there.features, like.features) > cosine(start.features, like.features)
    assert cosine(there.features, unlike.features) < cosine(pool_queries([start]).features, unlike.features)
    assert there.digests == start.digests | like.digests | unlike.digests
    with pytest.raises(FeatxError, match="alone leaves nothing"):
        steer(None, [], [unlike])


def test_a_part_of_a_photo_is_looked_up(store, workplace):
    whole = Image.new("RGB", (80, 40), "red")
    whole.paste("blue", (40, 0, 80, 40))
    whole.save(workplace / "two.png")
    Image.new("RGB", (40, 40), "blue").save(workplace / "blue.png")
    index = open_index()
    blue = find_query(index, "blue.png").features
    for crop in ("40,0,40,40", "0.5,0.0,0.5,1.0"):
        np.testing.assert_allclose(find_query(index, "two.png", Crop.of(crop)).features, blue, atol=1e-5)
    with pytest.raises(FeatxError, match="80 × 40 pixels"):
        find_query(index, "two.png", Crop.of("60,0,40,40"))


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "0,0,0,5", "0.5,0,0.6,1", "-1,0,5,5", "1,2,3,4,5"])
def test_a_crop_that_means_nothing_is_refused(text):
    with pytest.raises(FeatxError) as caught:
        Crop.of(text)
    assert caught.value.code == "bad-flag"


def test_the_command_answers_in_every_shape(featx, store):
    lines = featx("similar", "hats1", "-k", "3", "--copies").stdout.splitlines()
    assert [len(line.split("\t")) for line in lines] == [5, 5, 5]
    records = [
        json.loads(line) for line in featx("similar", "hats1", "-k", "3", "--copies", "--json").stdout.splitlines()
    ]
    assert [record["rank"] for record in records] == [1, 2, 3]
    assert {"score", "id", "product", "label", "path", "word", "precision"} <= set(records[0])
    paths = featx("similar", "hats1", "-k", "3", "--copies", "--paths").stdout.splitlines()
    assert paths == [record["path"] for record in records]
    listed = featx("similar", "-", "-k", "1", "--copies", stdin="hats1\nmugs1\n").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == ["hats1", "mugs1"]
    filtered = featx("similar", "hats1", "--where", "category = 'mugs'", "--copies").stdout.splitlines()
    assert {line.split("\t")[3] for line in filtered} == {"mugs"}


def test_the_related_products_of_the_whole_catalogue_are_a_table(featx, store, workplace):
    ran = featx("similar", "--all", "-k", "2", "--copies", "-o", "related.csv")
    assert ran.returncode == 0, ran.stderr
    with (workplace / "related.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert all(row["product"] != row["related"] for row in rows)
    alone = featx("similar", "hats1", "-k", "2", "--copies", "--json").stdout.splitlines()
    assert [json.loads(line)["product"] for line in alone] == [
        row["related"] for row in rows if row["product"] == "hats1"
    ]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["similar"], 2, "no query"),
        (["similar", "hats9"], 5, "did you mean `hats"),
        (["similar", "hats1", "--where", "labell = 'x'"], 2, "did you mean `label`"),
        (["similar", "hats1", "--label", "hat"], 2, "did you mean `hats`"),
        (["similar", "hats1", "-o", "x.pdf"], 2, ".csv"),
        (["similar", "hats1", "--html", "x.pdf"], 2, ".html"),
        (["similar", "--all", "hats1"], 2, "takes no query"),
        (["similar", "--all", "-o", "x.html"], 2, "a table"),
        (["similar", "photos/nowhere.jpg"], 2, "no file at"),
    ],
)
def test_mistakes_are_answered_with_what_to_do(featx, store, words, code, message):
    ran = featx(*words)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_page_of_pictures_is_whole_and_safe(featx, store, workplace):
    ran = featx("similar", "hats1", "mugs1", "--copies", "--html", "page.html")
    assert ran.returncode == 0, ran.stderr
    text = (workplace / "page.html").read_text()
    assert text.count("<section>") == 2
    assert text.count('src="data:image/jpeg;base64,') == 12
    assert "http" not in text.replace("http-equiv", "")
    name = '<script>alert("x")</script>'
    neighbour = Neighbour(name, name, 0.5, name, "/nowhere/" + name, word=name)
    query = Query(name, np.ones((1, 2)), paths=(name,))
    bad = gallery_page([Row(name, (name,), Matches(query, (neighbour,)))])
    assert "<script" not in bad
    assert "no picture" in bad
    assert "<script" not in Matches(query, (neighbour,))._repr_html_()


def test_a_picture_becomes_half_blocks():
    image = Image.new("RGB", (8, 8), "red")
    image.paste("blue", (0, 4, 8, 8))
    cells = half_blocks(image, 8, 4)
    assert (len(cells), len(cells[0])) == (4, 8)
    assert cells[0][3] == ((255, 0, 0), (255, 0, 0))
    assert cells[3][3] == ((0, 0, 255), (0, 0, 255))


def test_matches_tell_what_they_are(store):
    matches = open_index().matches("hats1", 3, copies=True)
    assert repr(matches).startswith("Matches(3 for hats1, best ")
    assert len(matches.to_pandas()) == 3
    assert matches._repr_html_().count("<img") == 4
