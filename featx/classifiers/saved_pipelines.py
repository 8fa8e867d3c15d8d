"""A pipeline as arrays and back: it is built from its settings, and the checked arrays are put into it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from featx.classifiers.answering import AnsweringPipeline, answers_alone
from featx.classifiers.kinds import CLASSIFIERS
from featx.classifiers.pipelines import build, saved_steps
from featx.classifiers.spec import ClassifierSettings
from featx.classifiers.verification import UntrustedClassifier, take_array

DIRECTIONS = "ldaprojection"


def pipeline_arrays(pipeline: Any, settings: ClassifierSettings, prefix: str = "") -> dict[str, np.ndarray]:
    """Every fitted array of a pipeline, by the name it has in a file."""
    return {
        f"{prefix}{name}.{attribute}": getattr(step, attribute)
        for name, step, formats in saved_steps(pipeline, settings)
        for attribute in formats
    }


def take_pipeline(
    arrays: dict[str, np.ndarray], settings: ClassifierSettings, classes: Sequence[str], width: int, prefix: str = ""
) -> Any:
    """Take the arrays of a pipeline out of `arrays`: the pipeline, for rows of this width and these categories."""
    if settings.spec.shrinks_directions and settings.reduce is None and f"{prefix}{DIRECTIONS}.mean_" not in arrays:
        settings = replace(settings, reduce="none")  # an earlier featx learned it without directions
    pipeline: Any = AnsweringPipeline(settings) if answers_alone(settings) else build(settings)
    lengths = {"in": width, "classes": len(classes), "scores": 1 if len(classes) == 2 else len(classes)}
    for name, step, formats in saved_steps(pipeline, settings):
        step.n_features_in_ = lengths["in"]
        for attribute, wanted in formats.items():
            array = take_array(arrays, f"{prefix}{name}", attribute, wanted, lengths)
            setattr(step, attribute, array if array.ndim else array.item())
        lengths["in"] = lengths.pop("out", lengths["in"])
    pipeline[-1].classes_ = np.array(classes)
    if why := settings.spec.fault(pipeline[-1], lengths["in"]):
        raise UntrustedClassifier(why)
    return pipeline


def require_known_settings(settings: ClassifierSettings) -> None:
    """UntrustedClassifier where settings from a file name no classifier, or are out of range."""
    if settings.name not in CLASSIFIERS:
        raise UntrustedClassifier(f"it is a `{settings.name}`, which this featx does not know")
    sizes = (settings.strength, settings.width, settings.depth, settings.tried)
    if not all(size is None or 0 < size < math.inf for size in sizes):
        raise UntrustedClassifier("its settings are out of range")
    reduce = settings.reduce
    if not (reduce in (None, "lda", "none") or (isinstance(reduce, int) and reduce > 0)):
        raise UntrustedClassifier(f"its reduction is `{reduce}`")
