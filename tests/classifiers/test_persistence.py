"""Classifiers on disk: what is kept, who may write, and what becomes of the files of before."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from featx.classifiers import promotion
from featx.classifiers.card import seal, training_command
from featx.classifiers.fit import fit
from featx.classifiers.model import Classifier
from featx.classifiers.persistence import load_classifier, one_writer
from featx.classifiers.promotion import publish
from featx.classifiers.registry import newest_classifier
from featx.errors import FeatxError
from featx.extraction import extract
from featx.store import Store
from tests.conftest import Run, photo


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("persistence")
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for item in range(6):
            photo(root / "photos" / category / f"{item}.jpg", seed=100 * c + item)
    return extract(root / "photos", backbone="colour", store=root / "store.h5")


@pytest.fixture(scope="module")
def model(store: Store) -> Classifier:
    return fit(store, "centroid", folds=2)


def of_before(folder: Path, model: Classifier, **card: object) -> Path:
    """A classifier as an earlier featx left it: another format, the same card."""
    model.save(folder / "svm.safetensors")
    (folder / "svm.safetensors").unlink()
    path = folder / "svm.skops"
    path.write_bytes(b"PK\x03\x04 an archive of objects")
    told = json.loads((folder / "svm.json").read_text()) | card
    (folder / "svm.json").write_bytes(seal(told))
    return path


def test_a_file_of_before_is_refused_with_the_very_command_that_trains_it_again(model, tmp_path):
    settings = {"C": 0.1, "seed": 3, "class_weight": "balanced", "reduce": 64, "resample": True}
    path = of_before(
        tmp_path, model, clf="svm", settings=settings, tuned=True, asked_folds=4, level="kind", held_out=["last week"],
        store="my shop.h5",
    )  # fmt: skip
    with pytest.raises(FeatxError, match="no longer reads") as refused:
        load_classifier(path)
    assert refused.value.code == "model-broken" and refused.value.exit_code == 5
    assert (
        "`featx fit --clf svm --store 'my shop.h5' --folds 4 --class-weight balanced --reduce 64 --level kind"
        " --test 'last week' --seed 3 --tune --resample`" in refused.value.hint
    )
    with pytest.raises(FeatxError, match="no longer reads"):
        newest_classifier(tmp_path)


def test_without_a_readable_card_the_command_names_the_classifier_of_the_file(model, tmp_path):
    path = of_before(tmp_path, model)
    (tmp_path / "svm.json").write_text("{}")
    with pytest.raises(FeatxError, match="no longer reads") as refused:
        load_classifier(path)
    assert "`featx fit --clf svm`" in refused.value.hint


def test_the_command_on_the_card_trains_the_same_classifier_byte_for_byte(featx: Run, tmp_path):
    for c, category in enumerate(["boots", "hats"]):
        for item in range(8):
            photo(tmp_path / "photos" / category / f"{item}.jpg", seed=100 * c + item)
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "knn", "--folds", "2", "--resample", "--seed", "4").returncode == 0
    path = tmp_path / "artifacts/models/knn.safetensors"
    before, command = path.read_bytes(), training_command(load_classifier(path).card)
    path.unlink()
    assert featx(*shlex.split(command)[1:]).returncode == 0
    assert path.read_bytes() == before


def test_nothing_is_replaced_that_was_not_read_by_the_one_who_replaces_it(model, store, tmp_path, monkeypatch):
    """Somebody else saves while a new classifier is compared with the old one: that has to wait."""
    path = tmp_path / "centroid.safetensors"
    model.save(path)
    decide = promotion.decide_promotion
    other = replace(model, temperature=9.0)

    def slow(*words: object) -> promotion.PromotionDecision:
        somebody.start()
        somebody.join(0.3)
        assert somebody.is_alive() and load_classifier(path).temperature == model.temperature
        return decide(*words)

    somebody = Thread(target=other.save, args=(path,))
    monkeypatch.setattr(promotion, "decide_promotion", slow)
    assert publish(model, path, store, update=True).saved
    somebody.join()
    assert load_classifier(path).temperature == 9.0


def test_who_waits_in_vain_for_another_writer_is_told(model, tmp_path, monkeypatch):
    monkeypatch.setattr("featx.classifiers.persistence.PATIENCE", 0.1)
    with one_writer(tmp_path), pytest.raises(FeatxError, match="has been saving a classifier") as refused:
        model.save(tmp_path / "svm.safetensors")
    assert refused.value.code == "store-busy"
