#!/usr/bin/env python3
"""Predict the category of product photos with model.onnx. Needs pillow, numpy and onnxruntime, nothing else.

    python run.py photo.jpg folder/    a line for each photo
    python run.py --json photo.jpg     a JSON record for each photo
    python run.py --check              compare the photos in golden/ with the answers they had when this was made

In Python: `from run import Model; Model().predict(["photo.jpg"])`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped,unused-ignore]

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from photo import decode, prepare  # type: ignore[import-not-found]  # noqa: E402

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".webp", ".bmp")
BATCH = 16
# How far answers may be from those of featx.
TOLERANCE = 1e-4
Record = dict[str, Any]


class Model:
    """The networks and the classifier of model.onnx; the file is compared with its digest before it is opened."""

    def __init__(self, folder: Path | str = HERE, threads: int = 0) -> None:
        file, manifest = Path(folder) / "model.onnx", Path(folder) / "manifest.json"
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if digest != json.loads(manifest.read_text("utf-8"))["files"][file.name]:
            sys.exit(f"{file} is damaged: its SHA-256 is not the one in {manifest.name}; copy the folder again")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        options.enable_cpu_mem_arena = False  # memory for one batch, not for the largest there ever was
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.contract: Record = json.loads(self.session.get_modelmeta().custom_metadata_map["featx"])

    def read(self, path: Path | str) -> list[np.ndarray]:
        """One photo as the bytes that each network takes."""
        photo = self.contract["photo"]
        image = decode(Path(path).read_bytes(), photo["decode_size"])
        return [prepare(image, form) for form in photo["inputs"]]

    def run(self, photos: Sequence[list[np.ndarray]]) -> dict[str, np.ndarray]:
        """The outputs of the graph, by name, for photos as `read` gives them."""
        names = [form["name"] for form in self.contract["photo"]["inputs"]]
        inputs = {name: np.stack(tensors) for name, tensors in zip(names, zip(*photos, strict=True), strict=True)}
        return dict(zip(self.outputs, self.session.run(self.outputs, inputs), strict=True))

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
        least = self.contract["review"]["similarity"]
        doubt = "unlike anything learned" if least is not None and near < least else None if is_sure else "unsure"
        share = round(float(answers["probabilities"][row, label]), 4)
        record = {"path": str(path), "category": self.contract["labels"][label], "sure": share, "review": not is_sure}
        return record | {"doubt": doubt, "similarity": round(near, 4), "error": None}

    def _fault(self, path: Path | str, reason: str) -> Record:
        record = {"path": str(path), "category": None, "sure": None, "review": True}
        return record | {"doubt": None, "similarity": None, "error": reason}


def check(model: Model, expected: Path | str) -> Record:
    """The largest differences from the answers in a file, and how many categories and decisions are others."""
    with np.load(expected, allow_pickle=False) as file:
        wanted = dict(file)
    paths = [Path(expected).parent / name for name in wanted.pop("files").tolist()]
    answers = [model.run([model.read(path) for path in some]) for some in batches(paths)]
    own = {name: np.concatenate([answer[name] for answer in answers]) for name in wanted}
    numbers = ("embedding", "probabilities", "similarity")
    result = {name: float(np.abs(own[name] - wanted[name]).max()) for name in numbers}
    others = {name: int((own[name] != wanted[name]).sum()) for name in ("label", "sure")}
    return {"photos": len(paths), **result, **others}


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
    words = parser.parse_args()
    if not words.photos and not words.check:
        parser.error("name a photo or a folder, or use --check")
    model = Model()
    if words.check:
        result = check(model, words.check)
        print(json.dumps(result))
        far = max(result["embedding"], result["probabilities"]) > TOLERANCE or result["label"] or result["sure"]
        sys.exit("the answers differ from those of featx" if far else 0)
    for record in model.predict(photos_in(words.photos)):
        remark = record["error"] or record["doubt"] or ""
        line = f"{record['path']}\t{record['category'] or ''}\t{record['sure'] or ''}\t{remark}"
        print(json.dumps(record, ensure_ascii=False) if words.json else line)


if __name__ == "__main__":
    main()
