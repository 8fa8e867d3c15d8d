"""`predict` finds the columns of a classifier: in the table, in the store, as given, or read off the photo."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from featx.classifiers.columns.values import Kind
from featx.classifiers.fit import fit
from featx.classifiers.model import Classifier
from featx.errors import FeatxError
from featx.images import read_photo
from featx.prediction.predict import predict
from featx.store import Store
from featx.text.reading import read_store
from featx.text.records import TWO_LOOKS, TextLine
from tests.conftest import photo
from tests.text.readers import ListReader

TITLES = ["wild blue berries", "bourbon vanilla pods", "mild white yoghurt"]


@pytest.fixture(scope="module")
def fused(carton_shop) -> Classifier:
    return fit(carton_shop, "logreg", folds=3, columns=["title"])


@pytest.fixture
def grey(tmp_path):
    """Three new photos that say nothing."""
    return [str(photo(tmp_path / f"new{i}.jpg", seed=999, noise=i, size=(16, 16))) for i in range(3)]


def test_columns_can_be_given_with_photos(fused, grey):
    answers = predict(grey, fused, columns={"title": TITLES})
    assert [answer.label for answer in answers] == ["blueberry", "vanilla", "plain"]
    assert answers[0].to_dict()["title"] == TITLES[0]
    alone = predict(grey, replace(fused, fusion=None))
    assert [answer.label for answer in predict(grey, fused)] == [answer.label for answer in alone]


def test_columns_of_another_length_are_refused(fused, grey):
    with pytest.raises(FeatxError, match="2 values for 3 photos"):
        predict(grey, fused, columns={"title": TITLES[:2]})


def test_columns_come_from_the_table_or_from_the_store(fused, carton_shop, grey, tmp_path):
    table = tmp_path / "new.csv"
    table.write_text("path,title\n" + "".join(f"{p},{t}\n" for p, t in zip(grey, TITLES, strict=True)))
    assert [answer.label for answer in predict(table, fused)] == ["blueberry", "vanilla", "plain"]
    known = [path for path, _ in titled(carton_shop)][:6]
    rows = [carton_shop.paths.index(path) for path in known]
    columns = {"title": [carton_shop.columns["title"][row] for row in rows]}
    by_store = [answer.label for answer in predict(known, fused, store=carton_shop)]
    assert by_store == fused.predict(carton_shop.features[rows], columns).tolist()


class FakeReader:
    """Reads the same words off every photo."""

    name = fingerprint = "fake"

    def __init__(self, looks: int = 1) -> None:
        self.looks = looks

    def read(self, images: list[np.ndarray]) -> list[tuple[TextLine, ...]]:
        return [(TextLine("bourbon vanilla pods", 1.0, (0, 0, 1, 1)),) for _ in images]


@pytest.fixture
def reading(fused) -> Classifier:
    """The same classifier, as if the titles had been read off the photos."""
    fusion = fused.fusion
    assert fusion is not None
    encoder = replace(fusion.encoder, kinds={"text": Kind.TEXT}, encoders={"text": fusion.encoder.encoders["title"]})
    return replace(fused, fusion=replace(fusion, encoder=encoder, reads=True))


def test_a_photo_without_known_text_is_read(reading, grey, monkeypatch):
    monkeypatch.setattr("featx.prediction.item_columns.open_reader", FakeReader)
    assert [answer.label for answer in predict(grey, reading)] == ["vanilla"] * 3


def test_new_photos_are_looked_at_as_often_as_those_that_were_learned_from(carton_shop, grey, tmp_path, monkeypatch):
    """The classifier knows it: it travels without the store."""
    opened: list[int] = []
    monkeypatch.setattr(
        "featx.prediction.item_columns.open_reader", lambda looks: opened.append(looks) or FakeReader(looks)
    )
    shutil.copy(carton_shop.path, tmp_path / "shop.h5")
    titles = {read_photo(path).image.tobytes(): title for path, title in titled(carton_shop)}
    reader = ListReader(lambda pixels: [titles.get(pixels.tobytes(), "")], "list/1" + TWO_LOOKS)
    read_store(tmp_path / "shop.h5", reader=reader)
    fit(tmp_path / "shop.h5", "logreg", folds=3, columns=["text"]).save(tmp_path / "m.safetensors")
    predict(grey, tmp_path / "m.safetensors")
    assert opened == [2]


def titled(store: Store) -> list[tuple[str, str]]:
    """The photos of a store that have a title."""
    return [(path, str(title)) for path, title in zip(store.paths, store.columns["title"], strict=True) if title]


def test_without_a_reader_the_photo_alone_answers(reading, grey, monkeypatch):
    def none(looks: int) -> None:
        raise FeatxError("extra-missing", "no reader is installed", "install one")

    monkeypatch.setattr("featx.prediction.item_columns.open_reader", none)
    alone = predict(grey, replace(reading, fusion=None))
    assert [answer.label for answer in predict(grey, reading)] == [answer.label for answer in alone]


def test_the_command_says_which_photos_had_no_columns(featx, fused, grey, tmp_path):
    fused.save(tmp_path / "m.safetensors")
    ran = featx("predict", *grey, "--clf", "m.safetensors", "--json")
    assert ran.returncode == 0 and "3 photos without title: answered by the photo alone" in ran.stderr
    assert json.loads(ran.stdout.splitlines()[0])["category"]
