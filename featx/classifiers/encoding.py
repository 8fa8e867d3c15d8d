"""A classifier as bytes and back: its arrays as safetensors, and a typed header.

No object is rebuilt from a file. The pipeline is made from the settings in the header by the code that made it for
training, and the checked arrays are put into it: a file can hold wrong numbers, but nothing that runs.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import safetensors
import safetensors.numpy

from featx.classifiers.coarsening import Coarsening, CoarsePipeline
from featx.classifiers.columns.fusion import Fusion
from featx.classifiers.columns.records import FusionHeader, fusion_arrays, fusion_header, take_fusion
from featx.classifiers.novelty import NoveltyDetector
from featx.classifiers.saved_pipelines import pipeline_arrays, require_known_settings, take_pipeline
from featx.classifiers.spec import ClassifierSettings, numbers
from featx.classifiers.verification import (
    UntrustedClassifier,
    require_all_taken,
    require_answers,
    require_finite,
    take_array,
)
from featx.files.regular import parse_json

FORMAT = 1
# What a classifier that counts columns too is written in, so that a featx which knows of none refuses it.
WITH_COLUMNS = 2
# The only metadata key: safetensors writes several in any order, so equal classifiers would differ.
KEY = "featx-classifier"
NOVELTY, ROWS = "novelty", "rows"

# safetensors' names of the types that featx writes.
TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8"}


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """Everything of a classifier that is not an array."""

    format: int
    settings: ClassifierSettings
    classes: list[str]
    temperature: float
    novelty_threshold: float
    # For each finer category that the pipeline knows, the index of the category it answers with.
    finer: dict[str, int] = {}
    finer_temperature: float = 1.0
    fusion: FusionHeader | None = None


class Parts(msgspec.Struct):
    """The parts of a classifier in its file; the rest is on the card beside it."""

    settings: ClassifierSettings
    pipeline: Any
    classes: list[str]
    temperature: float
    novelty: NoveltyDetector
    fusion: Fusion | None = None


def encode(parts: Parts) -> bytes:
    """The bytes of a classifier; equal classifiers have equal bytes."""
    arrays = {f"{NOVELTY}.{ROWS}": parts.novelty.rows} | pipeline_arrays(parts.pipeline, parts.settings)
    # The number of threads does not change a forest.
    settings = replace(parts.settings, threads=ClassifierSettings.threads)
    header = Header(FORMAT, settings, list(parts.classes), float(parts.temperature), float(parts.novelty.threshold))
    if isinstance(parts.pipeline, CoarsePipeline):
        coarsening = parts.pipeline.coarsening
        header.finer = dict(zip(coarsening.finer, coarsening.parents.tolist(), strict=True))
        header.finer_temperature = float(coarsening.temperature)
    record = msgspec.to_builtins(header)
    del record["fusion"]
    if parts.fusion is not None:
        arrays |= fusion_arrays(parts.fusion)
        record |= {"format": WITH_COLUMNS, "fusion": msgspec.to_builtins(fusion_header(parts.fusion))}
    metadata = {KEY: json.dumps(record)}
    data: bytes = safetensors.numpy.save({name: np.array(array, order="C") for name, array in arrays.items()}, metadata)
    return data


def decode(data: bytes, width: int) -> Parts:
    """The classifier in these bytes, for rows of this width; UntrustedClassifier if featx did not write them."""
    arrays, header = _unpack(data)
    settings, classes = _checked(header)
    known = list(header.finer) or classes
    rows = arrays.get(f"{NOVELTY}.{ROWS}")
    if rows is not None and rows.shape[1:] != (width,):
        raise UntrustedClassifier(f"it does not answer for the {width} numbers of a photo")
    rows = take_array(arrays, NOVELTY, ROWS, numbers("rows learned from", "in"), {"in": width})
    pipeline = take_pipeline(arrays, settings, known, width)
    fusion = None if header.fusion is None else take_fusion(arrays, header.fusion, classes, width)
    require_all_taken(arrays)
    if header.finer:
        parents = np.array(list(header.finer.values()))
        pipeline = CoarsePipeline(pipeline, Coarsening(known, classes, parents, header.finer_temperature))
    require_answers(pipeline, width)
    if fusion is not None:
        require_fused_answers(fusion, classes, width)
    novelty = NoveltyDetector(rows, header.novelty_threshold)
    return Parts(settings, pipeline, classes, header.temperature, novelty, fusion)


def require_fused_answers(fusion: Fusion, classes: list[str], width: int) -> None:
    """UntrustedClassifier unless it answers for a photo with strange columns."""
    columns = {name: ["1", "strange words", None] for name in fusion.names}
    photo, features = np.zeros((3, len(classes))), np.ones((3, width), dtype=np.float32)
    require_finite(lambda: fusion.scores(photo, features, columns, classes)[0])


def _unpack(data: bytes) -> tuple[dict[str, np.ndarray], Header]:
    """The arrays and the header of a file. safetensors refuses lengths that do not match the file."""
    try:
        tensors = safetensors.deserialize(data)  # type: ignore[no-untyped-call,unused-ignore]
        head = msgspec.json.decode(data[8 : 8 + int.from_bytes(data[:8], "little")])
        # Not msgspec's reader: labels may hold bytes that are not text, which it cannot represent.
        header = msgspec.convert(parse_json(head["__metadata__"][KEY].encode()), Header)
    except (safetensors.SafetensorError, msgspec.MsgspecError, ValueError, KeyError, RecursionError) as error:
        raise UntrustedClassifier(f"it cannot be parsed ({type(error).__name__}: {error})") from error
    if unknown := sorted({str(tensor["dtype"]) for _, tensor in tensors} - set(TYPES)):
        raise UntrustedClassifier(f"it holds number types that no classifier of featx has: {', '.join(unknown)}")
    return {
        name: np.frombuffer(tensor["data"], TYPES[tensor["dtype"]]).reshape(tensor["shape"]).copy()
        for name, tensor in tensors
    }, header


def _checked(header: Header) -> tuple[ClassifierSettings, list[str]]:
    """The settings and categories of a header, checked."""
    settings, classes = header.settings, header.classes
    wanted = FORMAT if header.fusion is None else WITH_COLUMNS
    if header.format != wanted:
        raise UntrustedClassifier(f"it has format {header.format}, and this featx reads format {wanted}")
    require_known_settings(settings)
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise UntrustedClassifier("it has fewer than two categories, or one of them twice")
    if not 0 < header.temperature < math.inf or not math.isfinite(header.novelty_threshold):
        raise UntrustedClassifier("its temperature or novelty threshold is out of range")
    if header.finer and (
        not 0 < header.finer_temperature < math.inf or set(header.finer.values()) != {*range(len(classes))}
    ):
        raise UntrustedClassifier("its finer categories do not belong to its categories")
    return settings, classes
