"""A shop's own table: its SKU, title and price come back in every table that featx writes."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from featx.catalogue.reading import read_catalogue
from tests.conftest import Run, command_environment, made_once, photo, run_here

KINDS = ("boots", "hats", "mugs")


def make(root: Path) -> None:
    lines = ["photo,SKU,Category,Style,Title,price,sure"]
    for i in range(21):
        photo(root / f"{i}.jpg", seed=i % 3, noise=i)
        kind = KINDS[i % 3] if i < 18 else ""
        wrong = KINDS[1] if i == 0 else kind
        lines.append(f'{i}.jpg,A0{i:02},{wrong},S{i % 3}-{i // 9},"Nice, no. {i}",{i}.5,yes')
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    for words in (("extract", "list.csv", "-b", "colour", "--group-col", "Style"), ("fit", "--folds", "2")):
        ran = run_here(words, root, "", command_environment({}))
        assert ran.returncode == 0, ran.stderr


@pytest.fixture
def shop(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(made_once(tmp_path_factory, "own-columns", make), tmp_path, dirs_exist_ok=True))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def lines_of(ran) -> list[dict]:
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def number(path: str) -> int:
    return int(Path(path).stem)


def test_answers_come_with_the_columns_of_the_table_that_asked_and_so_do_photos_that_are_not_there(featx: Run, shop):
    (shop / "ask.csv").write_text(
        "image,SKU,Title,category,sure\n3.jpg,A003,three,old,no\nnone.jpg,A999,gone,old,no\n", encoding="utf-8"
    )
    assert featx("predict", "ask.csv", "-o", "answers.csv").returncode == 0
    here, gone = rows_of(shop / "answers.csv")
    assert (here["SKU"], here["Title"]) == ("A003", "three")
    assert (here["category"] in KINDS, here["category_"], here["sure_"]) == (True, "old", "no")
    assert (gone["SKU"], gone["Title"], gone["category"], gone["error"]) == ("A999", "gone", "", "missing")
    for record, row in zip(lines_of(featx("predict", "ask.csv", "--json")), (here, gone), strict=True):
        assert record.keys() == row.keys() and record["SKU"] == row["SKU"]


def test_look_alikes_carry_the_columns_of_their_own_rows_with_and_without_the_cache(featx: Run, shop):
    assert featx("similar", "A003", "--copies", "-o", "alike.csv").returncode == 0
    rows = rows_of(shop / "alike.csv")
    assert len(rows) == 5
    for row in rows:
        i = number(row["path"])
        assert (row["SKU"], row["Title"], row["price"], row["sure"]) == (f"A0{i:02}", f"Nice, no. {i}", f"{i}.5", "yes")
        assert row["Style"] == row["product"] == f"S{i % 3}-{i // 9}"
    again = lines_of(featx("similar", "A003", "--copies", "--json"))
    assert [(record["SKU"], record["price"]) for record in again] == [(row["SKU"], float(row["price"])) for row in rows]
    both = lines_of(featx("similar", "A003", "A004", "-k", "1", "--copies", "--json"))
    assert [record["query"] for record in both] == ["A003", "A004"]


def test_every_table_shows_the_columns_that_are_asked_for(featx: Run, shop):
    """In a pipe they stand behind featx's own."""
    shutil.copy(shop / "3.jpg", shop / "21.jpg")
    with (shop / "list.csv").open("a") as table:
        table.write('21.jpg,A021,boots,S9,"Nice, no. 21",21.5,yes\n')
    assert featx("extract", "list.csv", "--group-col", "Style").returncode == 0
    for words in (
        ("predict", "list.csv"),
        ("similar", "A003", "--copies"),
        ("similar", "--all", "-k", "1", "--copies"),
        ("issues", "-n", "2", "--folds", "2"),
        ("suggest",),
        ("duplicates",),
    ):
        ran = featx(*words, "--columns", "title,SKU")
        assert ran.returncode == 0, ran.stderr
        # The files of a group of copies, however many, stay last.
        at = slice(5, 7) if words == ("duplicates",) else slice(-2, None)
        titles = [line.split("\t")[at] for line in ran.stdout.splitlines()]
        assert titles and all(title == f"Nice, no. {int(sku[1:])}" for title, sku in titles), words
        wrong = featx(*words, "--columns", "titel")
        assert wrong.returncode == 2 and "no column `titel`" in wrong.stderr and "Title" in wrong.stderr


def test_the_nightly_table_of_predictions_carries_the_columns_of_the_store(featx: Run, shop):
    assert featx("update").returncode in (0, 8)
    rows = rows_of(shop / "artifacts/update/predictions.csv")
    assert [(row["SKU"], row["Title"]) for row in rows] == [(f"A0{i}", f"Nice, no. {i}") for i in (18, 19, 20)]


def test_the_related_products_of_all_come_with_the_columns_of_the_product_that_is_alike(featx: Run, shop):
    assert featx("similar", "--all", "-k", "2", "--copies", "-o", "related.csv").returncode == 0
    rows = rows_of(shop / "related.csv")
    assert rows and all(row["Style"] == row["related"] and row["Title"].startswith("Nice") for row in rows)
    again = lines_of(featx("similar", "--all", "-k", "2", "--copies", "--json"))
    assert [record["SKU"] for record in again] == [row["SKU"] for row in rows]


def test_doubted_labels_carry_them_and_the_table_is_still_one_of_decisions(featx: Run, shop):
    assert featx("issues", "-n", "5", "--folds", "2", "-o", "fixes.csv").returncode == 0
    rows = rows_of(shop / "fixes.csv")
    assert rows and all(row["SKU"] == f"A0{number(row['path']):02}" and row["sure_"] == "yes" for row in rows)
    records = [
        record
        for record in lines_of(featx("issues", "-n", "5", "--folds", "2", "--json"))
        if record["issue"] == "label"
    ]
    assert [record["SKU"] for record in records] == [row["SKU"] for row in rows]
    with (shop / "fixes.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerow({**rows[0], "decision": "keep"})
    assert json.loads(featx("issues", "--apply", "fixes.csv", "--json").stdout)["kept"] == 1


def test_photos_to_label_carry_them_and_the_table_can_be_read_again(featx: Run, shop):
    assert featx("suggest", "-o", "todo.csv").returncode == 0
    rows = rows_of(shop / "todo.csv")
    assert {row["SKU"] for row in rows} == {"A018", "A019", "A020"}
    assert all(row["price"] == f"{number(row['path'])}.5" and "Category" not in row for row in rows)
    with (shop / "todo.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows({**row, "label": "mugs"} for row in rows)
    again = read_catalogue(shop / "todo.csv")
    assert {(item.item_id, item.label) for item in again.items} == {(f"A0{i}", "mugs") for i in (18, 19, 20)}
    assert featx("extract", "todo.csv").returncode == 0
    record = lines_of(featx("similar", "A003", "-k", "20", "--copies", "--json"))[-1]
    assert record["SKU"] and "sure" in record


@pytest.mark.parametrize("to", ["csv", "jsonl", "parquet"])
def test_exports_hold_them_beside_the_names_of_featx(featx: Run, shop, to):
    assert featx("export", "-o", f"all.{to}").returncode == 0
    if to == "parquet":
        rows = pytest.importorskip("pyarrow.parquet").read_table(shop / "all.parquet").to_pylist()
    elif to == "jsonl":
        rows = [json.loads(line) for line in (shop / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    else:
        rows = rows_of(shop / "all.csv")
    for row in rows:
        assert (row["SKU"], row["Title"]) == (row["id"], f"Nice, no. {number(row['path'])}")
        assert float(row["price"]) == number(row["path"]) + 0.5
