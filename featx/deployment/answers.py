"""Calibrated probabilities as nodes of an ONNX graph: by the photo, or by the photo and its columns."""

from __future__ import annotations

from collections.abc import Sequence

from featx.classifiers.columns.fusion import DOUBT, NEVER_ZERO, UNLIKELY, Fusion, Part, Way
from featx.classifiers.model import Classifier
from featx.deployment.graph import add_scores, add_softmax, add_unit_length
from featx.deployment.nodes import Nodes


def add_probabilities(nodes: Nodes, model: Classifier, features: str, columns: str | None = None) -> str:
    """Calibrated probabilities of the categories, from features and, where the classifier counts them, columns."""
    scores = add_scores(nodes, model.pipeline, model.classes, features)
    if model.fusion is not None and columns is not None:
        scores = _add_fused(nodes, model.fusion, scores, features, columns, model.classes)
    return add_softmax(nodes, scores, model.temperature)


def _add_fused(nodes: Nodes, fusion: Fusion, scores: str, features: str, columns: str, classes: Sequence[str]) -> str:
    """`Fusion.scores`: a row whose columns say nothing gets the answer of the photo."""
    by_photo = _certain(nodes, scores, fusion.photo_temperature)
    fused = _certain(nodes, _joined(nodes, fusion, by_photo, features, columns, classes), fusion.temperature)
    most = nodes.add("ReduceMax", nodes.add("Abs", columns), nodes.whole_numbers(1), keepdims=1)
    return nodes.add("Where", nodes.add("Greater", most, nodes.number(0)), fused, by_photo)


def _joined(nodes: Nodes, fusion: Fusion, by_photo: str, features: str, columns: str, classes: Sequence[str]) -> str:
    """`Fusion.fused`: scores of photo and columns in the way that the classifier joins them."""
    if fusion.way is Way.JOINED:
        weighed = nodes.add("Mul", columns, nodes.number(fusion.weight))
        both = nodes.add("Concat", add_unit_length(nodes, features), weighed, axis=1)
        return add_scores(nodes, fusion.columns.pipeline, classes, both)
    by_columns = _doubtful(nodes, fusion.columns, columns, classes)
    if fusion.stack is None:
        return nodes.add("Add", by_photo, nodes.add("Mul", by_columns, nodes.number(fusion.weight)))
    limited = [nodes.add("Max", logs, nodes.number(UNLIKELY)) for logs in (by_photo, by_columns)]
    return add_scores(nodes, fusion.stack.pipeline, classes, nodes.add("Concat", *limited, axis=1))


def _certain(nodes: Nodes, scores: str, temperature: float) -> str:
    return nodes.add("Log", nodes.add("Add", add_softmax(nodes, scores, temperature), nodes.number(NEVER_ZERO)))


def _doubtful(nodes: Nodes, part: Part, rows: str, classes: Sequence[str]) -> str:
    shares = add_softmax(nodes, add_scores(nodes, part.pipeline, classes, rows), part.temperature)
    certain = nodes.add("Mul", shares, nodes.number(1 - DOUBT))
    return nodes.add("Log", nodes.add("Add", certain, nodes.number(DOUBT / len(classes))))
