"""Every classifier gives the same probabilities as a graph."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from featx.classifiers.coarsening import Coarsening, CoarsePipeline
from featx.classifiers.columns.fusion import Fusion, Part, Way, certain, join_rows, stack_rows
from featx.classifiers.columns.learning import learn_columns
from featx.classifiers.columns.values import Kind
from featx.classifiers.kinds import CLASSIFIERS
from featx.classifiers.model import Classifier
from featx.classifiers.novelty import NoveltyDetector
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.deployment import graph
from featx.deployment.answers import add_probabilities
from featx.deployment.graph import add_similarity
from featx.deployment.nodes import Nodes
from featx.errors import FeatxError
from tests.conftest import card_of, toy_fingerprint

WIDTH = 12


def blobs(categories: int, seed: int = 0, n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(categories, WIDTH))
    truth = np.arange(n * categories) % categories
    rows = centres[truth] + 0.8 * random.normal(size=(len(truth), WIDTH))
    return rows.astype(np.float32), np.array([f"c{i}" for i in truth])


def classifier(settings: ClassifierSettings, categories: int) -> Classifier:
    rows, labels = blobs(categories)
    classes = sorted(set(labels.tolist()))
    known = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    return Classifier(
        settings,
        train_classifier(settings, rows, labels),
        classes,
        0.7,
        toy_fingerprint(WIDTH),
        NoveltyDetector(known, 0.5),
        card_of(classes, WIDTH),
    )


def answers_of_graph(
    model: Classifier, rows: np.ndarray, columns: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    given = {"features": rows} | ({} if columns is None else {"columns": columns})
    nodes = Nodes("head/")
    nodes.name(add_probabilities(nodes, model, *given), "probabilities")
    nodes.name(add_similarity(nodes, model, "features"), "similarity")
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(model.classes)]),
        helper.make_tensor_value_info("similarity", TensorProto.FLOAT, ["n"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", array.shape[1]]) for name, array in given.items()
    ]
    made = helper.make_graph(nodes.nodes, "head", inputs, outputs, nodes.constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    whole = helper.make_model(made, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(whole, full_check=True)
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    shares, similarity = session.run(None, given)
    return shares, similarity


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("categories", [2, 5])
@pytest.mark.parametrize("name", list(CLASSIFIERS))
def test_a_graph_gives_the_probabilities_of_the_classifier(name: str, categories: int) -> None:
    model = classifier(ClassifierSettings(name), categories)
    rows, _ = blobs(categories, seed=1, n=20)
    shares, similarity = answers_of_graph(model, rows)
    np.testing.assert_allclose(shares, model.predict_proba(rows), atol=2e-5)
    np.testing.assert_allclose(similarity, model.novelty.similarity(rows), atol=1e-5)


@pytest.mark.parametrize("reduce", ["none", "lda", 5])
def test_every_reduction_is_part_of_the_graph(reduce: int | str) -> None:
    model = classifier(ClassifierSettings("svm", reduce=reduce), 4)
    rows, _ = blobs(4, seed=1, n=20)
    np.testing.assert_allclose(answers_of_graph(model, rows)[0], model.predict_proba(rows), atol=2e-5)


def test_rows_of_zeros_and_one_row_alone_are_answered_as_by_the_classifier() -> None:
    model = classifier(ClassifierSettings("lda"), 3)
    for rows in (np.zeros((1, WIDTH), dtype=np.float32), blobs(3, seed=2, n=1)[0][:1]):
        np.testing.assert_allclose(answers_of_graph(model, rows)[0], model.predict_proba(rows), atol=2e-5)


def test_a_coarse_classifier_sums_its_finer_categories_in_the_graph() -> None:
    model = classifier(ClassifierSettings("lda"), 4)
    coarsening = Coarsening(model.classes, ["a", "b"], np.array([0, 1, 1, 0]), 0.8)
    model.pipeline, model.classes = CoarsePipeline(model.pipeline, coarsening), ["a", "b"]
    rows, _ = blobs(4, seed=1, n=20)
    np.testing.assert_allclose(answers_of_graph(model, rows)[0], model.predict_proba(rows), atol=2e-5)


def fusion_of(way: Way, rows: np.ndarray, labels: np.ndarray) -> Fusion:
    """A fusion whose columns never saw the last category."""
    kinds = {"title": Kind.TEXT, "price": Kind.NUMBER, "brand": Kind.CHOICE}
    columns = columns_for(labels)
    encoder = learn_columns(columns, kinds)
    encoded, settings = encoder.encode(columns), ClassifierSettings("logreg")
    classes, seen = sorted(set(labels.tolist())), labels != max(labels)

    def part(learned: np.ndarray, of: np.ndarray) -> Part:
        return Part(settings, train_classifier(settings, learned[of], labels[of]), 0.8)

    answers = part(join_rows(rows, encoded, 0.6) if way is Way.JOINED else encoded, seen)
    stack = None
    if way is Way.STACKED:
        logs = certain(np.random.default_rng(0).normal(size=(len(rows), len(classes))), 1.0)
        stack = part(stack_rows(logs, answers.logs(encoded, classes)), np.ones(len(rows), dtype=bool))
    return Fusion(way, encoder, answers, 0.9, 1.1, 0.6, stack)


def columns_for(labels: np.ndarray) -> dict[str, list[object]]:
    random = np.random.default_rng(1)
    titles = [f"{label} yoghurt {random.integers(100)} {'x' * random.integers(3)}" for label in labels]
    return {
        "title": titles,
        "price": list(random.random(len(labels)) * 9),
        "brand": ["Arla", "Oatly"] * (len(labels) // 2),
    }


@pytest.mark.parametrize("way", list(Way))
def test_a_graph_counts_columns_in_every_way_and_answers_by_the_photo_where_they_say_nothing(way: Way) -> None:
    model = classifier(ClassifierSettings("lda"), 4)
    model.fusion = fusion_of(way, *blobs(4))
    rows, labels = blobs(4, seed=1, n=20)
    columns = {
        name: [None if i % 5 == 0 else value for i, value in enumerate(values)]
        for name, values in columns_for(labels).items()
    }
    shares, _ = answers_of_graph(model, rows, model.fusion.encoder.encode(columns))
    np.testing.assert_allclose(shares, model.predict_proba(rows, columns), atol=2e-5)
    np.testing.assert_allclose(shares[::5], model.predict_proba(rows)[::5], atol=2e-5)
    assert np.abs(shares - model.predict_proba(rows)).max() > 0.01


def test_a_classifier_without_a_graph_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(graph.CLASSIFIERS, "centroid")
    with pytest.raises(FeatxError, match="cannot be deployed"):
        answers_of_graph(classifier(ClassifierSettings("centroid"), 3), blobs(3)[0])
