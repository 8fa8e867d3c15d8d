"""Views of photos as more rows to learn from, and answers averaged over views."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import featx
from featx.backbones.fingerprint import Fingerprint
from featx.classifiers import cross_validation
from featx.classifiers.cross_validation import cross_validate
from featx.classifiers.selection import gain_of_views
from featx.classifiers.spec import ClassifierSettings
from featx.labels.training_set import training_set_of
from featx.prediction import predict
from featx.prediction.predict import mean_of_views
from featx.store import Row, Store, StoreWriter, open_store

VIEWS = 4
real = mean_of_views


def store_of(path: Path, n: int = 240, width: int = 40) -> Store:
    """Photos of six categories in much noise, of which each view has another share."""
    random = np.random.default_rng(0)
    kinds = np.arange(n) % 6
    signal = np.zeros((n, 1, width))
    signal[np.arange(n), 0, kinds] = 2.5
    rows = (signal + random.normal(size=(n, VIEWS, width))).astype(np.float32)
    made = Fingerprint.from_dict({"backbone": "drawn", "width": width, "views": VIEWS})
    with StoreWriter.open(path, made) as writer:
        writer.append([
            Row(f"i{i}", f"{i}.jpg", f"{i:064x}", f"kind{kinds[i]}", None, None, {}, rows[i]) for i in range(n)
        ])  # fmt: skip
        writer.seal()
    return open_store(path)


def test_views_are_learned_from_where_they_help_and_the_card_says_so(tmp_path):
    store = store_of(tmp_path / "a.h5")
    model = featx.fit(store, "lda", folds=2)
    alone, more, averaged = model.card.tried
    assert [trial.name for trial in model.card.tried] == [
        "lda",
        "lda from 4 views",
        "lda from 4 views, averaged over 4",
    ]
    assert more.chosen and more.correct > alone.correct and (more.p or 1) < 0.05
    assert averaged.correct >= more.correct and not averaged.chosen
    assert model.settings.views == VIEWS and model.card.settings["views"] == VIEWS
    assert "with, in the folds of fit (4 views)" in gain_of_views(model.card)
    model.save(tmp_path / "lda.safetensors")
    read = featx.Classifier.load(tmp_path / "lda.safetensors")
    np.testing.assert_array_equal(read.predict_proba(store.features), model.predict_proba(store.features))


def test_the_views_of_a_photo_are_on_one_side_of_every_fold_and_never_scored(tmp_path, monkeypatch):
    store, learned = store_of(tmp_path / "a.h5", 60), []

    def train(settings, views, labels):
        learned.append(views)
        return trained(settings, views, labels)

    trained = cross_validation.train_on_views
    monkeypatch.setattr(cross_validation, "train_on_views", train)
    results = cross_validate(training_set_of(store), ClassifierSettings("lda", views=VIEWS), 3)
    assert results.scores.shape == (60, 6) and len(learned) == 3
    for views in learned:
        assert any(np.array_equal(views, store.all_views[learn]) for learn, _ in results.folds)


def test_one_view_is_no_trial(tmp_path, colour_shop):
    card = featx.fit(colour_shop, "lda", folds=2).card
    assert not card.tried and "views" not in card.settings
    assert "not measured" in gain_of_views(card)


def test_the_answer_of_several_views_is_that_of_their_mean_score(tmp_path):
    store = store_of(tmp_path / "a.h5", 120)
    model = featx.fit(store, "lda", folds=2)
    shares = mean_of_views(model, store.all_views)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    single = model.predict_proba(store.features)
    np.testing.assert_allclose(mean_of_views(model, store.all_views[:, :1]), single)
    same = np.repeat(store.features[:, None], 3, axis=1)
    np.testing.assert_allclose(mean_of_views(model, same), single, atol=1e-6)


def test_predict_averages_flips_and_crops_of_a_new_photo(workplace, folder, monkeypatch):
    store = featx.extract(folder, backbone="colour")
    model, shapes = featx.fit(store, "lda", folds=2), []
    monkeypatch.setattr(
        predict, "mean_of_views", lambda used, rows, *more: (shapes.append(rows.shape), real(used, rows, *more))[1]
    )
    answers = featx.predict([store.paths[0]], model, views=3)
    assert answers[0].label == store.labels[0] and shapes[0][1:] == (3, store.width)
    assert featx.predict([store.paths[0]], model, store=store, views=3)[0].top == answers[0].top
