"""A card that somebody wrote by hand, its digest right, is the card of a classifier or a sentence."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featx.classifiers.card import card_bytes, read_card, seal
from featx.classifiers.fit import fit
from featx.classifiers.model import Classifier, load_classifier, save
from featx.classifiers.promotion import decide_promotion
from featx.classifiers.thresholds import thresholds_for
from featx.comparison.evaluate import evaluate
from featx.errors import FeatxError
from featx.extraction import extract
from featx.labels.training_set import HELD_OUT
from featx.prediction.review import limit_for
from featx.store import Store
from tests.conftest import Run, photo

VALUES: list[Any] = [None, True, 0, -1, 10**400, 1e308, float("nan"), "", "x" * 5000, "\0"]
VALUES += [[], [0], [[]], {}, {"a": 0}, [None], {"": None}]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two categories of thirty products, enough for thresholds by category, and a test split."""
    root = tmp_path_factory.mktemp("cards")
    lines = ["path,label,split"]
    for number in range(80):
        label = "boots" if number % 2 else "hats"
        photo(root / f"{number}.jpg", seed=number % 2 * 100 + number)
        lines.append(f"{number}.jpg,{label},{'test' if number > 60 else 'train'}")
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    return extract(root / "list.csv", backbone="colour", store=root / "store.h5")


@pytest.fixture(scope="module")
def model(store: Store) -> Classifier:
    return fit(store, "lda", folds=2)


@pytest.fixture
def saved(model: Classifier, tmp_path: Path) -> Path:
    save(model, tmp_path / "lda.safetensors")
    return tmp_path / "lda.safetensors"


def written(path: Path, card: dict[str, Any]) -> None:
    path.with_suffix(".json").write_bytes(seal(card))


def used_in_every_way(path: Path, store: Store) -> None:
    model = load_classifier(path)
    assert repr(model) and model._repr_html_()
    for ask in (
        lambda: thresholds_for(model.card, 0.8)[0].of("boots") + 0.5,
        lambda: limit_for(model.card, 0.5),
        lambda: evaluate(model, store),
        lambda: decide_promotion(path, model, store),
    ):
        try:
            ask()
        except FeatxError as error:
            assert error.code in ("bad-flag", "bad-column", "other-backbone", "class-too-small"), error


def places(value: Any, so_far: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where values stand in a document, itself among them."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [so_far, *(deeper for name, value in inside for deeper in places(value, (*so_far, name)))]


def test_the_card_of_every_classifier_has_the_shape_that_is_asked_for(model):
    assert read_card(card_bytes(model.card)) == model.card
    assert model.card.thresholds and model.card.test and model.card.held_out == list(HELD_OUT)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_a_card_it_is_refused_in_words_or_works(saved, store, data):
    whole = json.loads(saved.with_suffix(".json").read_text())
    try:
        *path, last = data.draw(st.sampled_from(places(whole)[1:]))
        card = changed = copy.deepcopy(whole)
        for name in path:
            changed = changed[name]
        if isinstance(changed, dict) and data.draw(st.booleans()):
            del changed[last]
        else:
            changed[last] = data.draw(st.sampled_from(VALUES))
        written(saved, card)
        try:
            used_in_every_way(saved, store)
        except FeatxError as error:
            assert error.code == "model-broken", error
    finally:
        written(saved, whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"thresholds": [{"target": "high"}]},
            r"its card is damaged: Expected `float`, got `str` - at",
        ),
        ({"cv": None}, r"its card is damaged: Expected `object`, got `null` - at `\$.cv`"),
        ({"labels": ["boots", "mugs"]}, "its categories are not those on its card"),
        ({"fingerprint": {"backbone": "colour", "width": 3}}, "does not answer for the 3 numbers"),
    ],
    ids=["thresholds", "cv", "labels", "width"],
)
def test_what_is_wrong_with_a_card_is_named(saved, change, message):
    written(saved, {**json.loads(saved.with_suffix(".json").read_text()), **change})
    with pytest.raises(FeatxError, match=message) as refused:
        load_classifier(saved)
    assert refused.value.code == "model-broken"


def test_a_card_may_name_a_store_that_no_disk_could_hold(saved, store):
    written(saved, {**json.loads(saved.with_suffix(".json").read_text()), "store": "x" * 5000})
    assert evaluate(saved, store, ["test"]).n


def test_a_card_in_which_a_word_was_changed_is_not_read(saved):
    original = saved.with_suffix(".json").read_bytes()
    assert read_card(original).clf == "lda"
    with pytest.raises(ValueError, match="not what was written"):
        read_card(original.replace(b'"lda"', b'"svm"', 1))


def test_the_commands_refuse_a_card_of_another_shape_with_code_5(featx: Run, tmp_path):
    for number in range(24):
        photo(tmp_path / "photos" / ("boots" if number % 2 else "hats") / f"{number}.jpg", seed=number % 2 * 9 + number)
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "lda", "--folds", "2").returncode == 0
    card = tmp_path / "artifacts/models/lda.json"
    good = json.loads(card.read_text())
    written(card, {**good, "thresholds": 7, "cv": {"accuracy": "good"}})
    for words in (["predict", "photos", "--min-precision", "0.8"], ["info", "--check"]):
        ran = featx(*words)
        assert ran.returncode == 5 and "its card is damaged" in " ".join(ran.stderr.split()), ran.stderr
    assert "no readable card" in featx("info").stdout
    written(card, {**good, "store": "a\0b"})
    assert featx("predict", "photos", "-s", "artifacts/embeddings/colour.h5").returncode == 0
