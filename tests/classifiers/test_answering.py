"""Saved linear classifiers answer without scikit-learn, and as scikit-learn's pipeline does, bit for bit."""

from __future__ import annotations

import copy
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from featx.classifiers.answering import AnsweringPipeline
from featx.classifiers.encoding import Parts, decode, encode
from featx.classifiers.novelty import NoveltyDetector
from featx.classifiers.pipelines import scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings
from tests.conftest import ROOT, command_environment

WIDTH = 24


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, WIDTH)).astype(np.float32)


def saved_and_read(name: str, reduce: str | None, categories: int) -> Parts:
    labels = np.array([f"c{i % categories}" for i in range(60)])
    settings = ClassifierSettings(name, reduce=reduce)
    pipeline = train_classifier(settings, rows(60) + 2 * (np.arange(60) % categories)[:, None], labels)
    novelty = NoveltyDetector(rows(5), 0.1)
    return decode(encode(Parts(settings, pipeline, sorted(set(labels.tolist())), 1.5, novelty)), WIDTH)


@pytest.mark.parametrize("categories", [2, 4])
@pytest.mark.parametrize("reduce", [None, "none"])
@pytest.mark.parametrize("name", ["svm", "logreg", "lda"])
def test_answers_are_those_of_the_pipeline_of_scikit_learn(name, reduce, categories):
    read = saved_and_read(name, reduce, categories)
    light = read.pipeline
    assert isinstance(light, AnsweringPipeline)
    queries = rows(32, seed=1)
    queries[0] = 0
    np.testing.assert_array_equal(light.decision_function(queries), light.whole.decision_function(queries))
    assert list(light.named_steps) == [step for step, _ in light.steps]
    assert encode(Parts(read.settings, light, read.classes, 1.5, read.novelty)) == encode(
        Parts(read.settings, light.whole, read.classes, 1.5, read.novelty)
    )


def test_rows_that_are_none_are_refused_as_scikit_learn_refuses_them():
    light = saved_and_read("svm", None, 3).pipeline
    for wrong in (np.full((1, WIDTH), np.nan), np.zeros((1, WIDTH + 1)), np.zeros(WIDTH)):
        for pipeline in (light, light.whole):
            with pytest.raises(ValueError, match=r"number|finite|array|features|NaN"):
                pipeline.decision_function(wrong)


def test_a_read_pipeline_is_copied_and_pickled_like_any_object():
    light = saved_and_read("logreg", None, 3).pipeline
    for again in (copy.deepcopy(light), pickle.loads(pickle.dumps(light))):
        np.testing.assert_array_equal(again.decision_function(rows(4)), light.decision_function(rows(4)))


PREDICT = """
import sys
from featx.cli.app import main
sys.argv[1:] = ["predict", "new.jpg", "--any", "-q", "-s", "artifacts/embeddings/builtin.h5"]
try:
    main()
finally:
    heavy = {"sklearn", "scipy", "pandas", "torchvision", "matplotlib"} & sys.modules.keys()
    print("imported:", sorted(heavy))
"""


def test_predicting_a_photo_imports_neither_scikit_learn_nor_torchvision(sample_shop, featx, tmp_path):
    shutil.copytree(sample_shop / "artifacts", tmp_path / "artifacts")
    assert featx("fit", "--clf", "svm", "--folds", "2").returncode == 0
    Image.open(ROOT / "data/train/mugs/sku165.jpg").rotate(5).save(tmp_path / "new.jpg")
    ran = subprocess.run(
        [sys.executable, "-c", PREDICT], cwd=tmp_path, env=command_environment({}), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "imported: []" in ran.stdout


def test_a_row_has_the_same_scores_alone_as_among_others_where_a_category_was_not_learned():
    x, classes = rows(20), ["a", "b", "c"]
    pipeline = train_classifier(ClassifierSettings("logreg"), x, np.array(["a", "c"] * 10))
    together = scores_of(pipeline, x, classes)
    alone = np.vstack([scores_of(pipeline, row[None], classes) for row in x])
    np.testing.assert_allclose(alone, together, rtol=1e-5)
    assert (together[:, 1] < together[:, [0, 2]].min(axis=1)).all()
