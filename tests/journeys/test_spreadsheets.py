"""Tables go to a spreadsheet and come back: umlauts, decimal commas and what was decided in them included."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from featx.catalogue.reading import read_catalogue
from tests.conftest import Run, photo

NAMES = ("Röcke", "Hüte", "Mäntel")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Three categories with umlauts, one photo twice, one that is no photo, one without a category."""
    for i in range(24):
        photo(tmp_path / "Fotos für März" / NAMES[i % 3] / f"Bild ä{i}.jpg", seed=i)
    first = tmp_path / "Fotos für März" / NAMES[0] / "Bild ä0.jpg"
    (tmp_path / "Fotos für März" / NAMES[1] / "Kopie.jpg").write_bytes(first.read_bytes())
    for i in range(2):
        photo(tmp_path / "Fotos für März" / "test" / NAMES[i] / f"prüf{i}.jpg", seed=50 + i)
    (tmp_path / "Fotos für März" / NAMES[2] / "Bildöse.jpg").write_bytes(b"no photo")
    photo(tmp_path / "Fotos für März" / "neü.jpg", seed=99)
    return tmp_path


def saved_by_a_spreadsheet(path: Path, rows: list[dict[str, str]]) -> None:
    """As a spreadsheet of a country with decimal commas writes CSV UTF-8."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter=";")
        table.writeheader()
        table.writerows(rows)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_umlauts_reach_a_spreadsheet_whole_in_every_table_and_no_mark_reaches_a_pipe(featx: Run, shop: Path):
    for words in (
        ("extract", "Fotos für März", "-b", "colour"),
        ("fit", "--folds", "2"),
        ("export", "-o", "out/all.csv"),
        ("export", "--to", "npy", "-o", "out/npy"),
        ("predict", "Fotos für März", "-o", "out/said.csv"),
        ("duplicates", "-o", "out/twice.csv"),
        ("issues", "-o", "out/fixes.csv"),
        ("suggest", "-o", "out/todo.csv"),
        ("compare", "--clf", "centroid", "--folds", "2", "-o", "out/compared.csv"),
    ):
        (shop / "out").mkdir(exist_ok=True)
        ran = featx(*words)
        assert ran.returncode == 0, (words, ran.stderr)
        assert "\ufeff" not in ran.stdout
    tables = [*(shop / "out").rglob("*.csv"), *(shop / "artifacts").rglob("*.csv")]
    assert {"said.csv", "twice.csv", "fixes.csv", "todo.csv", "items.csv", "suspected.csv", "skipped.csv"} <= {
        table.name for table in tables
    }
    for table in tables:
        assert table.read_bytes().startswith(b"\xef\xbb\xbf"), table
        assert not table.read_text(encoding="utf-8")[1:].count("\ufeff"), table
    assert "Röcke" in (shop / "out/said.csv").read_text(encoding="utf-8-sig")


def test_what_was_filled_in_comes_back_from_a_spreadsheet_of_any_country(featx: Run, shop: Path):
    assert featx("extract", "Fotos für März", "-b", "colour").returncode == 0
    assert featx("fit", "--folds", "2").returncode == 0
    assert featx("suggest", "-o", "todo.csv").returncode == 0
    todo = rows_of(shop / "todo.csv")
    saved_by_a_spreadsheet(shop / "todo.csv", [{**row, "label": "Hüte"} for row in todo])
    assert featx("extract", "todo.csv", "-b", "colour").returncode == 0
    rows = [{"id": "neü", "decision": "change", "new_label": "Röcke", "digest": ""}]
    saved_by_a_spreadsheet(shop / "fixes.csv", rows)
    ran = featx("issues", "--apply", "fixes.csv", "--json")
    assert json.loads(ran.stdout)["changed"] == 1, ran.stderr
    saved_by_a_spreadsheet(shop / "artifacts/fixes.csv", rows_of(shop / "artifacts/fixes.csv"))
    assert featx("fit", "--folds", "2").returncode == 0


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (("1,5", "10", "", "-0,25"), [1.5, 10, None, -0.25]),
        (("1.234,50", "999", "12.000.000,1", "7,0"), [1234.5, 999, 12000000.1, 7]),
        (("1,5", "1.5", "2", "3"), ["1,5", "1.5", "2", "3"]),  # one of them is no decimal comma
        (("1,500", "2,250", "3", "4"), ["1,500", "2,250", "3", "4"]),  # thousands or decimals
        (("1.500", "2.250", "3", "4"), ["1.500", "2.250", "3", "4"]),
        (("1,500", "2,25", "3", "4"), [1.5, 2.25, 3, 4]),
        (("0.250", "1.500", "3", "4"), [0.25, 1.5, 3, 4]),
        (("1.5", "2", "3", "4"), [1.5, 2, 3, 4]),
        (("1,5", "rund 2", "3", "4"), ["1,5", "rund 2", "3", "4"]),
        (("01,5", "2,5", "3", "4"), ["01,5", "2,5", "3", "4"]),
        (("9" * 400 + ",5", "2", "3", "4"), ["9" * 400 + ",5", "2", "3", "4"]),
        (("1,2,3", "2,5", "3", "4"), ["1,2,3", "2,5", "3", "4"]),
    ],
)
def test_decimal_commas_are_numbers_where_semicolons_part_the_cells_and_nothing_is_guessed(tmp_path, cells, read):
    rows = "".join(f"{i}.jpg;{cell}\n" for i, cell in enumerate(cells))
    for i in range(len(cells)):
        photo(tmp_path / f"{i}.jpg", seed=i)
    (tmp_path / "t.csv").write_text("image;price\n" + rows, encoding="utf-8-sig")
    assert [item.extra.get("price") for item in read_catalogue(tmp_path / "t.csv").items] == read


def test_decimal_commas_in_a_table_of_commas_stay_text(tmp_path):
    photo(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_text('image,price\na.jpg,"1,5"\n')
    assert read_catalogue(tmp_path / "t.csv").items[0].extra["price"] == "1,5"


def test_prices_with_a_decimal_comma_can_be_filtered(featx: Run, tmp_path):
    for i in range(6):
        photo(tmp_path / f"{i}.jpg", seed=i)
    rows = "".join(f"{i}.jpg;{i},99\n" for i in range(6))
    (tmp_path / "t.csv").write_text("image;price\n" + rows)
    assert featx("extract", "t.csv", "-b", "colour").returncode == 0
    ran = featx("similar", "0", "--where", "price<3", "--json")
    assert {json.loads(line)["id"] for line in ran.stdout.splitlines()} == {"1", "2"}, ran.stderr


def test_names_that_look_like_formulas_come_back_from_a_table_of_suggestions_as_the_same_items(featx: Run, shop: Path):
    photo(shop / "Fotos für März" / "=neu.jpg", seed=77)
    photo(shop / "Fotos für März" / "-neu2.jpg", seed=78)
    assert featx("extract", "Fotos für März", "-b", "colour").returncode == 0
    assert featx("fit", "--folds", "2").returncode == 0
    before = json.loads(featx("info", "--json").stdout)["n"]
    assert featx("suggest", "-o", "todo.csv").returncode == 0
    todo = rows_of(shop / "todo.csv")
    assert {row["id"] for row in todo} == {"'=neu", "'-neu2", "neü"}
    saved_by_a_spreadsheet(shop / "todo.csv", [{**row, "label": "Hüte"} for row in todo])
    assert featx("extract", "todo.csv", "-b", "colour").returncode == 0
    assert json.loads(featx("info", "--json").stdout)["n"] == before
    assert "have a category" in featx("suggest").stderr


def test_a_table_of_suggestions_for_another_folder_says_where_its_paths_count_from(featx: Run, shop: Path):
    assert featx("extract", "Fotos für März", "-b", "colour").returncode == 0
    assert featx("fit", "--folds", "2").returncode == 0
    (shop / "out").mkdir()
    assert "its paths are relative to" in featx("suggest", "-o", "out/todo.csv").stderr
    assert "its paths are relative to" not in featx("suggest", "-o", "todo.csv").stderr
