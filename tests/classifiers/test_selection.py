"""`featx fit` without a name trains the classifier that is right most often in the folds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from featx.classifiers import selection
from featx.classifiers.cross_validation import FoldResults
from featx.classifiers.fit import fit
from featx.classifiers.persistence import save
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.promotion import publish
from featx.classifiers.selection import CANDIDATES, MANY, candidates_for
from featx.store import Store
from tests.conftest import Run


def test_the_classifier_that_is_right_most_often_in_the_folds_is_trained_and_all_trials_are_on_the_card(store: Store):
    chosen = fit(store, folds=2)
    trials = {trial.name: trial.correct for trial in chosen.card.tried}
    assert list(trials) == list(CANDIDATES)
    assert trials[chosen.name] == max(trials.values())
    alone = fit(store, chosen.name, folds=2)
    assert np.array_equal(chosen.predict_proba(store.features), alone.predict_proba(store.features))
    assert chosen.card.cv == alone.card.cv and not alone.card.tried


@pytest.mark.parametrize(("right", "winner"), [((9, 9, 8, 9), "svm"), ((7, 9, 9, 8), "logreg"), ((1, 2, 3, 4), "knn")])
def test_the_earlier_candidate_wins_a_tie(store: Store, monkeypatch, right, winner):
    def answered(training, settings, folds, *, tune, progress):
        scores = np.zeros((len(training.learn), len(training.classes)))
        truth = np.searchsorted(training.classes, training.labels[training.learn])
        correct = np.arange(len(truth)) < right[CANDIDATES.index(settings.name)]
        scores[np.arange(len(truth)), np.where(correct, truth, (truth + 1) % len(training.classes))] = 1
        return FoldResults([(np.arange(4), np.arange(4, 8))], scores, replace(settings, strength=1.0), 0.0)

    monkeypatch.setattr(selection, "cross_validate", answered)
    assert fit(store, folds=2).name == winner


def test_what_takes_minutes_is_not_tried_and_class_weights_narrow_the_choice():
    assert candidates_for(MANY) == list(CANDIDATES)
    assert set(candidates_for(MANY + 1)) < set(CANDIDATES)
    assert "knn" not in candidates_for(10, class_weight=True) and "svm" in candidates_for(10, class_weight=True)


def test_the_command_names_what_it_tried_and_saves_the_winner_under_its_name(featx: Run, folder, tmp_path):
    assert featx("extract", str(folder), "-b", "colour").returncode == 0
    ran = featx("fit", "--folds", "2")
    assert ran.returncode == 0, ran.stderr
    line = next(line for line in ran.stdout.splitlines() if line.startswith("tried"))
    winner = line.split("; ")[1].split()[0]
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
