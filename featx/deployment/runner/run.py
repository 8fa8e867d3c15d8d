#!/usr/bin/env python3
"""Predict the category of product photos with model.onnx. Needs pillow, numpy and onnxruntime, nothing else.

    python run.py photo.jpg folder/    a line for each photo
    python run.py --json photo.jpg     a JSON record for each photo
    python run.py --check              compare the photos in golden/ with the answers they had when this was made
    python run.py --model model-int8.onnx photo.jpg    another graph of this folder, where it has several
    python run.py --title "Oat drink" photo.jpg    with its columns, where the classifier counts some
    python run.py list.csv    the photos of a table with their columns

In Python: `from run import Model; Model().predict(["photo.jpg"])`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from engine import Graph  # type: ignore[import-not-found]  # noqa: E402
from photo import decode, photos_in, prepare  # type: ignore[import-not-found]  # noqa: E402

BATCH = 16
Record = dict[str, Any]


class Model:
    """The networks and the classifier in one graph; the file is compared with its digest before it is opened."""

    def __init__(self, folder: Path | str = HERE, threads: int = 0, graph: str = "model.onnx") -> None:
        self.graph = Graph(Path(folder) / graph, threads)
        self.contract: Record = self.graph.contract
        self.columns: Any = None
        if self.contract["columns"]:
            from columns import Columns  # type: ignore[import-not-found]

            self.columns = Columns(Path(folder))

    def read(self, path: Path | str) -> list[np.ndarray]:
        """One photo as the bytes that each network takes."""
        photo = self.contract["photo"]
        image = decode(Path(path).read_bytes(), photo["decode_size"])
        return [prepare(image, form) for form in photo["inputs"]]

    def run(self, photos: Sequence[list[np.ndarray]], rows: Sequence[Record] | None = None) -> dict[str, np.ndarray]:
        """The outputs of the graph, by name, for photos as `read` gives them, each with its row of columns."""
        names = [form["name"] for form in self.contract["photo"]["inputs"]]
        inputs = {name: np.stack(tensors) for name, tensors in zip(names, zip(*photos, strict=True), strict=True)}
        if self.columns is not None:
            inputs[self.contract["columns"]["input"]] = self.columns.encode(rows or [{}] * len(photos))
        outputs: dict[str, np.ndarray] = self.graph(inputs)
        return outputs

    def predict(self, paths: Iterable[Path | str], rows: Iterable[Record] | None = None) -> Iterator[Record]:
        """A record for each photo: its category, how sure that is, and whether a person should look at it.

        `rows` holds the columns of each photo, such as {"title": "Oat drink"}, where the classifier counts some.
        """
        return self.answers(((path, {}) for path in paths) if rows is None else zip(paths, rows, strict=True))

    def answers(self, photos: Iterable[tuple[Path | str, Record]]) -> Iterator[Record]:
        """The same for photos with their rows; a row's columns follow its answer."""
        left = iter(photos)
        with ThreadPoolExecutor() as pool:
            while some := list(islice(left, BATCH)):
                read = list(pool.map(self._read, (path for path, _ in some)))
                good = [(tensors, row) for (tensors, _), (_, row) in zip(read, some, strict=True) if tensors]
                outputs = self.run(*zip(*good, strict=True)) if good else {}
                numbers = iter(range(len(good)))
                for (path, row), (tensors, fault) in zip(some, read, strict=True):
                    record = self._answer(path, outputs, next(numbers)) if tensors else self._fault(path, fault)
                    yield record | {name + "_" * (name in record): cell for name, cell in row.items()}

    def _read(self, path: Path | str) -> tuple[list[np.ndarray], str]:
        try:
            return self.read(path), ""
        except Exception as error:  # a damaged photo must not end the run  # noqa: BLE001
            return [], getattr(error, "strerror", None) or str(error) or type(error).__name__

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


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Predict the category of product photos.")
    parser.add_argument("photos", nargs="*", metavar="PHOTO|FOLDER")
    parser.add_argument("--json", action="store_true", help="print a JSON record for each photo")
    golden = HERE / "golden" / "expected.npz"
    parser.add_argument("--check", nargs="?", const=golden, metavar="FILE.npz", help="compare with known answers")
    parser.add_argument("--keep", metavar="FILE.npz", help="with --check: write the answers to a file")
    parser.add_argument("--model", default="model.onnx", metavar="FILE", help="the graph of this folder to run")
    names = json.loads((HERE / "manifest.json").read_text("utf-8"))["columns"]
    if names:
        import columns

        columns.add_flags(parser, names)
    words = parser.parse_args()
    if not words.photos and not words.check:
        parser.error("name a photo or a folder, or use --check")
    model = Model(graph=words.model)
    if words.check:
        import check  # type: ignore[import-not-found]

        check.main(model, words.check, words.keep)
    paths = photos_in(words.photos)
    n_read = n_faults = 0
    for record in model.answers(columns.with_rows(paths, words, model.columns)) if names else model.predict(paths):
        remark = record["error"] or record["doubt"] or ""
        line = f"{record['path']}\t{record['category'] or ''}\t{record['sure'] or ''}\t{remark}"
        print(json.dumps(record, ensure_ascii=False) if words.json else line)
        n_read, n_faults = n_read + (not record["error"]), n_faults + bool(record["error"])
    if not n_read:
        sys.exit("no photo could be read" if n_faults else "there is no photo in what you named")


if __name__ == "__main__":
    main()
