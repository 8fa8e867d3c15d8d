"""`featx fit` as people type it: levels, wrong values, what it prints and how it ends."""

from __future__ import annotations

import json

import pytest

from featx.classifiers.kinds import NAMES
from featx.classifiers.model import load_classifier
from featx.classifiers.registry import newest_classifier
from tests.conftest import Run, photo

pytestmark = pytest.mark.usefixtures("few_trees")


def test_fit_in_a_shop_without_categories_says_what_to_do(featx: Run, tmp_path):
    photo(tmp_path / "flat" / "a.jpg")
    photo(tmp_path / "flat" / "b.jpg", seed=1)
    assert featx("extract", "flat", "-b", "colour").returncode == 0
    ran = featx("fit")
    assert ran.returncode == 3 and "category" in ran.stderr and "Traceback" not in ran.stderr


def test_fit_all_trains_every_classifier_and_update_keeps_what_is_not_worse(featx: Run, folder, tmp_path):
    assert featx("extract", str(folder), "-b", "colour").returncode == 0
    ran = featx("fit", "--clf", "all", "--folds", "2")
    assert ran.returncode == 0, ran.stderr
    best = next(line for line in ran.stderr.splitlines() if "most accurate" in line).split(":")[1].split(",")[0].strip()
    assert newest_classifier(tmp_path / "artifacts/models").stem == best
    assert {path.stem for path in (tmp_path / "artifacts/models").glob("*.safetensors")} == set(NAMES)
    report = json.loads(featx("fit", "--clf", "svm", "--folds", "2", "--update", "--json").stdout)
    assert report["update"]["replace"] is True and "cross-validation" in report["update"]["sentence"]


def test_a_limit_that_is_not_reached_ends_with_code_7(featx: Run, folder):
    featx("extract", str(folder), "-b", "colour")
    ran = featx("fit", "--folds", "2", "--min-accuracy", "1", "--clf", "knn", "--seed", "1")
    assert ran.returncode in (0, 7)
    assert (ran.returncode == 7) == ("below the limit" in ran.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ["--clf", "svn"],
        ["--class-weight", "heavy"],
        ["--class-weight", "balanced", "--clf", "knn"],
        ["--kernel", "rfb"],
        ["--reduce", "pca"],
        ["--reduce", "0"],
        ["--reduce", "2.5"],
        ["--test", "tset"],
        ["--level", "x"],
    ],
)
def test_a_wrong_value_is_an_error_with_a_hint(featx: Run, folder, words):
    featx("extract", str(folder), "-b", "colour")
    ran = featx("fit", *words)
    assert ran.returncode == 2 and "hint:" in ran.stderr and not ran.stdout


def test_any_level_of_nested_folders_is_fitted_asked_and_compared(featx: Run, tmp_path):
    for c, category in enumerate(["Fruit/Apple/Red", "Fruit/Apple/Green", "Fruit/Pear/Green", "Packages/Milk/Low-Fat"]):
        for shot in range(4):
            photo(tmp_path / "photos" / category / f"{c}-{shot}.jpg", seed=10 * c + shot)
    assert featx("extract", "photos", "--label-from", "path", "-b", "colour").returncode == 0
    for level, wanted in (("1", {"Fruit", "Packages"}), ("2", {"Fruit/Apple", "Fruit/Pear", "Packages/Milk"})):
        ran = featx("fit", "--clf", "centroid", "--folds", "2", "--level", level)
        assert ran.returncode == 0, ran.stderr
        path = tmp_path / "artifacts" / "models" / f"centroid-{level}.safetensors"
        assert set(load_classifier(path).classes) == wanted
        rows = [json.loads(line) for line in featx("predict", "photos", "--any", "--json").stdout.splitlines()]
        assert {row["category"] for row in rows} <= wanted
        ran = featx("compare", "--clf", "centroid", "--folds", "2", "--level", level, "--fast", "--no-colour", "--json")
        assert json.loads(ran.stdout)["stores"][0]["categories"] == sorted(wanted)
    fine = json.loads(featx("compare", "--clf", "knn", "--folds", "2", "--fast", "--no-colour", "--json").stdout)
    assert fine["entries"][0]["coarse"]["level"] == "the folder above"
    assert fine["entries"][0]["coarse"]["cv"]["mean"] >= fine["entries"][0]["cv"]["accuracy"]["mean"]


def test_two_columns_are_two_levels(featx: Run, tmp_path):
    lines = ["path,kind,family"]
    for c, (kind, family) in enumerate([("boots", "feet"), ("shoes", "feet"), ("mugs", "table")]):
        for shot in range(4):
            photo(tmp_path / f"{kind}{shot}.jpg", seed=10 * c + shot)
            lines.append(f"{kind}{shot}.jpg,{kind},{family}")
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    assert featx("extract", "list.csv", "--label-col", "kind", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "centroid", "--folds", "2", "--level", "family", "-q").returncode == 0
    path = tmp_path / "artifacts" / "models" / "centroid-family.safetensors"
    assert set(load_classifier(path).classes) == {"feet", "table"}
    words = ["--clf", "knn", "--folds", "2", "--coarse", "family", "--fast", "--no-colour", "--json"]
    coarse = json.loads(featx("compare", *words).stdout)["entries"][0]["coarse"]
    assert coarse["level"] == "family" and coarse["classes"] == 2


def test_pictures_of_one_category_are_no_score_of_telling_apart(featx: Run, tmp_path):
    for kind, products, split in (("a", 6, "train"), ("b", 1, "train"), ("a", 8, "test")):
        for product in range(products):
            photo(tmp_path / f"p/{split}/{kind}/{kind}{split}{product}.jpg", seed=10 * product + ord(kind))
    assert featx("extract", "p", "-b", "colour").returncode == 0
    ran = featx("fit", "--clf", "knn")
    assert "all held-out photos are of one category" in ran.stderr
    assert "fewer than two categories have 5 products" in ran.stdout and "100.0%    (" not in ran.stdout.split("\n")[1]
    assert "all these photos are of one category" in featx("evaluate").stderr
    assert featx("extract", "p/train", "-b", "colour", "--store", "train.h5").returncode == 0
    ran = featx("compare", "--clf", "knn", "--store", "train.h5", "--fast")
    assert ran.returncode == 3 and "all categories but one have a single product" in " ".join(ran.stderr.split())


def test_every_block_names_its_classifier_where_several_are_trained(featx: Run, folder):
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    lines = featx("fit", "--clf", "centroid,knn", "--folds", "2", "-q").stdout.splitlines()
    assert [line for line in lines if line.endswith(":")] == ["centroid:", "knn:"]
    assert "knn:" not in featx("fit", "--clf", "knn", "--folds", "2", "-q").stdout
