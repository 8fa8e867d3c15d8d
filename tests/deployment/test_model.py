"""Every classifier on every kind of backbone answers from one graph as it does in featx."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from featx.backbones import open_backbone
from featx.classifiers.coarsening import Coarsening, CoarsePipeline
from featx.classifiers.kinds import CLASSIFIERS
from featx.classifiers.model import Classifier
from featx.classifiers.novelty import NoveltyDetector
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.compute.vectors import unit_rows
from featx.deployment import model as deployed
from featx.deployment.int8 import int8_model
from featx.prediction.predict import Predictor
from featx.prediction.review import DecisionRule
from tests.conftest import card_of

BACKBONES = {
    "built-in": ("builtin", None),
    "torchvision": ("squeezenet1_0", "random"),
    "EfficientNet-Lite": ("efficientnet_lite0", "random"),
    "joined": ("squeezenet1_0+builtin", "random+"),
}
# The baseline last, and only in the long run: its graph is held in test_graph.py.
HEADS = sorted(CLASSIFIERS, key="centroid".__eq__)
# Each classifier on one kind in turn, each kind with one classifier at least; the long run has them all.
PAIRS = [
    pytest.param(head, kind, marks=[] if i % len(BACKBONES) == j and head != "centroid" else pytest.mark.long)
    for i, head in enumerate(HEADS)
    for j, kind in enumerate(BACKBONES)
]


@functools.cache
def opened(kind: str) -> Any:
    name, weights = BACKBONES[kind]
    return open_backbone(name, weights=weights, device="cpu")


def drawn(n: int) -> list[Image.Image]:
    """Smooth pictures of three kinds of colours."""
    random = np.random.default_rng(0)
    small = random.integers(0, 120, (n, 5, 5, 3)) + 120 * np.eye(3, dtype=int)[np.arange(n) % 3][:, None, None]
    return [Image.fromarray(some.astype(np.uint8)).resize((224, 224), Image.Resampling.BICUBIC) for some in small]


@functools.cache
def featured(kind: str) -> tuple[list[Any], np.ndarray]:
    encoder = opened(kind)
    photos = [encoder.prepare(photo) for photo in drawn(18)]
    return photos, encoder.features(photos)


@pytest.fixture(scope="module", autouse=True)
def exported_once() -> Any:
    """A network is exported once for all classifiers on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deployed, "network_as_onnx", functools.cache(deployed.network_as_onnx))
        yield


def predictor_of(kind: str, settings: ClassifierSettings) -> Predictor:
    encoder, (_, rows) = opened(kind), featured(kind)
    labels = np.array(["red", "green", "blue"] * 6)
    model = Classifier(
        settings,
        train_classifier(settings, rows, labels),
        sorted(set(labels)),
        0.7,
        encoder.fingerprint,
        NoveltyDetector(unit_rows(rows).astype(np.float16), 0.5),
        card_of(sorted(set(labels)), rows.shape[1]),
    )
    return Predictor(model, None, lambda: encoder)


def inputs_of(session: Any, kind: str) -> dict[str, np.ndarray]:
    photos, _ = featured(kind)
    names = [value.name for value in session.get_inputs()]
    tensors = [np.stack(part) for part in zip(*photos, strict=True)] if len(names) > 1 else [np.stack(photos)]
    return dict(zip(names, tensors, strict=True))


def require_the_answers_of_featx(predictor: Predictor, kind: str) -> None:
    whole = deployed.build_model(predictor, DecisionRule(0.6))
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    own = dict(zip(names, session.run(names, inputs_of(session, kind)), strict=True))
    _, rows = featured(kind)
    shares = predictor.model.predict_proba(rows)
    np.testing.assert_allclose(own["embedding"], rows, atol=1e-4 * max(1, np.abs(rows).max()))
    np.testing.assert_allclose(own["probabilities"], shares, atol=1e-4)
    gaps = np.diff(np.sort(shares, axis=1)[:, -2:])[:, 0]
    np.testing.assert_array_equal(own["label"][gaps > 1e-4], shares.argmax(axis=1)[gaps > 1e-4])


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_every_classifier_on_every_kind_of_backbone_answers_as_in_featx(name: str, kind: str) -> None:
    require_the_answers_of_featx(predictor_of(kind, ClassifierSettings(name)), kind)


def test_a_coarse_level_on_a_joined_backbone_answers_as_in_featx() -> None:
    kind = "joined"
    predictor = predictor_of(kind, ClassifierSettings("lda"))
    model = predictor.model
    coarsening = Coarsening(model.classes, ["cold", "warm"], np.array([0, 0, 1]), 0.8)
    model.pipeline, model.classes = CoarsePipeline(model.pipeline, coarsening), ["cold", "warm"]
    require_the_answers_of_featx(predictor, kind)


def test_integers_are_only_in_the_convolutions_and_the_contract_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featx.deployment.int8.calibration_images", lambda: drawn(3))
    predictor = predictor_of("torchvision", ClassifierSettings("lda"))
    whole = deployed.build_model(predictor, DecisionRule(0.6))
    integers = int8_model(whole, predictor.backbone)
    assert deployed.contract_of(integers) == {**deployed.contract_of(whole), "numbers": "int8"}
    made = {name: node.op_type for node in integers.graph.node for name in node.output}
    heads = [node for node in integers.graph.node if node.op_type == "MatMul"]
    assert heads and all(made.get(name) != "DequantizeLinear" for node in heads for name in node.input)
