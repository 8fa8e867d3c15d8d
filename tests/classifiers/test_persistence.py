"""Classifiers on disk: what is kept, who may write, and what becomes of the files of before."""

from __future__ import annotations

import json
import pickle
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from featx.classifiers import promotion
from featx.classifiers.card import seal, training_command
from featx.classifiers.fit import fit
from featx.classifiers.kinds import NAMES
from featx.classifiers.model import Classifier, load_classifier, save
from featx.classifiers.promotion import publish
from featx.classifiers.registry import newest_classifier
from featx.errors import FeatxError
from featx.files.locks import one_writer
from tests.conftest import Run, command_environment, photo


def of_before(folder: Path, model: Classifier, **card: object) -> Path:
    """A classifier as an earlier featx left it: another format, the same card."""
    model.save(folder / "svm.safetensors")
    (folder / "svm.safetensors").unlink()
    path = folder / "svm.skops"
    path.write_bytes(b"PK\x03\x04 an archive of objects")
    record = json.loads((folder / "svm.json").read_text()) | card
    (folder / "svm.json").write_bytes(seal(record))
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
    monkeypatch.setattr("featx.files.locks.PATIENCE", 0.1)
    with (
        one_writer(tmp_path, "a classifier"),
        pytest.raises(FeatxError, match="has been saving a classifier") as refused,
    ):
        model.save(tmp_path / "svm.safetensors")
    assert refused.value.code == "store-busy"


@pytest.mark.parametrize("name", ["svm", "svm-rbf", "logreg", "lda", "rf", "extra-trees", "knn", "centroid"])
def test_every_classifier_is_saved_loaded_and_answers_the_same(store, tmp_path, name):
    made = fit(store, name, folds=2)
    save(made, tmp_path / f"{name}.safetensors")
    again = load_classifier(tmp_path / f"{name}.safetensors")
    np.testing.assert_array_equal(again.predict_proba(store.features), made.predict_proba(store.features))
    shares = made.predict_proba(store.features)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert made.card.test.n == 6


def test_an_lda_that_was_saved_before_it_learned_in_few_directions_answers_as_it_did(store, tmp_path):
    whole = fit(store, "lda", folds=2, reduce="none")
    before = replace(whole, settings=replace(whole.settings, reduce=None))
    assert "ldaprojection" not in dict(before.pipeline.steps)
    save(before, tmp_path / "lda.safetensors")
    again = load_classifier(tmp_path / "lda.safetensors")
    np.testing.assert_array_equal(again.predict_proba(store.features), before.predict_proba(store.features))


@pytest.mark.parametrize("name", ["shop.json", "shop.md", "shop.data"])
def test_a_file_of_ones_own_beside_a_classifier_is_never_replaced(model, tmp_path, name):
    (tmp_path / name).write_text("# mine\n")
    with pytest.raises(FeatxError, match="not written by featx") as refused:
        save(model, tmp_path / ("shop.data" if name == "shop.data" else "shop.safetensors"))
    assert refused.value.code == "bad-flag"
    assert (tmp_path / name).read_text() == "# mine\n" and [path.name for path in tmp_path.iterdir()] == [name]


def test_an_older_classifier_and_even_a_damaged_card_are_replaced(model, tmp_path):
    path = tmp_path / "shop.safetensors"
    save(model, path)
    for name in ("shop.json", "shop.md", "shop.safetensors"):
        damaged = bytearray((tmp_path / name).read_bytes())
        damaged[: len(damaged) // 3] = b"\0" * (len(damaged) // 3)
        (tmp_path / name).write_bytes(damaged)
    save(model, path)
    assert load_classifier(path).classes == model.classes
    with pytest.raises(FeatxError, match="ends as cards do"):
        save(model, tmp_path / "other.json")


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_classifier_byte_for_byte(store, tmp_path, name):
    for path in (tmp_path / "one.safetensors", tmp_path / "other.safetensors"):
        save(fit(store, name, folds=2, seed=3), path)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "other.safetensors").read_bytes()


def test_a_file_that_was_changed_by_one_byte_is_refused(model, tmp_path):
    path = tmp_path / "svm.safetensors"
    save(model, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(FeatxError, match="SHA-256") as caught:
        load_classifier(path)
    assert caught.value.code == "model-broken"


class Harm:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("harm-was-done"),))


def forged(path: Path, model, data: bytes) -> None:
    """A classifier file with another content whose card was forged to match."""
    import hashlib

    save(model, path)
    path.write_bytes(data)
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_bytes(seal({**card, "sha256": hashlib.sha256(data).hexdigest()}))


@pytest.mark.parametrize("kind", ["pickle", "joblib"])
def test_a_hostile_classifier_is_refused_and_its_code_never_runs(model, tmp_path, monkeypatch, kind):
    import io

    import joblib

    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    if kind == "pickle":
        data = pickle.dumps(Harm())
    else:
        joblib.dump(Harm(), buffer)
        data = buffer.getvalue()
    forged(tmp_path / "svm.safetensors", model, data)
    with pytest.raises(FeatxError) as caught:
        load_classifier(tmp_path / "svm.safetensors")
    assert caught.value.code == "model-broken"
    assert not Path("harm-was-done").exists()


@pytest.mark.parametrize("card", ["", "[]", "{}", '{"sha256": 3, "fingerprint": []}', "\x00"])
def test_a_classifier_without_a_readable_card_is_refused(model, tmp_path, card):
    save(model, tmp_path / "svm.safetensors")
    (tmp_path / "svm.json").write_text(card)
    with pytest.raises(FeatxError) as caught:
        load_classifier(tmp_path / "svm.safetensors")
    assert caught.value.code == "model-broken"


@pytest.mark.long
def test_two_fits_at_once_keep_the_classifier_of_another_store(featx: Run, folder, tmp_path):
    """Both find a classifier of a third store under the name they save under."""
    for name in "abc":
        assert featx("extract", "photos", "-b", "colour", "--store", f"{name}.h5").returncode == 0
    fit_on = ("fit", "--clf", "centroid", "--folds", "2", "--store")
    assert featx(*fit_on, "a.h5").returncode == 0
    models = tmp_path / "artifacts/models"
    with one_writer(models, "a classifier"):  # neither saves before both have begun
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "featx", *fit_on, f"{name}.h5"],
                cwd=tmp_path, env=command_environment({}), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            )
            for name in "bc"
        ]  # fmt: skip
        for process in running:
            assert process.stderr is not None and any("training" in line for line in process.stderr)
    for process in running:
        _, stderr = process.communicate()
        assert process.returncode == 0 and "kept the classifier of that name" in stderr, stderr
    kept = {load_classifier(path).card.store for path in models.glob("*.safetensors")}
    assert kept == {"a.h5", "b.h5", "c.h5"}
