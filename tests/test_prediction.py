"""`featx predict`: answers, doubts, files and folders."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import Run, photo

from featx.catalogue import Item
from featx.errors import FeatxError
from featx.filing import planned
from featx.folds import grouped_folds
from featx.novelty import familiar_with
from featx.prediction import Prediction, limit_for


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, a store and a trained classifier."""
    import os
    import subprocess
    import sys

    root = tmp_path_factory.mktemp("shop")
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for item in range(6):
            photo(root / "photos" / category / f"{category}{item}.jpg", seed=100 * c + item)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    for words in (["extract", "photos", "-b", "colour"], ["fit", "--folds", "3"]):
        subprocess.run(
            [sys.executable, "-m", "featx", *words, "-q"], cwd=root, check=True, env=env, capture_output=True
        )
    photo(root / "new" / "one.jpg", seed=999)
    photo(root / "new" / "two.jpg", seed=998)
    (root / "new" / "broken.jpg").write_bytes((root / "new" / "one.jpg").read_bytes()[:300])
    return root


def test_every_photo_gets_an_answer_in_order_and_the_unreadable_one_its_reason(featx: Run, shop):
    ran = featx("predict", "new", "--json", "--any", "--top", "2", cwd=shop)
    assert ran.returncode == 0, ran.stderr
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [Path(row["file"]).name for row in rows] == ["broken.jpg", "one.jpg", "two.jpg"]
    assert "truncated" in rows[0]["error"] and rows[0]["category"] is None
    assert rows[1]["category"] in ("boots", "hats", "mugs") and 0 < rows[1]["sure"] <= 1
    assert rows[1]["top"][0]["category"] == rows[1]["category"] and len(rows[1]["top"]) == 2
    assert "broken.jpg" in ran.stderr


def test_a_known_photo_is_answered_from_the_store_without_the_network(featx: Run, shop):
    ran = featx("predict", "photos/mugs/mugs1.jpg", "-v", cwd=shop)
    assert "1 of 1 photos were in the store" in ran.stderr
    assert ran.stdout.split("\t")[1] == "mugs"


def test_below_the_asked_confidence_a_photo_is_left_to_a_person(featx: Run, shop):
    rows = [json.loads(line) for line in featx("predict", "new", "--json", "--sure", "1", cwd=shop).stdout.splitlines()]
    assert all(row["review"] for row in rows if row["category"])


def test_coverage_chooses_a_measured_threshold_and_says_what_it_buys(featx: Run, shop):
    ran = featx("predict", "new", "--coverage", "0.5", cwd=shop)
    assert ran.returncode == 0 and "% right" in ran.stderr
    both = featx("predict", "new", "--coverage", "0.5", "--sure", "0.3", cwd=shop)
    assert both.returncode == 2


def test_the_table_is_safe_in_a_spreadsheet_and_whole(featx: Run, shop):
    photo(shop / "odd" / "=cmd().jpg", seed=5)
    ran = featx("predict", "odd/=cmd().jpg", "new", "-o", "p.csv", cwd=shop)
    assert ran.returncode == 2, "files and folders together are refused"
    assert (
        featx(
            "predict", "=cmd().jpg", "-o", "p.csv", cwd=shop / "odd", FEATX_ARTIFACTS=str(shop / "artifacts")
        ).returncode
        == 0
    )
    with (shop / "odd" / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["file"] == "'=cmd().jpg"
    assert featx("predict", "new", "-o", "p.exe", cwd=shop).returncode == 2


def test_sorting_into_folders_plans_first_then_copies_and_does_it_only_once(featx: Run, shop, tmp_path):
    target = tmp_path / "sorted"
    plan = featx("predict", "new", "--any", "--sort-into", str(target), "--dry-run", cwd=shop)
    assert plan.returncode == 0 and not target.exists() and "2 photos would go" in plan.stderr
    done = featx("predict", "new", "--any", "--sort-into", str(target), cwd=shop)
    assert done.returncode == 0
    names = sorted(path.name for path in target.rglob("*.jpg"))
    assert names == ["one.jpg", "two.jpg"]
    again = featx("predict", "new", "--any", "--sort-into", str(target), cwd=shop)
    assert "2 of them were there" in again.stderr
    assert sorted(path.name for path in target.rglob("*.jpg")) == names


def test_no_category_name_can_climb_out_of_the_folder(tmp_path):
    source = photo(tmp_path / "a.jpg")
    for label in ("../../etc", "/etc", "a/../../b", "..", "C:\\x", ""):
        move = next(planned([Prediction(Item("a", str(source)), ((label, 1.0),))], tmp_path / "sorted"))
        assert (tmp_path / "sorted").resolve() in move.target.resolve().parents


def test_equal_names_never_overwrite_one_another(tmp_path):
    a, b = photo(tmp_path / "x" / "a.jpg", 1), photo(tmp_path / "y" / "a.jpg", 2)
    found = [Prediction(Item(str(path), str(path)), (("mugs", 1.0),)) for path in (a, b)]
    assert len({move.target for move in planned(found, tmp_path / "sorted")}) == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [(["nothere.jpg"], 2), (["new", "--clf", "svn"], 4), (["new", "--clf", "x/y.skops"], 4), (["new", "-n"], 2)],
)
def test_wrong_input_is_a_sentence(featx: Run, shop, words, code):
    ran = featx("predict", *words, cwd=shop)
    assert ran.returncode == code and "error:" in ran.stderr and "Traceback" not in ran.stderr and not ran.stdout


def test_without_a_classifier_it_says_to_train_one(featx: Run, folder):
    ran = featx("predict", str(folder))
    assert ran.returncode == 4 and "featx fit" in ran.stderr


def test_known_photos_are_familiar_and_others_are_not():
    random = np.random.default_rng(0)
    known = np.abs(random.normal(size=(300, 40))) * (np.arange(40) < 20)
    others = np.abs(random.normal(size=(50, 40))) * (np.arange(40) >= 20)
    labels = [f"c{i % 3}" for i in range(300)]
    familiar = familiar_with(known, grouped_folds(labels, np.arange(300), 5, 0))
    assert familiar.strange(known).mean() <= 0.02
    assert familiar.strange(others).all()


def test_an_impossible_coverage_is_refused():
    with pytest.raises(FeatxError):
        limit_for(SimpleNamespace(card={}), 0.9)


def test_from_python_the_answers_are_those_of_the_command(featx: Run, shop, monkeypatch):
    import featx as library

    monkeypatch.chdir(shop)
    found = library.predict("new", top=2, unlike=False)
    told = [json.loads(line) for line in featx("predict", "new", "--json", "--any", cwd=shop).stdout.splitlines()]
    assert [(one.item.path, one.label or None) for one in found] == [(one["file"], one["category"]) for one in told]
    assert all(len(one.top) == 2 for one in found if not one.unreadable)
    with pytest.raises(FeatxError) as caught:
        library.predict("new", "nowhere.skops")
    assert caught.value.code == "no-model"
