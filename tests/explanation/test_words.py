"""The columns beside a photo have their share, and the words that spoke are named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featx.backbones import open_backbone
from featx.classifiers.columns.of_store import columns_of
from featx.classifiers.fit import fit
from featx.classifiers.model import Classifier
from featx.explanation.explainer import Explainer
from featx.explanation.question import Question
from featx.explanation.words import encoded_columns, words_of_photo
from featx.prediction.predict import Predictor
from featx.store import Store
from tests.conftest import Run

NAMES = ["title", "price", "brand"]


@pytest.fixture(params=["averaged", "joined", "stacked"])
def model(carton_shop: Store, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Classifier:
    monkeypatch.setattr(
        "featx.classifiers.columns.trials.Trials.chosen",
        lambda self, trials: (next(trial for trial in trials if trial.name == request.param), [0.0] * 3),
    )
    fused = fit(carton_shop, "logreg", folds=3, columns=NAMES)
    assert fused.fusion is not None
    # So easy a catalogue is answered with a certainty where probabilities are rounded.
    return replace(fused, temperature=0.8, fusion=replace(fused.fusion, photo_temperature=1.5, temperature=1.2))


def test_numbers_columns_and_rest_add_up_to_the_log_odds(model: Classifier, carton_shop: Store) -> None:
    for i in range(0, len(carton_shop), 5):
        columns, row = columns_of(carton_shop, [i], NAMES), carton_shop.features[i]
        shares = model.predict_proba(row[None], columns)[0]
        first, second = np.argsort(-shares)[:2].tolist()
        question = Question(model, first, second, encoded_columns(model, columns))
        whole = question.log_odds(row[None])[0]
        assert np.log(shares[first] / shares[second]) == pytest.approx(whole, abs=1e-4)
        margin = question.margin(row)
        assert (margin is None) == (model.card.columns.way == "stacked")
        if margin is not None:
            assert margin.of(row) == pytest.approx(whole, abs=1e-4 * (1 + abs(whole)))


def test_the_word_that_only_one_category_uses_speaks_for_it(model: Classifier, carton_shop: Store) -> None:
    i = list(carton_shop.labels).index("blueberry")
    columns, row = columns_of(carton_shop, [i], NAMES), carton_shop.features[i]
    winner, other = model.classes.index("blueberry"), model.classes.index("vanilla")
    question = Question(model, winner, other, encoded_columns(model, columns))
    words = {word.word: word.log_odds for word in words_of_photo(question, row, columns)}
    if model.card.columns.way != "stacked":  # where one answer may stand in for the other
        assert max(words, key=words.__getitem__) in ("blue", "berries", "wild")


@pytest.fixture(scope="module")
def by_title(carton_shop: Store) -> Classifier:
    return fit(carton_shop, "logreg", folds=3, columns=["title"])


def test_the_columns_of_a_photo_are_a_part_of_its_explanation(by_title: Classifier, carton_shop: Store) -> None:
    explainer = Explainer(Predictor(by_title, carton_shop, lambda: open_backbone("colour")))
    photo = carton_shop.paths[list(carton_shop.labels).index("vanilla")]
    result = explainer(photo, columns={"title": "bourbon pods 300 g"})
    parts = {part.name: part.log_odds for part in result.parts}
    assert result.category == "vanilla" and set(parts) == {"colour", "title"} and parts["title"] > 0
    assert result.words[0].word in ("bourbon", "pods")
    alone = explainer(photo, columns={"title": None})
    assert not alone.words and {part.name for part in alone.parts} == {"colour"}


def test_the_command_names_the_words(featx: Run, by_title: Classifier, carton_shop: Store, tmp_path: Path) -> None:
    by_title.save(tmp_path / "by-title.safetensors")
    i = list(carton_shop.labels).index("vanilla")
    words = ["explain", carton_shop.paths[i], "-s", str(carton_shop.path), "-c", str(tmp_path / "by-title.safetensors")]
    ran = featx(*words, "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)["words"]
    assert found and all(word["column"] == "title" for word in found)
    assert f"{found[0]['word']} in title" in featx(*words).stdout
