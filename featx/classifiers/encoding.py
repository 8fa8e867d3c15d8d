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

from featx.classifiers.answering import AnsweringPipeline, answers_alone
from featx.classifiers.coarsening import Coarsening, CoarsePipeline
from featx.classifiers.kinds import CLASSIFIERS
from featx.classifiers.novelty import NoveltyDetector
from featx.classifiers.pipelines import build, saved_steps
from featx.classifiers.spec import ClassifierSettings, numbers
from featx.classifiers.verification import UntrustedClassifier, require_all_taken, require_answers, take_array
from featx.files.regular import parse_json

FORMAT = 1
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


class Parts(msgspec.Struct):
    """The parts of a classifier in its file; the rest is on the card beside it."""

    settings: ClassifierSettings
    pipeline: Any
    classes: list[str]
    temperature: float
    novelty: NoveltyDetector


def encode(parts: Parts) -> bytes:
    """The bytes of a classifier; equal classifiers have equal bytes."""
    arrays = {f"{NOVELTY}.{ROWS}": parts.novelty.rows}
    for name, step, formats in saved_steps(parts.pipeline, parts.settings):
        arrays |= {f"{name}.{attribute}": getattr(step, attribute) for attribute in formats}
    # The number of threads does not change a forest.
    settings = replace(parts.settings, threads=ClassifierSettings.threads)
    header = Header(FORMAT, settings, list(parts.classes), float(parts.temperature), float(parts.novelty.threshold))
    if isinstance(parts.pipeline, CoarsePipeline):
        coarsening = parts.pipeline.coarsening
        header.finer = dict(zip(coarsening.finer, coarsening.parents.tolist(), strict=True))
        header.finer_temperature = float(coarsening.temperature)
    metadata = {KEY: json.dumps(msgspec.to_builtins(header))}
    data: bytes = safetensors.numpy.save({name: np.array(array, order="C") for name, array in arrays.items()}, metadata)
    return data


def decode(data: bytes, width: int) -> Parts:
    """The classifier in these bytes, for rows of this width; UntrustedClassifier if featx did not write them."""
    arrays, header = _unpack(data)
    settings, classes = _checked(header)
    pipeline: Any = AnsweringPipeline(settings) if answers_alone(settings) else build(settings)
    known = list(header.finer) or classes
    lengths = {"in": width, "classes": len(known), "scores": 1 if len(known) == 2 else len(known)}
    rows = arrays.get(f"{NOVELTY}.{ROWS}")
    if rows is not None and rows.shape[1:] != (width,):
        raise UntrustedClassifier(f"it does not answer for the {width} numbers of a photo")
    rows = take_array(arrays, NOVELTY, ROWS, numbers("rows learned from", "in"), dict(lengths))
    for name, step, formats in saved_steps(pipeline, settings):
        step.n_features_in_ = lengths["in"]
        for attribute, wanted in formats.items():
            array = take_array(arrays, name, attribute, wanted, lengths)
            setattr(step, attribute, array if array.ndim else array.item())
        lengths["in"] = lengths.pop("out", lengths["in"])
    pipeline[-1].classes_ = np.array(known)
    if why := settings.spec.fault(pipeline[-1], lengths["in"]):
        raise UntrustedClassifier(why)
    require_all_taken(arrays)
    if header.finer:
        parents = np.array(list(header.finer.values()))
        pipeline = CoarsePipeline(pipeline, Coarsening(known, classes, parents, header.finer_temperature))
    require_answers(pipeline, width)
    novelty = NoveltyDetector(rows, header.novelty_threshold)
    return Parts(settings, pipeline, classes, header.temperature, novelty)


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
    if header.format != FORMAT:
        raise UntrustedClassifier(f"it has format {header.format}, and this featx reads format {FORMAT}")
    if settings.name not in CLASSIFIERS:
        raise UntrustedClassifier(f"it is a `{settings.name}`, which this featx does not know")
    sizes = (settings.strength, settings.width, settings.depth, settings.tried)
    if not all(size is None or 0 < size < math.inf for size in sizes):
        raise UntrustedClassifier("its settings are out of range")
    reduce = settings.reduce
    if not (reduce in (None, "lda", "none") or (isinstance(reduce, int) and reduce > 0)):
        raise UntrustedClassifier(f"its reduction is `{reduce}`")
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise UntrustedClassifier("it has fewer than two categories, or one of them twice")
    if not 0 < header.temperature < math.inf or not math.isfinite(header.novelty_threshold):
        raise UntrustedClassifier("its temperature or novelty threshold is out of range")
    if header.finer and (
        not 0 < header.finer_temperature < math.inf or set(header.finer.values()) != {*range(len(classes))}
    ):
        raise UntrustedClassifier("its finer categories do not belong to its categories")
    return settings, classes
