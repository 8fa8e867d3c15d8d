#!/usr/bin/env python3
"""Predict the category of product photos with model.onnx. Needs pillow, numpy and onnxruntime, nothing else.

    python run.py photo.jpg folder/    a line for each photo
    python run.py --json photo.jpg     a JSON record for each photo
    python run.py --check              compare the photos in golden/ with the answers they had when this was made
    python run.py --model model-int8.onnx photo.jpg    another graph of this folder, where it has several

In Python: `from run import Model; Model().predict(["photo.jpg"])`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from engine import Graph  # type: ignore[import-not-found]  # noqa: E402
from photo import decode, prepare  # type: ignore[import-not-found]  # noqa: E402

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".webp", ".bmp")
BATCH = 16
Record = dict[str, Any]


class Model:
    """The networks and the classifier in one graph; the file is compared with its digest before it is opened."""

    def __init__(self, folder: Path | str = HERE, threads: int = 0, graph: str = "model.onnx") -> None:
        self.graph = Graph(Path(folder) / graph, threads)
        self.contract: Record = self.graph.contract

    def read(self, path: Path | str) -> list[np.ndarray]:
        """One photo as the bytes that each network takes."""
        photo = self.contract["photo"]
        image = decode(Path(path).read_bytes(), photo["decode_size"])
        return [prepare(image, form) for form in photo["inputs"]]

    def run(self, photos: Sequence[list[np.ndarray]]) -> dict[str, np.ndarray]:
        """The outputs of the graph, by name, for photos as `read` gives them."""
        names = [form["name"] for form in self.contract["photo"]["inputs"]]
        inputs = {name: np.stack(tensors) for name, tensors in zip(names, zip(*photos, strict=True), strict=True)}
        outputs: dict[str, np.ndarray] = self.graph(inputs)
        return outputs

    def predict(self, paths: Iterable[Path | str]) -> Iterator[Record]:
        """A record for each photo: its category, how sure that is, and whether a person should look at it."""
        for some in batches(paths):
            photos, faults = [], {}
            for path in some:
                try:
                    photos.append(self.read(path))
                except Exception as error:  # a damaged photo must not end the run  # noqa: BLE001
                    faults[path] = getattr(error, "strerror", None) or str(error) or type(error).__name__
            answers = self.run(photos) if photos else {}
            rows = iter(range(len(photos)))
            for path in some:
                yield self._fault(path, faults[path]) if path in faults else self._answer(path, answers, next(rows))

    def _answer(self, path: Path | str, answers: dict[str, np.ndarray], row: int) -> Record:
        label, near, is_sure = int(answers["label"][row]), float(answers["similarity"][row]), answers["sure"][row]
        least, shares = self.contract["review"]["similarity"], answers["probabilities"][row]
        doubt = "unlike anything learned" if least is not None and near < least else None if is_sure else "unsure"
        if flags := [name for name, at in self._flagged_from() if shares[self.contract["labels"].index(name)] >= at]:
            doubt = f"may be {' or '.join(flags)}"
        share = round(float(shares[label]), 4)
        record = {"path": str(path), "category": self.contract["labels"][label], "sure": share, "review": not is_sure}
        return record | {"doubt": doubt, "similarity": round(near, 4), "error": None, **self._flags_field(flags)}

    def _flagged_from(self) -> list[tuple[str, np.float32]]:
        """The categories that must not be missed, with the probability from which a photo may be of them."""
        return [(name, np.float32(least)) for name, least in self.contract["review"]["flags"].items()]

    def _flags_field(self, flags: list[str]) -> Record:
        """The categories that it may be of, where there are any that must not be missed."""
        return {"flags": flags} if self.contract["review"]["flags"] else {}

    def _fault(self, path: Path | str, reason: str) -> Record:
        record = {"path": str(path), "category": None, "sure": None, "review": True}
        return record | {"doubt": None, "similarity": None, "error": reason, **self._flags_field([])}


def batches(paths: Iterable[Path | str]) -> Iterator[list[Path | str]]:
    """The photos, a few at a time."""
    left = iter(paths)
    while some := list(islice(left, BATCH)):
        yield some


def photos_in(names: Iterable[str]) -> Iterator[Path]:
    """The photos that are named, and those in the folders that are named."""
    for path in map(Path, names):
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        yield from inside


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Predict the category of product photos.")
    parser.add_argument("photos", nargs="*", metavar="PHOTO|FOLDER")
    parser.add_argument("--json", action="store_true", help="print a JSON record for each photo")
    golden = HERE / "golden" / "expected.npz"
    parser.add_argument("--check", nargs="?", const=golden, metavar="FILE.npz", help="compare with known answers")
    parser.add_argument("--keep", metavar="FILE.npz", help="with --check: write the answers to a file")
    parser.add_argument("--model", default="model.onnx", metavar="FILE", help="the graph of this folder to run")
    words = parser.parse_args()
    if not words.photos and not words.check:
        parser.error("name a photo or a folder, or use --check")
    model = Model(graph=words.model)
    if words.check:
        import check  # type: ignore[import-not-found]

        check.main(model, words.check, words.keep)
    for record in model.predict(photos_in(words.photos)):
        remark = record["error"] or record["doubt"] or ""
        line = f"{record['path']}\t{record['category'] or ''}\t{record['sure'] or ''}\t{remark}"
        print(json.dumps(record, ensure_ascii=False) if words.json else line)


if __name__ == "__main__":
    main()
