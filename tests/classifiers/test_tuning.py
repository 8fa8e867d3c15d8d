"""The search for a setting: everything that matters is tried, what is shared is exact, no scored photo has a say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.classifiers import cross_validation, tuning
from featx.classifiers.fit import fit
from featx.classifiers.kinds import CLASSIFIERS, forests
from featx.classifiers.pipelines import build, oversample, train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.classifiers.tuning import answers, best, wide_grid
from featx.extraction import extract
from tests.conftest import photo


def rows(seed: int = 0, n: int = 240, width: int = 20, classes: int = 4):
    """Points around a few centres, and names for them."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, n)
    x = np.abs(random.normal(size=(classes, width))[truth] + random.normal(size=(n, width))).astype(np.float32)
    return x, np.array([f"c{number}" for number in truth])


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("svm", {"strength", "reduce"}),
        ("logreg", {"strength", "reduce"}),
        ("lda", {"strength", "reduce"}),
        ("knn", {"strength", "reduce"}),
        ("svm-rbf", {"strength", "width", "reduce"}),
        ("rf", {"strength", "depth", "tried", "reduce"}),
        ("extra-trees", {"strength", "depth", "tried", "reduce"}),
        ("centroid", set()),
    ],
)
def test_the_search_covers_strength_kernel_width_depth_and_reduction(name, what):
    candidates = wide_grid(ClassifierSettings(name), 100)
    assert len(candidates) == len(set(candidates)) and all(candidate.name == name for candidate in candidates)
    varied = {
        key
        for key in ClassifierSettings.__dataclass_fields__
        if len({getattr(candidate, key) for candidate in candidates}) > 1
    }
    assert varied == what
    assert {candidate.reduction for candidate in candidates} <= {"lda", "none", 64}, "a reduction leaves something out"
    assert candidates[0].reduction == ClassifierSettings(name).reduction, (
        "the usual one comes first, and is kept in a tie"
    )
    for reduce in (7, "lda", "none"):
        assert {candidate.reduce for candidate in wide_grid(ClassifierSettings(name, reduce=reduce), 100)} == {
            reduce
        }, "what was asked for is not searched"


@pytest.mark.parametrize("resample", [True, pytest.param(False, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ["svm", "logreg", "lda", "knn", "svm-rbf", "centroid"])
def test_what_the_search_shares_gives_the_answers_of_training_each_alone(name, resample, monkeypatch):
    if CLASSIFIERS[name].reductions:
        monkeypatch.setitem(CLASSIFIERS, name, replace(CLASSIFIERS[name], reductions=("lda", "none", 8, 3)))
    x, y = rows()
    other, _ = rows(1, 400)
    candidates = wide_grid(ClassifierSettings(name, threads=1, resample=resample), 20)
    random = np.random.default_rng(0)
    some = [candidates[i] for i in np.sort(random.permutation(len(candidates))[:12])]
    predicted = answers(some, x, y, other)
    for candidate, says in zip(some, predicted, strict=True):
        alone = train_classifier(candidate, x, y).predict(other)
        assert (says == alone).mean() >= 0.99, candidate


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 100))
def test_repeated_rows_make_every_category_as_frequent_and_none_is_left_out(labels, seed):
    labels = np.array(labels)
    rows = oversample(labels, seed)
    times = np.bincount(rows, minlength=len(labels))
    _, counts = np.unique(labels[rows], return_counts=True)
    assert set(counts.tolist()) == {max(np.bincount(labels).tolist())} and times.min() >= 1
    for category in set(labels.tolist()):
        own = times[labels == category]
        assert own.max() - own.min() <= 1, "no photo counts for much more than another of its category"
    np.testing.assert_array_equal(rows, oversample(labels, seed))


def test_forests_in_the_search_are_the_ones_that_would_be_grown():
    x, y = rows()
    other, _ = rows(1)
    recipe = ClassifierSettings("extra-trees", 2, threads=1, tried=0.2, reduce="none")
    (says,) = answers([recipe], x, y, other)
    forest = build(recipe)[-1].set_params(n_estimators=forests.SEARCH_TREES).fit(x, y)
    np.testing.assert_array_equal(says, forest.predict(other))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_winner_is_never_behind_another_that_went_on_and_ties_go_to_the_usual_one(seed):
    random = np.random.default_rng(seed)
    candidates = [ClassifierSettings("svm", float(i + 1)) for i in range(20)]
    skill = random.integers(0, 5, 20)
    x, y = np.zeros((11, 1)), np.array(["b", "c"] * 3 + ["a"] * 5)
    folds = [(np.arange(6), np.arange(6, 11))] * 3
    tried = []

    def predicted(several, *rows):
        tried.append(len(several))
        correct = [skill[int(candidate.strength) - 1] for candidate in several]
        # As many of the scored rows are right as the candidate has skill.
        return [np.array(["x"] * (5 - right) + ["a"] * right) for right in correct]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "answers", predicted)
        winner = best(candidates, x, y, folds)
    assert winner == candidates[int(skill.argmax())]
    assert tried == [20, 7, 6]


def test_no_scored_picture_has_a_say_in_the_setting_of_its_fold(tmp_path, monkeypatch):
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for item in range(8):
            photo(tmp_path / "photos" / category / f"{item}.jpg", seed=100 * c + item)
    store = extract(tmp_path / "photos", backbone="colour", store=tmp_path / "store.h5")
    searched, scored = [], []
    search, score = tuning.best, cross_validation.score_fold

    def watched(candidates, x, y, folds, advance):
        searched.append({row.tobytes() for row in x})
        return search(candidates, x, y, folds, advance)

    def noted(recipe, x, y, fold, classes):
        scored.append({row.tobytes() for row in x[fold[1]]})
        return score(recipe, x, y, fold, classes)

    monkeypatch.setattr(cross_validation, "best", watched)
    monkeypatch.setattr(cross_validation, "score_fold", noted)
    fit(store, "svm-rbf", folds=4, tune=True, threads=1)
    assert len(scored) == 4 and len(searched) == 5
    assert all(not mine & seen for mine, seen in zip(scored, searched, strict=False))


@pytest.mark.parametrize("name", ["svm-rbf", "knn", pytest.param("extra-trees", marks=pytest.mark.long)])
def test_what_was_found_stands_on_the_card(tmp_path, name):
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for item in range(6):
            photo(tmp_path / "photos" / category / f"{item}.jpg", seed=100 * c + item % 3)
    store = extract(tmp_path / "photos", backbone="colour", store=tmp_path / "store.h5")
    settings = fit(store, name, folds=2, tune=True, threads=1).card.settings
    names = {"svm-rbf": {"C", "kernel width"}, "knn": {"neighbours"}, "extra-trees": {"smallest leaf"}}
    assert names[name] <= set(settings)
