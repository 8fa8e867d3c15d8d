"""Which saved classifier belongs to which store."""

from __future__ import annotations

import json
from pathlib import Path

from featx.classifiers.model import load_classifier, save
from featx.classifiers.registry import archive_same_name, latest_for_store
from tests.classifiers.conftest import with_card
from tests.conftest import Run, photo


def test_a_namesake_is_kept_once_for_each_store_it_was_trained_on(store, model, tmp_path):
    path = tmp_path / "svm.safetensors"
    for trained_on in ("a.h5", "b.h5", "a.h5", "b.h5"):
        kept = archive_same_name(path, Path(trained_on), None)
        save(with_card(model, store=trained_on), path)
    assert kept == tmp_path / "svm-a.safetensors"
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == [
        "svm-a.safetensors",
        "svm-b.safetensors",
        "svm.safetensors",
    ]
    assert latest_for_store(tmp_path, Path("a.h5")) == tmp_path / "svm-a.safetensors"
    assert latest_for_store(tmp_path, Path("b.h5")).name in ("svm.safetensors", "svm-b.safetensors")
    assert archive_same_name(path, Path("b.h5"), None) is None


def test_a_classifier_of_another_store_is_kept_and_each_store_is_answered_by_its_own(featx: Run, folder, tmp_path):
    for i, category in enumerate(["bowls", "vases"]):
        for shot in range(4):
            photo(tmp_path / "shop b" / category / f"{category}{shot}.jpg", seed=100 + 10 * i + shot)
    models = tmp_path / "artifacts/models"
    for photos, store in (("photos", "a.h5"), ("shop b", "b.h5")):
        assert featx("extract", photos, "-b", "colour", "--store", store).returncode == 0
    assert featx("fit", "--clf", "centroid", "--folds", "2", "-s", "a.h5").returncode == 0
    ran = featx("fit", "--clf", "centroid", "--folds", "2", "-s", "b.h5")
    assert "trained on another store: artifacts/models/centroid-a.safetensors" in ran.stderr, ran.stderr
    assert set(load_classifier(models / "centroid.safetensors").classes) == {"bowls", "vases"}
    assert set(load_classifier(models / "centroid-a.safetensors").classes) == {"boots", "hats", "mugs"}

    def answers(*words: str) -> set[str]:
        ran = featx("predict", "photos/boots/boots1.jpg", "--any", "--json", *words)
        return {json.loads(line)["category"] for line in ran.stdout.splitlines()}

    assert answers("-s", "b.h5") <= {"bowls", "vases"} and answers("-s", "a.h5") == {"boots"}
    ran = featx("predict", "photos/boots/boots1.jpg", "-s", "a.h5", "--clf", "centroid")
    assert "trained on b.h5" in ran.stderr
    assert "models/centroid-a.safetensors" in featx("suggest", "-s", "a.h5", "-v").stderr
