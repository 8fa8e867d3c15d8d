"""A classifier is one record: whoever adds one gets training, tuning, saving, loading and the command line with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from featx.classifiers.fit import fit
from featx.classifiers.kinds import CLASSIFIERS, NAMES, known_name, names_of, register
from featx.classifiers.model import Classifier
from featx.classifiers.pipelines import scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings, ClassifierSpec, Grid, numbers
from featx.classifiers.tuning import wide_grid
from featx.errors import FeatxError


class NearestMean(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The nearest mean, each as important as a power of how near it is."""

    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def fit(self, X: Any, y: Any) -> Self:
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        away = ((np.asarray(X)[:, None] - self.means_) ** 2).sum(axis=2)
        return np.asarray(-self.power * away if len(self.classes_) > 2 else away[:, 0] - away[:, 1])

    def predict(self, X: Any) -> np.ndarray:
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]


def _toy(settings: ClassifierSettings) -> Any:
    return NearestMean(settings.strength or 1.0)


def _fault(step: Any, width: int) -> str | None:
    return "its means are negative" if step.means_.max() < 0 else None


TOY = ClassifierSpec(
    "toy",
    "the nearest mean",
    _toy,
    {"means_": numbers("classes", "in")},
    _fault,
    aliases=("mean",),
    parallel_folds=True,
    strength_name="power",
    grid=Grid((1.0, 2.0), (0.5, 1.0, 2.0, 4.0)),
    reductions=("none", "lda"),
)


@pytest.fixture
def toy() -> Iterator[ClassifierSpec]:
    register(TOY)
    yield TOY
    del CLASSIFIERS["toy"]


def test_one_record_is_all_it_takes_to_train_save_and_load_another_classifier(toy, store, tmp_path):
    made = fit(store, "mean", folds=2)
    assert made.name == "toy" and made.card.settings["power"] in (1.0, 2.0)
    made.save(tmp_path / "toy.safetensors")
    again = Classifier.load(tmp_path / "toy.safetensors")
    assert np.array_equal(again.predict_proba(store.features), made.predict_proba(store.features))
    assert again.settings == made.settings or again.settings.threads == -1
    assert type(again.pipeline[-1]) is NearestMean


def test_one_record_is_all_it_takes_to_tune_it_and_to_name_it(toy, store):
    assert {candidate.reduction for candidate in wide_grid(ClassifierSettings("toy"), 99)} == {"none", "lda"}
    assert fit(store, "toy", folds=2, tune=True).card.tuned is True
    assert names_of("mean,svm") == ["toy", "svm"] and "toy" in names_of("all")


def test_a_file_of_a_classifier_that_is_not_registered_is_refused(store, tmp_path):
    register(TOY)
    try:
        fit(store, "toy", folds=2).save(tmp_path / "toy.safetensors")
    finally:
        del CLASSIFIERS["toy"]
    with pytest.raises(FeatxError, match="`toy`, which this featx does not know") as refused:
        Classifier.load(tmp_path / "toy.safetensors")
    assert refused.value.code == "model-broken"


def test_several_classifiers_are_named_with_commas_and_all_is_every_one():
    assert names_of("svm, forest,svm") == ["svm", "rf"] and names_of(["knn", "lda,knn"]) == ["knn", "lda"]
    assert names_of("all") == list(NAMES)
    with pytest.raises(FeatxError, match="no classifier was named"):
        names_of(" , ")


def test_names_have_shorthands_and_a_typo_gets_the_nearest():
    assert known_name("forest") == "rf"
    with pytest.raises(FeatxError) as caught:
        known_name("svn")
    assert "svm" in caught.value.hint


def test_lda_knows_a_photo_that_lies_nearer_to_the_middle_of_all_than_those_it_learned_from():
    """Photos from elsewhere do: what they share with all others weighs more in their features."""
    random = np.random.default_rng(3)
    means = random.normal(size=(6, 40))
    rows = np.repeat(means, 30, axis=0) + random.normal(scale=0.6, size=(180, 40)) + 4
    names = np.repeat(list("abcdef"), 30)
    shares = {}
    for reduce in ("lda", "none"):
        pipeline = train_classifier(ClassifierSettings("lda", 0.2, reduce=reduce), rows.astype(np.float32), names)
        paler = rows.mean(axis=0) + 0.3 * (rows - rows.mean(axis=0))
        assert (pipeline.predict(rows.astype(np.float32)) == names).mean() > 0.95
        scores = np.sort(scores_of(pipeline, paler.astype(np.float32), list("abcdef")), axis=1)
        usual = np.sort(scores_of(pipeline, rows.astype(np.float32), list("abcdef")), axis=1)
        shares[reduce] = (scores[:, -1] - scores[:, -2]).mean() / (usual[:, -1] - usual[:, -2]).mean()
    # The lead of the best category shrinks less than the photo's distance from the middle.
    assert shares["lda"] > 0.5 > shares["none"]
