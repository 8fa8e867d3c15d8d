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
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
try:
    import numpy as np
    from engine import Graph, cores, manifest_of  # type: ignore[import-not-found]
    from photo import bytes_of, decode, photos_in, prepare  # type: ignore[import-not-found]
    from records import Record, Records, line_of  # type: ignore[import-not-found]
except ImportError as error:
    sys.exit(f"{error.name} is missing: pip install -r {HERE / 'requirements.txt'}")

BATCH = 4  # what a core's cache holds; larger ones take longer for each photo


class Model:
    """The networks and the classifier in one graph; the file is compared with its digest before it is opened.

    Every core computes photos of its own. `threads=0` lets all cores compute one batch: for one photo now and then.
    """

    def __init__(self, folder: Path | str = HERE, threads: int = 1, graph: str = "model.onnx") -> None:
        self.graph = Graph(Path(folder) / graph, threads)
        self.at_once = max(2, cores() // threads if threads else 2)
        self.contract: Record = self.graph.contract
        self.records = Records(self.contract)
        self.columns: Any = None
        if self.contract["columns"]:
            from columns import Columns  # type: ignore[import-not-found]

            self.columns = Columns(Path(folder))

    def read(self, path: Path | str) -> list[np.ndarray]:
        """One photo as the bytes that each network takes."""
        photo = self.contract["photo"]
        image = decode(bytes_of(Path(path)), photo["decode_size"])
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
        left, waiting = iter(photos), deque[Any]()
        with ThreadPoolExecutor(self.at_once) as pool:
            while (some := list(islice(left, BATCH))) or waiting:
                if some:
                    waiting.append(pool.submit(self._answers, some))
                if not some or len(waiting) > 2 * self.at_once:
                    yield from waiting.popleft().result()

    def _answers(self, some: Sequence[tuple[Path | str, Record]]) -> list[Record]:
        read = [self._read(path) for path, _ in some]
        good = [(tensors, row) for (tensors, _), (_, row) in zip(read, some, strict=True) if tensors]
        outputs = self.run(*zip(*good, strict=True)) if good else {}
        numbers, records = iter(range(len(good))), []
        for (path, row), (tensors, fault) in zip(some, read, strict=True):
            record = self.records.answer(path, outputs, next(numbers)) if tensors else self.records.fault(path, fault)
            records.append(record | {name + "_" * (name in record): cell for name, cell in row.items()})
        return records

    def _read(self, path: Path | str) -> tuple[list[np.ndarray], str]:
        try:
            return self.read(path), ""
        except Exception as error:  # a damaged photo must not end the run  # noqa: BLE001
            return [], getattr(error, "strerror", None) or str(error) or type(error).__name__


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Predict the category of product photos.")
    parser.add_argument("photos", nargs="*", metavar="PHOTO|FOLDER", help="for each: category, how sure, and a doubt")
    parser.add_argument("--json", action="store_true", help="print a JSON record for each photo")
    golden = HERE / "golden" / "expected.npz"
    parser.add_argument("--check", nargs="?", const=golden, metavar="FILE.npz", help="compare with known answers")
    parser.add_argument("--keep", metavar="FILE.npz", help="with --check: write the answers to a file")
    parser.add_argument("--model", default="model.onnx", metavar="FILE", help="the graph of this folder to run")
    if names := manifest_of(HERE)["columns"]:
        import columns

        columns.add_flags(parser, names)
    words = parser.parse_args()
    if not words.photos and not words.check:
        parser.error("name a photo or a folder, or use --check")
    model = Model(threads=0 if words.check else 1, graph=words.model)
    if words.check:
        import check  # type: ignore[import-not-found]

        check.main(model, words.check, words.keep)
    paths = photos_in(words.photos)
    n_read = n_faults = 0
    for record in model.answers(columns.with_rows(paths, words, model.columns)) if names else model.predict(paths):
        print(json.dumps(record, ensure_ascii=False) if words.json else line_of(record))
        n_read, n_faults = n_read + (not record["error"]), n_faults + bool(record["error"])
    if not n_read:
        sys.exit("no photo could be read" if n_faults else "there is no photo in what you named")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names may be no text
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever reads the answers has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
