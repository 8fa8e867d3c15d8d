"""Photos named by SKU find their rows; what matched nothing on either side is listed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from featx.catalogue.photos_by_sku import match_photos
from featx.catalogue.reading import read_catalogue
from featx.errors import FeatxError
from tests.conftest import Run, photo


def matched(*paths: str, skus: tuple[str, ...] = ("A1001", "A1002", "A10", "B 7")) -> dict[str, str]:
    return {photo.path: photo.sku for photo in match_photos(paths, skus)[0]}


def test_a_photo_belongs_to_the_sku_its_name_or_folder_begins_with():
    names = ["A1001.jpg", "a1001_2.jpg", "A1001-front.JPG", "x/A1002 (2).png", "a1002/IMG_7.jpg", "a1002/more/back.jpg"]
    assert matched(*names) == dict(zip(names, ["A1001"] * 3 + ["A1002"] * 3, strict=True))
    assert matched("A10012.jpg", "XA1001.jpg", "IMG_1.jpg") == {}, "a longer number is another SKU"
    assert matched("b 7_2.jpg", "A10-A1001.jpg") == {"b 7_2.jpg": "B 7", "A10-A1001.jpg": "A10"}


def test_of_two_skus_the_longer_is_taken_and_both_are_named():
    photos, left = match_photos(["T-1.jpg", "T-1-2.jpg", "T/T-1.jpg", "x.jpg"], ["T", "T-1", "U"])
    assert [photo.sku for photo in photos] == ["T-1", "T-1", "T-1"]
    assert left.ambiguous == {path: ["T-1", "T"] for path in ("T-1.jpg", "T-1-2.jpg", "T/T-1.jpg")}
    assert (left.skus, left.photos) == (["T", "U"], ["x.jpg"])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for i, name in enumerate(["A1_1.jpg", "a1_2.jpg", "B2/front.jpg", "b2/back.jpg", "other.jpg"]):
        photo(tmp_path / "photos" / name, seed=i)
    (tmp_path / "products.csv").write_text("SKU,category,price\nA1,mugs,1.5\nB2,hats,2\nC3,hats,3\n")
    return tmp_path / "products.csv"


def test_several_photos_of_a_sku_are_one_product_with_the_columns_of_its_row(table):
    catalogue = read_catalogue(table, images=table.parent / "photos")
    assert [(Path(item.path).name, item.product, item.label, item.extra["price"]) for item in catalogue.items] == [
        ("A1_1.jpg", "A1", "mugs", 1.5), ("front.jpg", "B2", "hats", 2.0),
        ("a1_2.jpg", "A1", "mugs", 1.5), ("back.jpg", "B2", "hats", 2.0),
    ]  # fmt: skip
    assert catalogue.n_products == 2 and catalogue.items[0].columns["SKU"] == "A1"
    assert catalogue.unmatched is not None
    assert (catalogue.unmatched.skus, catalogue.unmatched.photos) == (["C3"], ["other.jpg"])


def test_a_pattern_says_how_photos_are_named_and_its_other_parts_become_columns(table):
    for name in ("shop-A1-left.jpg", "SHOP-b2-right.JPG"):
        photo(table.parent / "named" / name, seed=9)
    catalogue = read_catalogue(table, images=table.parent / "named", image_pattern="shop-{sku}-{side}.jpg")
    assert {(item.product, item.extra["side"]) for item in catalogue.items} == {("A1", "left"), ("B2", "right")}
    with pytest.raises(FeatxError, match="does not name the SKU"):
        read_catalogue(table, images=table.parent / "named", image_pattern="{product}_{shot}.jpg")


def test_a_table_of_which_no_sku_has_a_photo_says_what_both_look_like(table):
    photo(table.parent / "odd" / "IMG_1.jpg", seed=9)
    with pytest.raises(FeatxError, match=r"a SKU is `A1`, a photo `IMG_1.jpg`") as caught:
        read_catalogue(table, images=table.parent / "odd")
    assert caught.value.code == "no-images" and "--image-pattern" in caught.value.hint
    with pytest.raises(FeatxError, match="needs `--images`"):
        read_catalogue(table, image_pattern="{sku}.jpg")
    with pytest.raises(FeatxError, match="needs a table"):
        read_catalogue(table.parent / "photos", images=table.parent / "photos")


def test_the_command_names_what_is_left_over_and_lists_all_of_it(table, featx: Run):
    words = ("extract", "products.csv", "--images", "photos", "-b", "colour")
    ran = featx(*words)
    assert ran.returncode == 0, ran.stderr
    assert "1 SKU of products.csv without a photo: C3" in ran.stderr
    assert "1 photo matches no SKU: other.jpg" in ran.stderr
    with (table.parent / "artifacts/unmatched.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file))[1:] == [["no photo", "C3", ""], ["no SKU", "", "other.jpg"]]
    document = json.loads(featx(*words, "--json").stdout)
    assert document["unmatched"] == {"skus": 1, "photos": 1, "ambiguous": 0, "list": "artifacts/unmatched.csv"}
    assert document["unchanged"] == 4
    answers = [json.loads(line) for line in featx("similar", "A1", "--copies", "--json").stdout.splitlines()]
    assert [(answer["product"], answer["SKU"], answer["price"]) for answer in answers] == [("B2", "B2", 2.0)]
