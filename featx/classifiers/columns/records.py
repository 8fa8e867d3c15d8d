"""A fusion as a typed header and arrays, and back; whatever comes from a file is checked."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import numpy as np

from featx.backbones.sentences import FINGERPRINT
from featx.classifiers.columns.encoders import ChoiceEncoder, ColumnEncoder, NumberEncoder, TextEncoder
from featx.classifiers.columns.fusion import Fusion, Part, Way
from featx.classifiers.columns.learning import ColumnsEncoder, MeaningEncoder
from featx.classifiers.columns.values import Kind
from featx.classifiers.saved_pipelines import pipeline_arrays, require_known_settings, take_pipeline
from featx.classifiers.spec import ClassifierSettings, numbers
from featx.classifiers.verification import UntrustedClassifier, take_array

COLUMNS, STACK = "columns.", "stack."


class ColumnHeader(msgspec.Struct, forbid_unknown_fields=True):
    """A column and how it becomes numbers; `words` are the pieces of its texts, or its choices.

    `sentences` is the fingerprint of what turns its texts into numbers by meaning. `repeats` is false for texts in
    which each piece counts once, and is missing in files of earlier classifiers.
    """

    name: str
    kind: Kind
    words: list[str] = []
    unseen: float = 0.0
    sentences: str = ""
    repeats: bool = True


class PartHeader(msgspec.Struct, forbid_unknown_fields=True):
    """A pipeline of a fusion: its settings, its categories and its temperature."""

    settings: ClassifierSettings
    classes: list[str]
    temperature: float


class FusionHeader(msgspec.Struct, forbid_unknown_fields=True):
    """Everything of a fusion that is not an array."""

    way: Way
    columns: list[ColumnHeader]
    answer: PartHeader
    photo_temperature: float
    temperature: float
    weight: float
    reads: bool
    stack: PartHeader | None = None
    looks: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1


def fusion_header(fusion: Fusion) -> FusionHeader:
    """The header of a fusion."""
    return FusionHeader(
        fusion.way,
        encoder_headers(fusion.encoder),
        _part_header(fusion.columns),
        float(fusion.photo_temperature),
        float(fusion.temperature),
        float(fusion.weight),
        fusion.reads,
        None if fusion.stack is None else _part_header(fusion.stack),
        fusion.looks,
    )


def encoder_headers(encoder: ColumnsEncoder) -> list[ColumnHeader]:
    """The header of each column."""
    return [_column_header(name, encoder.kinds[name], column) for name, column in encoder.encoders.items()]


def _column_header(name: str, kind: Kind, encoder: ColumnEncoder) -> ColumnHeader:
    if isinstance(encoder, MeaningEncoder):
        header = _column_header(name, kind, encoder.pieces)
        return msgspec.structs.replace(header, sentences=encoder.fingerprint)
    if isinstance(encoder, TextEncoder):
        return ColumnHeader(name, kind, list(encoder.pieces), float(encoder.unseen), repeats=encoder.repeats)
    return ColumnHeader(name, kind, list(encoder.choices) if isinstance(encoder, ChoiceEncoder) else [])


def _part_header(part: Part) -> PartHeader:
    # The number of threads does not change a classifier.
    settings = replace(part.settings, threads=ClassifierSettings.threads)
    return PartHeader(settings, part.pipeline.classes_.tolist(), float(part.temperature))


def fusion_arrays(fusion: Fusion) -> dict[str, np.ndarray]:
    """Every array of a fusion, by the name it has in a file."""
    arrays = pipeline_arrays(fusion.columns.pipeline, fusion.columns.settings, COLUMNS)
    if fusion.stack is not None:
        arrays |= pipeline_arrays(fusion.stack.pipeline, fusion.stack.settings, STACK)
    return arrays | encoder_arrays(fusion.encoder)


def encoder_arrays(encoder: ColumnsEncoder) -> dict[str, np.ndarray]:
    """The arrays of the columns, by the name they have in a file."""
    arrays: dict[str, np.ndarray] = {}
    for i, column in enumerate(encoder.encoders.values()):
        own = column.pieces if isinstance(column, MeaningEncoder) else column
        if isinstance(own, TextEncoder):
            arrays |= {f"column {i}.weights": own.weights, f"column {i}.directions": own.directions}
        elif isinstance(own, NumberEncoder):
            arrays[f"column {i}.knots"] = own.knots
    return arrays


def take_fusion(arrays: dict[str, np.ndarray], header: FusionHeader, classes: list[str], width: int) -> Fusion:
    """Take a fusion out of `arrays`: for rows of this width and answers in these categories."""
    _check(header, classes)
    encoders = {column.name: _encoder(arrays, i, column) for i, column in enumerate(header.columns)}
    encoder = ColumnsEncoder({column.name: column.kind for column in header.columns}, encoders)
    wide = encoder.width + (width if header.way is Way.JOINED else 0)
    stack = None if header.stack is None else _part(arrays, header.stack, 2 * len(classes), STACK)
    return Fusion(
        header.way,
        encoder,
        _part(arrays, header.answer, wide, COLUMNS),
        header.photo_temperature,
        header.temperature,
        header.weight,
        stack,
        header.reads,
        header.looks,
    )


def _check(header: FusionHeader, classes: list[str]) -> None:
    parts = [header.answer, *([] if header.stack is None else [header.stack])]
    heats = [header.photo_temperature, header.temperature, header.weight, *(part.temperature for part in parts)]
    if not all(0 < heat < math.inf for heat in heats):
        raise UntrustedClassifier("a temperature or weight of its columns is out of range")
    if (header.way is Way.STACKED) != (header.stack is not None):
        raise UntrustedClassifier("its columns are not joined in the way that it names")
    if not header.columns or len({column.name for column in header.columns}) < len(header.columns):
        raise UntrustedClassifier("it wants no column, or one of them twice")
    for part in parts:
        require_known_settings(part.settings)
        if len(set(part.classes)) < max(2, len(part.classes)) or not set(part.classes) <= set(classes):
            raise UntrustedClassifier("the categories of its columns are not its own")


def _part(arrays: dict[str, np.ndarray], header: PartHeader, width: int, prefix: str) -> Part:
    pipeline: Any = take_pipeline(arrays, header.settings, header.classes, width, prefix)
    return Part(header.settings, pipeline, header.temperature)


def _encoder(arrays: dict[str, np.ndarray], i: int, header: ColumnHeader) -> ColumnEncoder:
    """The encoder of a column, its arrays checked."""
    owner = f"column {i}"
    if header.kind is Kind.MEANING:
        if header.sentences != FINGERPRINT:
            raise UntrustedClassifier(f"its column `{header.name}` was learned with other sentences")
        return MeaningEncoder(_text_encoder(arrays, i, header))
    if header.kind is Kind.TEXT:
        return _text_encoder(arrays, i, header)
    if header.kind is Kind.NUMBER:
        knots = take_array(arrays, owner, "knots", numbers("knots"), {})
        if not len(knots) or not (np.diff(knots) > 0).all():
            raise UntrustedClassifier(f"the quantiles of its column `{header.name}` do not rise")
        return NumberEncoder(knots)
    return ChoiceEncoder(header.words)


def _text_encoder(arrays: dict[str, np.ndarray], i: int, header: ColumnHeader) -> TextEncoder:
    if not 0 <= header.unseen < math.inf:
        raise UntrustedClassifier(f"the weights of its column `{header.name}` are out of range")
    owner, words = f"column {i}", {"words": len(header.words)}
    weights = take_array(arrays, owner, "weights", numbers("words"), words)
    directions = take_array(arrays, owner, "directions", numbers("words", "directions"), words)
    return TextEncoder(header.words, weights, directions, header.unseen, header.repeats)
