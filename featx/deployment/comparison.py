"""A deployment beside featx: its own runner answers photos whose answers are known, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from featx.errors import FeatxError
from featx.labels.training_set import HELD_OUT

if TYPE_CHECKING:
    from featx.prediction.predict import Predictor

# How far numbers may be from those of featx.
TOLERANCE = 1e-4
# The photos of the store that a deployment is compared on; more would tell no more, and take minutes.
COMPARED = 500


@dataclass
class Comparison:
    """How far the answers of a deployment are from those of featx.

    `cosine` is the least between two embeddings of a photo; `label` and `sure` count the photos with another category
    or decision; `alone` is the largest difference that computing a photo alone or among others makes.
    """

    photos: int
    embedding: float
    probabilities: float
    similarity: float
    cosine: float
    label: int
    sure: int
    alone: float


def compare(folder: Path, graph: str, expected: Path, keep: Path | None = None) -> Comparison:
    """Run the program of a deployment as its users run it; `keep` is a file for its answers."""
    # -B: what Python keeps of the files it imports is no part of a deployment.
    command = [sys.executable, "-B", str(folder / "run.py"), "--model", graph, "--check", str(expected)]
    command += ["--keep", str(keep)] if keep is not None else []
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_clean_environment())
    try:
        return Comparison(**json.loads(done.stdout))
    except (ValueError, TypeError) as error:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise FeatxError("bug", f"the deployment does not run: {last}", "please report this") from error


def photos_of(predictor: Predictor, most: int) -> list[str]:
    """Photos of the store that are still there: half of them held out, where there are so many; evenly spread."""
    if predictor.store is None or most < 1:
        return []
    held_out = predictor.store.splits
    there = [(path, held_out[row] in HELD_OUT) for path, row in _paths(predictor).items() if Path(path).is_file()]
    held, others = ([path for path, is_held in there if is_held is wanted] for wanted in (True, False))
    n_held = min(len(held), max(most // 2, most - len(others)))
    return sorted(_spread(held, n_held) + _spread(others, most - n_held))


def rows_of(predictor: Predictor, paths: Sequence[str]) -> np.ndarray:
    """The rows of photos that `photos_of` picked."""
    row_of = _paths(predictor) if predictor.store is not None else {}
    return np.array([row_of.get(path, -1) for path in paths], dtype=int)


def _paths(predictor: Predictor) -> dict[str, int]:
    """The row of each photo of the store, by its path."""
    assert predictor.store is not None
    known = predictor.store.known()
    return {str(Path(known[name].path).absolute()): row for row, name in enumerate(predictor.store.ids)}


def _spread(paths: Sequence[str], most: int) -> list[str]:
    """So many of these, evenly spread."""
    n = min(most, len(paths))
    return [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, n).round().astype(int))] if n > 0 else []


def worst(comparisons: Sequence[Comparison]) -> Comparison:
    """Several comparisons as one."""
    counts = {
        name: sum(getattr(comparison, name) for comparison in comparisons) for name in ("photos", "label", "sure")
    }
    largest = {
        name: max(getattr(comparison, name) for comparison in comparisons)
        for name in ("embedding", "probabilities", "similarity", "alone")
    }
    return Comparison(**counts, **largest, cosine=min(comparison.cosine for comparison in comparisons))


def require_same_answers(comparison: Comparison, graph: str) -> None:
    """Refuse a graph that does not answer like featx."""
    far = max(comparison.embedding, comparison.probabilities, comparison.alone) > TOLERANCE
    if far or comparison.label or comparison.sure:
        raise FeatxError(
            "answers-differ",
            f"{graph} disagrees with featx on {comparison.photos:,} photos: {comparison.label:,} get another"
            f" category, {comparison.sure:,} another decision, and probabilities differ by up to"
            f" {comparison.probabilities:.1g}",
            "nothing was written; deploy a classifier on another backbone, and please report this",
        )


def _clean_environment() -> dict[str, str]:
    """The environment without what could lend featx to the runner."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
