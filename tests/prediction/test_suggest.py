"""`featx suggest`: the photos worth a label."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.prediction.suggest import margin_uncertainty, select_diverse
from featx.store import Store, open_store
from tests.conftest import Run, photo


def partly_labelled(folder: Path) -> None:
    """Eighteen photos of three categories and a table of them, in which the last two of each have no label."""
    lines = ["path,label"]
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for i in range(6):
            photo(folder / f"{category}{i}.jpg", seed=100 * c + i)
            lines.append(f"{category}{i}.jpg,{category if i < 4 else ''}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")


def test_doubt_is_one_where_two_categories_tie_and_nothing_where_one_is_certain():
    shares = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.7, 0.1]])
    np.testing.assert_allclose(margin_uncertainty(shares), [1.0, 0.0, 0.5])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(1, 6), st.integers(0, 99))
def test_no_product_and_no_row_is_named_twice_and_the_most_doubtful_comes_first(n, rows, sorts, seed):
    random = np.random.default_rng(seed)
    features, doubts = random.normal(size=(rows, 5)), random.random(rows)
    products = [f"p{random.integers(sorts)}" for _ in range(rows)]
    chosen = select_diverse(features, doubts, n, products)
    assert len(chosen) == min(n, len(set(products)))
    assert len({products[i] for i in chosen}) == len(chosen)
    assert chosen[0] == int(np.argmax(doubts))


def test_of_two_photos_that_look_the_same_only_one_is_named_early():
    features = np.array([[1.0, 0.0], [1.0, 0.001], [0.0, 1.0]])
    assert select_diverse(features, np.array([1.0, 0.99, 0.5]), 2) == [0, 2]


def test_it_names_photos_without_a_category_in_a_table_that_extract_reads_again(featx: Run, tmp_path: Path):
    partly_labelled(tmp_path)
    assert featx("extract", "list.csv", "-b", "colour").returncode == 0
    assert featx("fit", "--folds", "2").returncode == 0
    shown = [json.loads(line) for line in featx("suggest", "-n", "4", "--json").stdout.splitlines()]
    assert len(shown) == 4 and all(row["says"] != row["instead"] and 0 <= row["doubt"] <= 1 for row in shown)
    assert {Path(row["path"]).stem[-1] for row in shown} <= {"4", "5"}
    ran = featx("suggest", "-n", "4", "-o", "to-label.csv")
    assert ran.returncode == 0 and "4 of 6 photos" in ran.stderr.replace("4 of 6 photo ", "4 of 6 photos ")
    with (tmp_path / "to-label.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == [""] * 4
    assert featx("extract", "to-label.csv", "-b", "colour", "--store", "other.h5").returncode == 0


def test_of_a_large_store_only_features_of_photos_without_a_category_are_kept_in_memory(
    featx: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    partly_labelled(tmp_path)
    assert featx("extract", "list.csv", "-b", "colour").returncode == 0
    assert featx("fit", "--folds", "2").returncode == 0
    monkeypatch.setattr(Store, "all_views", property(lambda self: pytest.fail("all features were read at once")))
    assert featx("suggest", "-n", "4").returncode == 0
    ran = featx("update")
    assert ran.returncode in (0, 8) and "6 new photos" in ran.stderr, ran.stderr  # 8 where an answer is in doubt


def test_labels_that_were_filled_in_add_to_what_the_first_table_said_and_outlive_it(featx: Run, tmp_path: Path):
    partly_labelled(tmp_path)
    lines = (tmp_path / "list.csv").read_text().splitlines()
    filled = [f"{line},sku{number // 2},{number}.5" for number, line in enumerate(lines[1:])]
    (tmp_path / "list.csv").write_text("\n".join([lines[0] + ",product,price", *filled]) + "\n")
    extracting = ("extract", "list.csv", "-b", "colour")
    assert featx(*extracting).returncode == 0 and featx("fit", "--folds", "2").returncode == 0
    before = open_store(tmp_path / "artifacts/embeddings/colour.h5")
    assert featx("suggest", "-n", "3", "-o", "todo.csv").returncode == 0
    with (tmp_path / "todo.csv").open(encoding="utf-8-sig", newline="") as file:
        todo = list(csv.DictReader(file))
    with (tmp_path / "todo.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(todo[0]))
        table.writeheader()
        table.writerows({**row, "label": "mugs"} for row in todo)
    for words in (("extract", "todo.csv", "-b", "colour"), extracting):
        assert featx(*words).returncode == 0
        after = open_store(tmp_path / "artifacts/embeddings/colour.h5")
        assert list(after.products) == list(before.products) and set(after.columns) == set(before.columns)
        assert list(after.columns["price"]) == list(before.columns["price"])
        known = dict(zip(after.paths, after.labels, strict=True))
        assert all(known[row["path"]] == "mugs" for row in todo)


def test_with_nothing_left_to_label_the_list_is_empty_and_says_so(featx: Run, folder):
    featx("extract", str(folder), "-b", "colour")
    featx("fit", "--folds", "2")
    ran = featx("suggest", "--json")
    assert ran.returncode == 0 and ran.stdout == "" and "all 12 photos" in ran.stderr


def test_from_python_the_suggestions_are_those_of_the_command_and_a_table_that_runs_nothing(
    featx: Run, workplace, monkeypatch
):
    import featx as library

    partly_labelled(workplace)
    assert featx("extract", "list.csv", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "centroid", "--folds", "2").returncode == 0
    records = [json.loads(line) for line in featx("suggest", "-n", "4", "--json").stdout.splitlines()]
    suggestions = library.suggest(n=4)
    assert [row.to_dict() for row in suggestions] == records and len(suggestions) == 4
    assert library.suggest(classifier="centroid", n=4) == suggestions
    assert suggestions.to_pandas()["path"].tolist() == [row["path"] for row in records]
    shown = type(suggestions)([replace(suggestions[0], says="<script>")])._repr_html_()
    assert "<table>" in shown and "<script>" not in shown and "1 photo to label" in shown
