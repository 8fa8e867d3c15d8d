"""Which items exist: every layout and every odd file has one defined outcome."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import pytest

from featx.catalogue.folders import natural
from featx.catalogue.reading import read_catalogue
from featx.errors import FeatxError
from tests.conftest import SHARED, photo


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def facts(catalogue):
    return {item.item_id: (item.label, item.product, item.split) for item in catalogue.items}


def test_flat_classes_take_the_folder_as_label(tmp_path):
    touch(tmp_path / "boots/a.jpg", tmp_path / "hats/b.PNG")
    catalogue = read_catalogue(tmp_path)
    assert facts(catalogue) == {"a": ("boots", None, None), "b": ("hats", None, None)}
    assert catalogue.describe() == f"2 photos in 2 categories under {tmp_path} (category = folder name)"


@pytest.mark.parametrize(
    ("label_from", "label"), [(None, "Granny"), ("top", "Fruit"), ("path", "Fruit/Apple/Granny"), ("none", None)]
)
def test_nested_classes_give_leaf_top_or_path(tmp_path, label_from, label):
    touch(tmp_path / "Fruit/Apple/Granny/g.jpg")
    assert facts(read_catalogue(tmp_path, label_from=label_from))["g"][0] == label


def test_splits_are_told_from_any_part_of_the_path(tmp_path):
    touch(tmp_path / "train/boots/a.jpg", tmp_path / "valid/boots/b.jpg", tmp_path / "boots/test/c.jpg")
    splits = {key: split for key, (_, _, split) in facts(read_catalogue(tmp_path)).items()}
    assert splits == {"a": "train", "b": "val", "c": "test"}
    assert {item.split for item in read_catalogue(tmp_path / "train").items} == {"train"}


def test_prefix_template_and_expression_name_the_parts(tmp_path):
    touch(tmp_path / "mugs_a1_2.jpg")
    assert facts(read_catalogue(tmp_path, label_from="prefix")) == {"mugs_a1_2": ("mugs", None, None)}
    (item,) = read_catalogue(tmp_path, pattern="{label}_{product}_{shot}.jpg").items
    assert (item.label, item.product, dict(item.extra)) == ("mugs", "a1", {"shot": "2"})
    (item,) = read_catalogue(tmp_path, pattern=r"(?P<label>[a-z]+)_(?P<product>\w+)_\d").items
    assert (item.label, item.product) == ("mugs", "a1")
    with pytest.raises(FeatxError) as caught:
        read_catalogue(tmp_path, pattern="(?P<label>[")
    assert caught.value.code == "bad-pattern"


def test_several_shots_of_a_product_are_grouped_by_their_stem(tmp_path):
    touch(*(tmp_path / "mugs" / name for name in ("sku1.jpg", "sku1-2.jpg", "sku1-3.jpg", "sku2.jpg", "sku2-2.jpg")))
    catalogue = read_catalogue(tmp_path)
    assert {item.product for item in catalogue.items} == {"sku1", "sku2"}
    assert catalogue.product_source == "file names"
    assert {item.product for item in read_catalogue(tmp_path, group_col="none").items} == {None}


def test_numbered_photos_of_a_class_are_not_one_product(tmp_path):
    touch(*(tmp_path / kind / f"{kind}_{i:03}.jpg" for kind in ("apple", "pear") for i in range(12)))
    assert read_catalogue(tmp_path).product_source == "none"


def test_ids_are_unique_whatever_the_names(tmp_path):
    touch(tmp_path / "a/1.jpg", tmp_path / "b/1.jpg", tmp_path / "b/2.jpg")
    assert sorted(facts(read_catalogue(tmp_path))) == ["2", "a/1.jpg", "b/1.jpg"]


def test_what_is_hidden_or_no_photo_is_passed_over(tmp_path):
    touch(tmp_path / "a/x.jpg", tmp_path / "a/.y.jpg", tmp_path / ".git/z.jpg", tmp_path / "a/Thumbs.db")
    touch(tmp_path / "a/readme.txt")
    assert len(read_catalogue(tmp_path).items) == 1


def test_a_loop_of_links_ends(tmp_path):
    touch(tmp_path / "a/x.jpg")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert len(read_catalogue(tmp_path).items) == 1


def test_names_may_hold_anything(tmp_path):
    names = ["a b.jpg", 'quo"te.jpg', "new\nline.jpg", "emoji🎩.jpg", os.fsdecode(b"bad\xff.jpg")]
    touch(*(tmp_path / "hats" / name for name in names))
    assert sorted(Path(item.path).name for item in read_catalogue(tmp_path).items) == sorted(names)


def test_an_empty_folder_says_what_was_found(tmp_path):
    touch(tmp_path / "a.txt", tmp_path / "b.zip")
    with pytest.raises(FeatxError, match="found 2 files, none of them a photo") as caught:
        read_catalogue(tmp_path)
    assert caught.value.exit_code == 3


def test_order_is_by_name_as_people_count():
    assert sorted(["p10.jpg", "p2.jpg", "P1.jpg"], key=natural) == ["P1.jpg", "p2.jpg", "p10.jpg"]


def table(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    touch(tmp_path / "p/a.jpg", tmp_path / "p/b.jpg", tmp_path / "p/c.jpg")
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def test_a_table_says_label_product_split_and_more(tmp_path):
    rows = "sku,image,category,price,split\n1,p/a.jpg,mugs,9.5,train\n1,p/b.jpg,mugs,9,test\n2,p/c.jpg,hats,1,train\n"
    catalogue = read_catalogue(table(tmp_path, rows))
    assert facts(catalogue) == {"a": ("mugs", "1", "train"), "b": ("mugs", "1", "test"), "c": ("hats", "2", "train")}
    assert [item.extra["price"] for item in catalogue.items] == [9.5, 9, 1]
    assert (catalogue.label_source, catalogue.product_source) == ("column `category`", "column `sku`")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.tsv", "file_name\tlabel\np/a.jpg\tmugs\n"),
        ("t.jsonl", json.dumps({"path": "p/a.jpg", "label": "mugs"}) + "\n"),
        ("metadata.csv", "\ufefffile_name,label\np/a.jpg,mugs\n"),
        ("t.csv", "image;class\np\\a.jpg;mugs\n"),
        ("list.txt", "p/a.jpg, mugs\n"),
    ],
)
def test_every_kind_of_table_is_read(tmp_path, name, text):
    path = table(tmp_path, text, name)
    source = tmp_path if name.startswith("metadata") else path
    assert facts(read_catalogue(source)) == {"a": ("mugs", None, None)}


def test_parquet_is_read(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    touch(tmp_path / "a.jpg")
    parquet.write_table(pyarrow.table({"image": ["a.jpg"], "label": ["mugs"]}), tmp_path / "t.parquet")
    assert facts(read_catalogue(tmp_path / "t.parquet")) == {"a": ("mugs", None, None)}


def test_a_parquet_table_of_several_pieces_is_read_like_one(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    monkeypatch.setattr("featx.catalogue.tables.ROWS", 3)
    names = [f"p{i}.jpg" for i in range(8)]
    touch(*(tmp_path / name for name in names))
    columns = {
        "image": names, "label": ["mugs", None] * 4, "price": [1.5, float("nan")] * 4, "sizes": [[1, 2]] * 8,
        "shown": [date(2026, 1, 2)] * 8,
    }  # fmt: skip
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    items = read_catalogue(tmp_path / "t.parquet").items
    assert [item.path for item in items] == [str(tmp_path / name) for name in names]
    assert [item.label for item in items] == ["mugs", None] * 4
    assert [item.extra["price"] for item in items] == [1.5, None] * 4
    assert items[7].extra["sizes"] == "[1, 2]" and items[7].extra["shown"] == "2026-01-02"


@pytest.mark.parametrize("ids", [("12E5", "1.10"), ("1.10", "1.1"), ("007", "7"), ("1e999", "2")])
def test_ids_labels_and_products_stay_as_they_are_written_even_where_they_look_like_numbers(tmp_path, ids):
    rows = "".join(f"{number},p/{name}.jpg,{number},{number}\n" for number, name in zip(ids, "ab", strict=True))
    catalogue = read_catalogue(table(tmp_path, "sku,image,label,batch\n" + rows), group_col="batch")
    assert [(item.item_id, item.label, item.product) for item in catalogue.items] == [
        (number, number, number) for number in ids
    ]


def test_a_column_of_numbers_without_end_stays_text(tmp_path):
    catalogue = read_catalogue(table(tmp_path, "image,price\np/a.jpg,1e999\np/b.jpg,2\n"))
    assert [item.extra["price"] for item in catalogue.items] == ["1e999", "2"]


def test_line_ends_of_unicode_may_stand_in_a_cell(tmp_path):
    text = json.dumps({"image": "p/a.jpg", "title": "one\u2028two\x85three"}, ensure_ascii=False) + "\n"
    (item,) = read_catalogue(table(tmp_path, text, "t.jsonl")).items
    assert item.extra["title"] == "one\u2028two\x85three"
    (item,) = read_catalogue(table(tmp_path, "image,title\np/a.jpg,one\u2028two\n")).items
    assert item.extra["title"] == "one\u2028two"


def test_rows_beyond_the_first_thousands_are_read_like_the_first(tmp_path):
    lines = [f"{i},p/{'abc'[i % 3]}.jpg,c{i % 7},{i / 2},title {i}" for i in range(25_000)]
    catalogue = read_catalogue(table(tmp_path, "id,image,label,price,title\n" + "\n".join(lines) + "\n"))
    assert len(catalogue.items) == 25_000
    for i in (0, 9_999, 10_000, 10_001, 24_999):
        item = catalogue.items[i]
        assert (item.item_id, item.label, dict(item.extra)) == (
            str(i), f"c{i % 7}", {"price": i / 2, "title": f"title {i}"},
        )  # fmt: skip
    with pytest.raises(FeatxError, match="line 20002 of"):
        read_catalogue(table(tmp_path, "image,label\n" + "p/a.jpg,x\n" * 20_000 + "p/a.jpg,x,y\n"))


def test_a_photo_that_is_not_there_is_named(tmp_path):
    catalogue = read_catalogue(table(tmp_path, "image,label\np/a.jpg,x\np/gone.jpg,x\n"))
    assert [(Path(skip.path).name, skip.reason) for skip in catalogue.skipped] == [("gone.jpg", "missing")]


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("image,label\n../x.jpg,a\n", "path-escapes", "outside"),
        ("image,label\n/etc/passwd,a\n", "path-escapes", "outside"),
        ("image,label\np/a.jpg,x,y\n", "bad-manifest", "line 2"),
        ("image,image\np/a.jpg,x\n", "bad-manifest", "two columns"),
        ("", "bad-manifest", "empty"),
        ("picture name,label\np/a.jpg,x\n", "bad-column", "columns: picture name, label"),
        ("image,label\np/a.jpg,x\np/a.jpg,y\n", "duplicate-id", "more than once"),
    ],
)
def test_a_bad_table_is_an_error_that_says_where(tmp_path, text, code, says):
    with pytest.raises(FeatxError, match=says) as caught:
        read_catalogue(table(tmp_path, text))
    assert caught.value.code == code


def test_a_link_out_of_the_root_is_refused_unless_allowed(tmp_path):
    outside = photo(tmp_path / "outside/x.jpg")
    path = table(tmp_path / "in", "image\nlink.jpg\n")
    (tmp_path / "in/link.jpg").symlink_to(outside)
    with pytest.raises(FeatxError, match="outside"):
        read_catalogue(path)
    assert len(read_catalogue(path, allow_outside=True).items) == 1


def test_a_mistyped_column_gets_the_right_one(tmp_path):
    with pytest.raises(FeatxError, match="no column `categry`") as caught:
        read_catalogue(table(tmp_path, "image,category\np/a.jpg,x\n"), label_col="categry")
    assert "category" in caught.value.hint


def test_a_named_id_column_must_be_one(tmp_path):
    with pytest.raises(FeatxError, match="not an id") as caught:
        read_catalogue(table(tmp_path, "image,sku\np/a.jpg,1\np/b.jpg,1\n"), id_col="sku")
    assert "--group-col sku" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,title\np/a.jpg,x\n", ""),
        ('image;title\np/a.jpg;"a; b, c"\n', "semicolons"),
        ("image\ttitle\np/a.jpg\tx\n", "tabs"),
        ("image|title\np/a.jpg|x\n", "vertical bars"),
        ('sep=;\n"image";"title, long; really"\np/a.jpg;x\n', "semicolons"),
        ("image;title\rp/a.jpg;x\r", "semicolons"),
    ],
)
def test_what_separates_the_cells_is_found_and_said_where_it_is_no_comma(tmp_path, text, message):
    catalogue = read_catalogue(table(tmp_path, text))
    assert [Path(item.path).name for item in catalogue.items] == ["a.jpg"]
    assert (
        len(catalogue.columns) == 1 and message in "".join(catalogue.notes) and bool(message) == bool(catalogue.notes)
    )


def test_a_workbook_under_the_name_of_a_table_says_what_to_save(tmp_path):
    path = table(tmp_path, "")
    path.write_bytes(b"PK\x03\x04 the rest of a workbook")
    with pytest.raises(FeatxError, match="is a workbook") as caught:
        read_catalogue(path)
    assert "CSV UTF-8" in caught.value.hint


@pytest.mark.reality
@pytest.mark.skipif(not (SHARED / "data/grocery").is_dir(), reason="the real grocery photos are not here")
def test_the_grocery_layouts_are_understood():
    folder = read_catalogue(SHARED / "data/grocery/train")
    listed = read_catalogue(SHARED / "data/grocery/train.txt")
    assert (len(folder.items), len(folder.labels), folder.product_source) == (2640, 81, "none")
    assert (len(listed.items), len(listed.labels)) == (2640, 81)


def test_a_table_whose_photos_are_all_elsewhere_says_where_they_were_looked_for(tmp_path):
    (tmp_path / "list.csv").write_text("image,label\nphotos/a.jpg,x\nphotos/b.jpg,y\n")
    with pytest.raises(FeatxError, match=r"none of the 2 photos .* exists, for example .*photos/a\.jpg") as refused:
        read_catalogue(tmp_path / "list.csv")
    assert refused.value.code == "no-images" and str(tmp_path) in refused.value.hint
