"""A classifier is stale as soon as its store teaches something else, and only then."""

from __future__ import annotations

import json

from featx.classifiers.freshness import digest_of_lessons
from tests.conftest import Run, photo


def stale(featx: Run) -> str | None:
    (model,) = json.loads(featx("info", "--json").stdout)["models"]
    return model["stale"]


def test_info_names_the_classifiers_whose_store_has_changed_and_what_they_learned_from(featx: Run, folder, tmp_path):
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "centroid", "--folds", "2").returncode == 0
    shown = featx("info").stdout
    assert "trained on 12 photos in 3 categories of artifacts/embeddings/colour.h5" in shown and "stale" not in shown
    # The same photos and categories in another order, or a photo without a category, change nothing.
    (folder / "boots/boots0.jpg").rename(folder / "boots/z.jpg")
    photo(folder / "nobody knows.jpg", seed=99)
    assert featx("extract", "photos", "-b", "colour", "--prune").returncode == 0
    assert stale(featx) is None
    assert "12 unlabelled" not in featx("info").stdout and "1 unlabelled photo" in featx("info").stdout
    (folder / "hats/hats0.jpg").rename(folder / "mugs/hats0.jpg")
    assert featx("extract", "photos", "-b", "colour", "--prune").returncode == 0
    assert stale(featx) == "photos or labels of its store have changed since"
    photo(folder / "mugs/new.jpg", seed=50)
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    assert stale(featx) == "its store now has 13 photos to learn from, and it learned from 12"
    shown = featx("info").stdout
    assert "train it again: `featx fit --clf centroid --store artifacts/embeddings/colour.h5 --folds 2`" in shown
    assert featx("fit", "--clf", "centroid", "--folds", "2").returncode == 0
    assert stale(featx) is None


def test_a_decision_about_a_label_makes_a_classifier_stale_and_a_lost_store_is_named(featx: Run, folder, tmp_path):
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "centroid", "--folds", "2").returncode == 0
    (tmp_path / "d.csv").write_text("id,decision,new_label\nboots1,change,hats\n")
    assert featx("issues", "--apply", "d.csv").returncode == 0
    assert stale(featx) == "photos or labels of its store have changed since"
    assert featx("extract", "photos", "-b", "colour", "-s", "other.h5").returncode == 0
    (tmp_path / "artifacts/embeddings/colour.h5").unlink()
    (model,) = json.loads(featx("info", "--json", "-s", "other.h5").stdout)["models"]
    assert model["stale"].startswith("its store cannot be used: no store at")


def test_lessons_in_another_order_are_the_same_lessons():
    lessons = [("aa", "hats"), ("bb", "mugs")]
    assert digest_of_lessons(lessons) == digest_of_lessons(lessons[::-1])
    assert digest_of_lessons(lessons) != digest_of_lessons([("aa", "mugs"), ("bb", "hats")])
