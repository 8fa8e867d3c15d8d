"""Training a classifier: honest scores, and every setting on the card."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from featx.classifiers.fit import fit
from featx.classifiers.kinds import CLASSIFIERS, NAMES
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.errors import FeatxError
from featx.extraction import extract
from featx.metrics.scores import wilson
from tests.conftest import photo


def test_the_card_tells_scores_that_can_be_computed_again(store, model):
    held = [i for i, split in enumerate(store.splits) if split == "test"]
    right = float((model.predict(store.features[held]) == np.array(store.labels)[held]).mean())
    assert model.card.test.accuracy == pytest.approx(right, abs=1e-4)
    assert model.card.fingerprint["backbone"] == "colour"
    assert "Classifier(svm" in repr(model)
    shown = replace(model, settings=ClassifierSettings("<script>"))._repr_html_()
    assert "<table>" in shown and "<script>" not in shown and f"{model.card.test.accuracy:.1%}" in shown


def test_another_level_of_categories_is_a_column_or_a_number_of_path_parts(store):
    assert set(fit(store, "centroid", folds=2, level="kind").classes) == {"worn", "used"}
    with pytest.raises(FeatxError, match="no column `knd`") as caught:
        fit(store, "centroid", level="knd")
    assert "kind" in caught.value.hint


def test_tuning_and_reduction_and_weights_go_into_the_settings_of_the_card(store):
    card = fit(store, "logreg", folds=2, tune=True, reduce=5, class_weight="balanced").card
    assert card.settings["reduce"] == 5 and card.settings["class_weight"] == "balanced" and card.tuned


@pytest.mark.parametrize("name", [*NAMES])
@pytest.mark.parametrize("reduce", ["lda", "none", 3])
def test_every_classifier_learns_in_any_reduction_and_says_which(store, name, reduce):
    recorded = fit(store, name, folds=2, reduce=reduce).card.settings["reduce"]
    assert recorded == reduce


def test_most_classifiers_learn_in_the_directions_that_tell_categories_apart(store):
    separated = {name for name in NAMES if CLASSIFIERS[name].reduction == "lda"}
    fits = {name: fit(store, name, folds=2) for name in NAMES}
    assert {name for name, model in fits.items() if "ldaprojection" in model.pipeline.named_steps} == separated
    for name in separated:
        assert fits[name].pipeline.named_steps["ldaprojection"].directions_.shape[1] == len(fits[name].classes) - 1
        assert fits[name].card.settings["reduce"] == "lda"


def test_resampling_lets_rare_categories_count_as_much_as_balanced_weights_do(store):
    random = np.random.default_rng(0)
    labels = np.array(["rare"] * 40 + ["usual"] * 400)
    x = (random.normal(size=(440, 6)) + (labels == "rare")[:, None] * 0.7 + 3).astype(np.float32)
    rare = {
        what: (train_classifier(ClassifierSettings("logreg", 1.0, **settings), x, labels).predict(x) == "rare").mean()
        for what, settings in {
            "plain": {},
            "weights": {"class_weight": "balanced"},
            "again": {"resample": True},
        }.items()
    }
    assert rare["plain"] < 0.1 < rare["again"] and abs(rare["again"] - rare["weights"]) < 0.05
    card = fit(store, "knn", folds=2, resample=True).card
    assert card.settings["resample"] is True and "resample" not in fit(store, "knn", folds=2).card.settings


def test_in_cross_validation_too_the_pictures_of_a_product_stand_or_fall_together(tmp_path):
    for product in range(4):
        for kind in ("a", "b"):
            for shot in range(3):
                photo(tmp_path / f"p/{kind}/{kind}{product}_{shot}.jpg", seed=10 * product + (kind == "b"))
    made = fit(extract(tmp_path / "p", backbone="colour", store=tmp_path / "s.h5"), "knn", folds=2)
    low, high = made.card.cv.ci95
    alone = wilson(made.card.cv.accuracy * 24, 24)
    assert high - low > alone.high - alone.low + 0.05
