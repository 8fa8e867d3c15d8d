"""A classifier with columns on disk: the same bytes for the same classifier, and nothing strange is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.classifiers.columns.fusion import Fusion, Part, Way
from featx.classifiers.columns.learning import learn_columns
from featx.classifiers.columns.values import Kind
from featx.classifiers.model import Classifier, load_classifier, save
from featx.classifiers.novelty import NoveltyDetector
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from tests.conftest import card_of, toy_fingerprint
from tests.faults.test_hostile_classifiers import CLASSES, WIDTH, altered, at, put, refused

COLUMNS = {
    "title": [f"{['apple', 'pear', 'plum'][i % 3]} number {i}" for i in range(30)],
    "price": [i % 7 for i in range(30)],
    "brand": ["one", "two"] * 15,
}
KINDS = {"title": Kind.TEXT, "price": Kind.NUMBER, "brand": Kind.CHOICE}


def saved(path: Path) -> Path:
    """An honest classifier of eight numbers and three columns."""
    rows = np.random.default_rng(0).standard_normal((30, WIDTH)).astype(np.float32)
    labels = np.array([str(i % 3) for i in range(30)])
    settings = ClassifierSettings("logreg", reduce="none")
    encoder = learn_columns(COLUMNS, KINDS)
    encoded = encoder.encode(COLUMNS)
    part = Part(settings, train_classifier(settings, encoded, labels), 1.0)
    fusion = Fusion(Way.AVERAGED, encoder, part, 1.0, 1.0)
    card = card_of(CLASSES, WIDTH, clf="logreg", fingerprint=toy_fingerprint(WIDTH).to_dict())
    novelty = NoveltyDetector(np.ones((4, WIDTH), np.float16), 0.1)
    pipeline = train_classifier(settings, rows, labels)
    save(Classifier(settings, pipeline, CLASSES, 1.0, toy_fingerprint(WIDTH), novelty, card, fusion), path)
    return path


def test_an_honest_one_is_the_same_when_it_is_taken_apart_and_put_together(tmp_path):
    path = saved(tmp_path / "m.safetensors")
    before = path.read_bytes()
    model = load_classifier(path)
    assert model.wants == ["title", "price", "brand"]
    model.save(path)
    assert path.read_bytes() == before == altered(path).read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        put("knots", lambda knots: knots[::-1].copy()),
        put("knots", at(0, np.nan)),
        put("knots", lambda knots: knots[:0]),
        put("directions", lambda array: array[:-1]),
        put("directions", at((0, 0), np.inf)),
        put("directions", lambda array: array[:, :-1]),
        lambda arrays: arrays.pop("column 0.weights"),
        lambda arrays: arrays.update({"column 7.knots": np.ones(2)}),
    ],
)
def test_strange_arrays_are_refused(tmp_path, change):
    refused(altered(saved(tmp_path / "m.safetensors"), change))


def change_fusion(**fields: Any) -> Any:
    return lambda header: header["fusion"].update(fields)


@pytest.mark.parametrize(
    "change",
    [
        change_fusion(way="stacked"),
        change_fusion(way="joined"),
        change_fusion(way="guessed"),
        change_fusion(weight=-1.0),
        change_fusion(temperature=0.0),
        change_fusion(columns=[]),
        change_fusion(looks=3),
        lambda header: header.update(format=1),
        lambda header: header["fusion"]["answer"].update(classes=["0", "1", "9"]),
        lambda header: header["fusion"]["answer"]["settings"].update(name="evil"),
        lambda header: header["fusion"]["columns"][0].update(unseen=-1.0),
        lambda header: header["fusion"]["columns"][1].update(name="title"),
        lambda header: header["fusion"]["columns"][0]["words"].pop(),
    ],
)
def test_a_strange_header_is_refused(tmp_path, change):
    refused(altered(saved(tmp_path / "m.safetensors"), change=change))


def test_the_texts_of_an_earlier_classifier_count_as_they_did(tmp_path):
    path = altered(saved(tmp_path / "m.safetensors"), change=lambda h: h["fusion"]["columns"][0].pop("repeats"))
    encoders = [load_classifier(p).fusion.encoder.encoders["title"] for p in (saved(tmp_path / "n.safetensors"), path)]
    assert [encoder.repeats for encoder in encoders] == [False, True]
