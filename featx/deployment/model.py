"""Networks and classifier in one ONNX graph, with everything a runner must know in its metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, compose, helper

from featx.backbones.base import Encoder
from featx.backbones.engines.onnx_engine import COUNT, FEATURES, OPSET, PHOTOS
from featx.backbones.joined import JoinedEncoder
from featx.backbones.onnx_export import network_as_onnx
from featx.classifiers.model import Classifier
from featx.deployment.answers import add_probabilities
from featx.deployment.columns import columns_contract
from featx.deployment.graph import add_similarity, add_unit_length
from featx.deployment.nodes import Nodes
from featx.prediction.predict import Predictor
from featx.prediction.review import DecisionRule
from featx.version import __version__

# The key of the metadata, and the number of its format; another one where the graph takes columns beside a photo.
KEY, FORMAT, WITH_COLUMNS = "featx", 1, 2
# The form of a model that ONNX Runtime reads since 1.15.
IR_VERSION = 9
# A classifier of forests needs nodes of this set.
MACHINE_LEARNING = ("ai.onnx.ml", 3)


def build_model(predictor: Predictor, rule: DecisionRule) -> ModelProto:
    """One graph: a tensor of photo bytes for each network in; label, probabilities, decision and embedding out."""
    model, encoder = predictor.model, predictor.backbone
    parts = parts_of(encoder)
    names = input_names(parts)
    networks = [_network(part, f"network{i}/", name) for i, (part, name) in enumerate(zip(parts, names, strict=True))]
    nodes = Nodes("head/")
    rows = [f"network{i}/{FEATURES}" for i in range(len(parts))]
    if isinstance(encoder, JoinedEncoder):
        are_unit = [part.spec.unit_rows for part in parts]
        rows = [row if unit else add_unit_length(nodes, row) for row, unit in zip(rows, are_unit, strict=True)]
    features = nodes.add("Concat", *rows, axis=1) if len(rows) > 1 else rows[0]
    columns = _columns_input(model)
    outputs = _add_answers(nodes, model, rule, features, encoder.spec.width, *(value.name for value in columns))
    graph = helper.make_graph(
        [node for network in networks for node in network.node] + nodes.nodes,
        "featx",
        [value for network in networks for value in network.input] + columns,
        outputs,
        [tensor for network in networks for tensor in network.initializer] + nodes.constants,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(*MACHINE_LEARNING)]
    merged = helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="featx", producer_version=__version__
    )
    record = json.dumps(contract(predictor, rule), ensure_ascii=False, sort_keys=True)
    helper.set_model_props(merged, {KEY: record})
    onnx.checker.check_model(merged, full_check=True)
    return merged


def parts_of(encoder: Encoder) -> Sequence[Encoder]:
    """The encoders with a network of their own."""
    return encoder.parts if isinstance(encoder, JoinedEncoder) else (encoder,)


def input_names(parts: Sequence[Encoder]) -> list[str]:
    """The input for each network: `photo`, or `photo:NAME` where there are several."""
    return ["photo"] if len(parts) == 1 else [f"photo:{part.spec.name}" for part in parts]


def contract(predictor: Predictor, rule: DecisionRule) -> dict[str, Any]:
    """What a program needs to use the graph: labels, limits, and how a photo becomes bytes."""
    model, encoder = predictor.model, predictor.backbone
    parts = parts_of(encoder)
    inputs = [{"name": name, **asdict(part.photo_form())} for name, part in zip(input_names(parts), parts, strict=True)]
    return {
        "format": FORMAT if model.fusion is None else WITH_COLUMNS,
        "featx": __version__,
        "numbers": "float32",
        "labels": model.classes,
        "review": {
            "limits": [rule.limit_of(label) for label in model.classes],
            "words": rule.limit,
            "similarity": model.novelty.threshold if rule.unlike else None,
            "flags": dict(rule.flagged_from),
        },
        "photo": {"decode_size": None if predictor.exact else encoder.spec.decode_size, "inputs": inputs},
        "columns": columns_contract(model),
        "classifier": {"name": model.name, "written": model.card.written},
        "fingerprint": encoder.fingerprint.to_dict(),
    }


def contract_of(model: ModelProto) -> dict[str, Any]:
    """The record in a graph's metadata."""
    record: dict[str, Any] = json.loads(next(prop.value for prop in model.metadata_props if prop.key == KEY))
    return record


def _columns_input(model: Classifier) -> list[Any]:
    """The input for the columns of photos as numbers, where the classifier counts some."""
    if (columns := columns_contract(model)) is None:
        return []
    return [helper.make_tensor_value_info(columns["input"], TensorProto.FLOAT, [COUNT, columns["width"]])]


def _network(part: Encoder, prefix: str, name: str) -> onnx.GraphProto:
    """The graph of a network, its values prefixed; its input gets the name that users see."""
    graph = compose.add_prefix(onnx.load_from_string(network_as_onnx(part)), prefix).graph
    for value in graph.input:
        if value.name == f"{prefix}{PHOTOS}":
            value.name = name
    for node in graph.node:
        node.input[:] = [name if given == f"{prefix}{PHOTOS}" else given for given in node.input]
    return graph


def _add_answers(
    nodes: Nodes, model: Classifier, rule: DecisionRule, features: str, width: int, columns: str | None = None
) -> list[Any]:
    """The outputs of the graph."""
    shares = add_probabilities(nodes, model, features, columns)
    label = nodes.add("ArgMax", shares, axis=1, keepdims=0)
    confidence = nodes.add("ReduceMax", shares, nodes.whole_numbers(1), keepdims=0)
    limits = nodes.constant(np.array([rule.limit_of(name) for name in model.classes], dtype=np.float32))
    sure = nodes.add("GreaterOrEqual", confidence, nodes.add("Gather", limits, label, axis=0))
    similarity = add_similarity(nodes, model, features)
    if rule.unlike:
        known = nodes.add("GreaterOrEqual", similarity, nodes.number(model.novelty.threshold))
        sure = nodes.add("And", sure, known)
    if rule.flagged_from:
        sure = nodes.add("And", sure, nodes.add("Not", _is_flagged(nodes, model, rule, shares)))
    outputs: dict[str, tuple[str, int, list[str | int | None]]] = {
        "label": (label, TensorProto.INT64, [COUNT]),
        "probabilities": (shares, TensorProto.FLOAT, [COUNT, len(model.classes)]),
        "sure": (sure, TensorProto.BOOL, [COUNT]),
        "similarity": (similarity, TensorProto.FLOAT, [COUNT]),
        "embedding": (features, TensorProto.FLOAT, [COUNT, width]),
    }
    for name, (value, _, _) in outputs.items():
        nodes.name(value, name)
    return [helper.make_tensor_value_info(name, kind, shape) for name, (_, kind, shape) in outputs.items()]


def _is_flagged(nodes: Nodes, model: Classifier, rule: DecisionRule, shares: str) -> str:
    """Whether a photo may be of a category that must not be missed."""
    columns = nodes.whole_numbers(*(model.classes.index(name) for name in rule.flagged_from))
    from_here = nodes.constant(np.array(list(rule.flagged_from.values()), dtype=np.float32))
    reached = nodes.add("GreaterOrEqual", nodes.add("Gather", shares, columns, axis=1), from_here)
    how_many = nodes.add("ReduceSum", nodes.add("Cast", reached, to=Nodes.FLOAT), nodes.whole_numbers(1), keepdims=0)
    return nodes.add("Greater", how_many, nodes.number(0.5))
