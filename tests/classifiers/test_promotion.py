"""When a new classifier takes the place of the saved one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from featx.classifiers.fit import fit
from featx.classifiers.model import save
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.promotion import decide_promotion
from featx.classifiers.spec import ClassifierSettings
from featx.store import Store
from tests.classifiers.conftest import cross_validated, with_card
from tests.conftest import photo


def test_a_clearly_worse_classifier_does_not_replace_the_saved_one_and_an_equal_one_does(
    store, model, tmp_path, monkeypatch
):
    save(model, tmp_path / "svm.safetensors")
    same = decide_promotion(tmp_path / "svm.safetensors", model, store)
    assert same.replace and (same.better, same.worse, same.n, same.p) == (0, 0, 6, 1)
    other = dict(zip(model.classes, model.classes[1:] + model.classes[:1], strict=True))
    wrong = np.array([other[str(label)] for label in store.labels])
    confused = replace(model, pipeline=train_classifier(ClassifierSettings("svm"), store.features, wrong))
    # Six photos of three products stand or fall together: no test can tell, and the scores decide.
    few = decide_promotion(tmp_path / "svm.safetensors", confused, store)
    assert not few.replace and few.p > 0.05 and "too few products for a test" in few.sentence
    monkeypatch.setattr(Store, "product_of", lambda self, i: self.ids[i])
    verdict = decide_promotion(tmp_path / "svm.safetensors", confused, store)
    right = round(model.card.test.accuracy * 6)
    assert right == 6 and verdict.worse == 6 and not verdict.replace and verdict.p < 0.05
    assert f"{verdict.worse} broken" in verdict.sentence
    assert decide_promotion(tmp_path / "none.safetensors", model, store).replace


def test_without_held_out_pictures_only_a_clear_fall_keeps_the_old_classifier_and_no_test_is_claimed(
    store, model, tmp_path
):
    save(with_card(model, cv=cross_validated(0.95, 0.93, 0.97)), tmp_path / "svm.safetensors")
    for scored, replaced in (((0.94, 0.90, 0.96), True), ((0.90, 0.88, 0.92), False)):
        new = with_card(model, held_out=["of no photo"], cv=cross_validated(*scored))
        verdict = decide_promotion(tmp_path / "svm.safetensors", new, store)
        assert verdict.replace is replaced and verdict.p is None and verdict.before == 0.95
        assert "each on the photos and labels of its day" in verdict.sentence


def test_an_update_of_another_level_is_judged_by_that_level(store, tmp_path):
    made = fit(store, "centroid", folds=2, level="kind")
    save(made, tmp_path / "kind.safetensors")
    verdict = decide_promotion(tmp_path / "kind.safetensors", made, store)
    assert f"{made.card.test.accuracy:.1%}" in verdict.sentence


def test_an_old_classifier_that_stays_is_named_by_its_own_score(featx, tmp_path):
    for shot in range(8):
        for kind in ("a", "b", "c"):
            photo(tmp_path / f"p/{'test' if shot > 4 else 'train'}/{kind}/{kind}{shot}.jpg", seed=ord(kind))
    assert featx("extract", "p", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "knn,lda").returncode == 0
    # The labels learned from are moved one on: the new classifiers are always wrong.
    rows = ["path,label,split"]
    for path in sorted((tmp_path / "p").rglob("*.jpg")):
        kind, split = path.parent.name, path.parent.parent.name
        label = "bca"["abc".index(kind)] if split == "train" else kind
        rows.append(f"{path.relative_to(tmp_path)},{label},{split}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    assert featx("extract", "t.csv", "-b", "colour", "--store", "other.h5").returncode == 0
    ran = featx("fit", "--clf", "knn,lda", "--update", "--store", "other.h5", "--min-accuracy", "0.9")
    assert ran.stderr.count("kept the old classifier") == 2, ran.stderr
    assert "most accurate: knn, 100.0%" in ran.stderr and ran.returncode == 0
