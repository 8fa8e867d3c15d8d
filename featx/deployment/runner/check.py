"""Compares the answers of a graph with those that featx gave to the same photos."""

from __future__ import annotations

import json
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-4  # how far numbers may be from those of featx
LEAST_COSINE = 0.9
BATCH = 32
NUMBERS, DECISIONS = ("embedding", "probabilities", "similarity"), ("label", "sure")
Arrays = dict[str, np.ndarray]
Row = dict[str, Any]


def read_expected(expected: Path | str) -> tuple[list[Path], list[Row] | None, Arrays]:
    """The photos of a file of answers, the columns they were given where there are any, and the answers."""
    try:
        with np.load(expected, allow_pickle=False) as file:
            wanted = dict(file)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        known = "golden/expected.npz, as `--check` alone does"
        sys.exit(
            f"{expected} holds no known answers ({getattr(error, 'strerror', None) or 'no .npz file'}): take {known}"
        )
    rows = [json.loads(row) for row in wanted.pop("columns").tolist()] if "columns" in wanted else None
    return [Path(expected).parent / name for name in wanted.pop("files").tolist()], rows, wanted


def check(model: Any, expected: Path | str, keep: Path | str | None = None) -> dict[str, Any]:
    """The largest differences from the answers in a file, and how many categories and decisions are others.

    An answer on the very edge of another may fall on either side, and is not counted. `alone` is the largest difference
    that a photo's company makes. With `keep`, the answers are written to that file.
    """
    paths, rows, wanted = read_expected(expected)
    own, alone = _answers(model, paths, rows or [{}] * len(paths))
    if keep is not None:
        kept: dict[str, Any] = {name: own[name] for name in wanted}
        np.savez(keep, **kept)
    numbers = {name: _apart(own[name], wanted[name]) for name in NUMBERS}
    counts = ~(_ties(wanted, model.contract["review"]) | _at_a_flag(wanted, model.contract))
    others = {name: int((own[name] != wanted[name])[counts].sum()) for name in DECISIONS}
    cosine = _least_cosine(own["embedding"], wanted["embedding"])
    return {"photos": len(paths), **numbers, "cosine": cosine, **others, "alone": alone}


def fails(result: dict[str, Any], numbers: str) -> bool:
    """Whether a comparison fails; the features of a graph of integers need only be near."""
    if numbers == "int8":
        return not result["cosine"] >= LEAST_COSINE
    far = max(result["embedding"], result["probabilities"]) > TOLERANCE
    return bool(far or result["label"] or result["sure"])


def _answers(model: Any, paths: list[Path], rows: list[Row]) -> tuple[Arrays, float]:
    """The answers to photos by batches, and how far they are from those to the first photos alone."""
    answers, alone = [], 0.0
    for start in range(0, len(paths), BATCH):
        with ThreadPoolExecutor() as pool:
            photos = list(pool.map(model.read, paths[start : start + BATCH]))
        answers.append(model.run(photos, rows[start : start + BATCH]))
        if start == 0:
            singles = [model.run([photo], [row]) for photo, row in zip(photos, rows, strict=False)]
            alone = max(_apart(np.concatenate([one[name] for one in singles]), answers[0][name]) for name in NUMBERS)
    return {name: np.concatenate([answer[name] for answer in answers]) for name in NUMBERS + DECISIONS}, alone


def _ties(wanted: Arrays, review: dict[str, Any]) -> np.ndarray:
    """The photos whose answer is nearer to a limit, or to the next category, than numbers may be apart."""
    second, first = np.sort(wanted["probabilities"], axis=1)[:, -2:].T
    at_limit = np.abs(first - np.array(review["limits"])[wanted["label"]]) <= TOLERANCE
    least = review["similarity"]
    unlike = np.abs(wanted["similarity"] - least) <= TOLERANCE if least is not None else False
    ties: np.ndarray = (first - second <= TOLERANCE) | at_limit | unlike
    return ties


def _at_a_flag(wanted: Arrays, contract: dict[str, Any]) -> np.ndarray:
    """The photos nearer to the probability of a flag than numbers may be apart."""
    flags = contract["review"]["flags"]
    columns = [contract["labels"].index(name) for name in flags]
    near = np.abs(wanted["probabilities"][:, columns] - np.array(list(flags.values()))) <= TOLERANCE
    ties: np.ndarray = near.any(axis=1)
    return ties


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def _least_cosine(one: np.ndarray, other: np.ndarray) -> float:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / np.maximum(lengths, 1e-30)).min())


def main(model: Any, expected: Path | str, keep: Path | str | None) -> None:
    """Print a comparison, and end the program."""
    try:
        result = check(model, expected, keep)
    except (OSError, ValueError) as error:
        sys.exit(f"the photos of {expected} cannot be read: {error}")
    print(json.dumps(result))
    failed = fails(result, model.contract["numbers"])
    sys.exit("the answers differ from those of featx" if failed else 0)
