"""`featx fit` without a name trains the classifier that is right most often in the folds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from featx.classifiers import selection
from featx.classifiers.cross_validation import FoldResults
from featx.classifiers.fit import fit
from featx.classifiers.model import Classifier, save
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.promotion import publish
from featx.classifiers.selection import CANDIDATES, MANY, candidates_for, choose
from featx.classifiers.spec import ClassifierSettings
from featx.labels.training_set import training_set_of
from featx.store import Store, open_store
from tests.conftest import Run
from tests.retrieval.test_search import make_store


def test_the_chosen_classifier_is_the_one_that_its_name_trains_and_all_trials_are_on_the_card(store: Store):
    chosen = fit(store, folds=2)
    assert [trial.name for trial in chosen.card.tried] == list(CANDIDATES)
    assert [trial.name for trial in chosen.card.tried if trial.chosen] == [chosen.name]
    alone = fit(store, chosen.name, folds=2)
    assert np.array_equal(chosen.predict_proba(store.features), alone.predict_proba(store.features))
    assert chosen.card.cv == alone.card.cv and not alone.card.tried


@pytest.mark.parametrize(
    ("right", "winner"), [((20, 20, 19, 20), "lda"), ((19, 20, 20, 20), "lda"), ((10, 11, 20, 21), "knn")]
)
def test_another_candidate_is_chosen_only_if_it_is_clearly_better_than_the_first(
    store: Store, monkeypatch, right, winner
):
    def answered(training, settings, folds, *, tune, progress=None):
        scores = np.zeros((len(training.learn), len(training.classes)))
        truth = np.searchsorted(training.classes, training.labels[training.learn])
        correct = np.arange(len(truth)) < right[CANDIDATES.index(settings.name)]
        scores[np.arange(len(truth)), np.where(correct, truth, (truth + 1) % len(training.classes))] = 1
        return FoldResults([(np.arange(4), np.arange(4, 8))], scores, replace(settings, strength=1.0))

    monkeypatch.setattr(selection, "cross_validate", answered)
    # Each photo a product of its own, so that the test has something to decide on.
    whole = training_set_of(store)
    alone = replace(whole, groups=np.arange(len(whole.learn)))
    results, trials = choose(alone, ClassifierSettings(), CANDIDATES, 2)
    assert results.settings.name == winner == next(trial.name for trial in trials if trial.chosen)


def test_a_coarse_level_is_answered_by_finer_categories_where_that_is_clearly_better(store: Store, tmp_path):
    rng = np.random.default_rng(0)
    # Six fine categories on a circle, alternately of two coarse ones: no straight border parts the coarse ones.
    finer = np.repeat(np.arange(6), 10)
    around = np.column_stack([np.cos(finer), np.sin(finer), np.zeros((60, 14))])
    rows = (around + 0.08 * rng.normal(size=around.shape)).astype(np.float32)
    path = make_store(
        tmp_path / "s.h5",
        rows,
        [f"product {i}" for i in range(60)],
        [f"{'ab'[i % 2]}/{i}" for i in finer],
    )
    coarse = fit(open_store(path), "lda", level="1", folds=5)
    assert coarse.classes == ["a", "b"] and coarse.card.cv.accuracy > 0.95
    assert [trial.name for trial in coarse.card.tried] == ["lda", "lda on 6 finer categories"]
    assert coarse.card.tried[-1].chosen and coarse.card.settings["finer categories"] == 6
    coarse.save(tmp_path / "coarse.safetensors")
    loaded = Classifier.load(tmp_path / "coarse.safetensors")
    assert np.array_equal(loaded.predict_proba(rows), coarse.predict_proba(rows))


def test_what_takes_minutes_is_not_tried_and_class_weights_narrow_the_choice():
    assert candidates_for(MANY) == list(CANDIDATES)
    assert set(candidates_for(MANY + 1)) < set(CANDIDATES)
    assert "knn" not in candidates_for(10, class_weight=True) and "svm" in candidates_for(10, class_weight=True)


def test_the_command_names_what_it_tried_and_saves_the_winner_under_its_name(featx: Run, folder, tmp_path):
    assert featx("extract", str(folder), "-b", "colour").returncode == 0
    ran = featx("fit", "--folds", "2")
    assert ran.returncode == 0, ran.stderr
    line = next(line for line in ran.stdout.splitlines() if line.startswith("tried"))
    winner = line.split("; chosen: ")[1].split()[0]
    assert all(name in line for name in CANDIDATES)
    assert [path.stem for path in (tmp_path / "artifacts/models").glob("*.safetensors")] == [winner]
    record = json.loads(featx("fit", "--folds", "2", "--json").stdout)
    assert [trial["name"] for trial in record["tried"]] == list(CANDIDATES) and record["clf"] == winner


def test_a_chosen_classifier_replaces_the_one_in_use_only_if_it_is_not_worse_whatever_their_names(
    store: Store, model, tmp_path
):
    save(model, tmp_path / "svm.safetensors")
    chosen = fit(store, folds=2)
    other = dict(zip(model.classes, model.classes[1:] + model.classes[:1], strict=True))
    wrong = np.array([other[str(label)] for label in store.labels])
    worse = replace(chosen, pipeline=train_classifier(chosen.settings, store.features, wrong))
    publication = publish(worse, tmp_path / "other.safetensors", store, update=True)
    assert not publication.saved and not (tmp_path / "other.safetensors").exists()
