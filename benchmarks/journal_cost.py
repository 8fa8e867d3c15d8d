"""What it costs that every batch is on the disk before it is reported: `python benchmarks/journal_cost.py [ROWS]`.

Rows of 2,048 float32 in batches of 16 (as on a CPU) and 128 (as on a GPU), with the sync and without, and the final
sealing. An extraction's share is the time per row beside the time a network needs for one photo.

With `--photos FOLDER` whole extractions, in turn with the same ones that keep every row in memory and write a plain
HDF5 file in the end, as a script would.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
from PIL import Image

from featx.backbones import Fingerprint
from featx.catalogue.items import Item
from featx.catalogue.reading import read_catalogue
from featx.extraction import ExtractionOptions, run_extraction
from featx.store import Row, StoreWriter

WIDTH = 2048
PHOTO_MS = {"a network at 40 images/s": 25.0, "a network at 400 images/s": 2.5}


def appended(rows: int, batch: int, folder: Path) -> dict[str, float]:
    """Seconds for each row: committing batches, and sealing them into the file in the end."""
    features = np.random.default_rng(0).random((rows, WIDTH), dtype=np.float32)
    path = folder / f"{batch}.h5"
    with StoreWriter.open(path, Fingerprint.from_dict({"backbone": "x", "width": WIDTH})) as writer:
        begun = time.perf_counter()
        for start in range(0, rows, batch):
            writer.append(
                [
                    Row(f"i{i}", f"photos/{i}.jpg", f"{i:064x}", "label", None, None, {}, features[i])
                    for i in range(start, min(start + batch, rows))
                ]
            )
        committed = time.perf_counter()
        writer.seal()
        sealed = time.perf_counter()
    for name in folder.glob(f"{batch}.*"):
        name.unlink()
    return {"append_ms": 1000 * (committed - begun) / rows, "seal_ms": 1000 * (sealed - committed) / rows}


class Careless(StoreWriter):
    """Rows are kept in memory and written once, without a sync: what a script does."""

    def append(self, rows: Sequence[Row]) -> None:
        """Remember rows."""
        self.mine: list[Row] = [*getattr(self, "mine", []), *rows]

    def known(self) -> Mapping[str, Item]:
        """What is remembered."""
        return {row.item_id: Item(row.item_id, row.path, digest=row.digest) for row in self.mine}

    def note_skipped(self, *_: Any, **__: Any) -> None:
        """Forgotten."""

    def seal(self, **_: Any) -> None:
        """Write everything at once."""
        with h5py.File(self.path, "w") as file:
            file["features"] = np.stack([row.features for row in self.mine])
            file["path"] = [row.path for row in self.mine]


def many_of(folder: Path, copies: int, place: Path) -> int:
    """Photos of a folder again and again, no two with the same bytes."""
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for number in range(copies):
        for i, path in enumerate(photos):
            comment = f"{number}".encode()
            photo = path.read_bytes()
            # A comment behind the first two bytes makes another file of the same picture.
            marked = photo[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + photo[2:]
            (place / f"{number}-{i}.jpg").write_bytes(marked)
    with Image.open(place / f"{copies - 1}-0.jpg") as image:
        image.load()
    return copies * len(photos)


def whole(options: argparse.Namespace) -> None:
    """Extractions with and without a store that loses nothing, in turn."""
    took: dict[str, list[float]] = {"careless": [], "featx": []}
    with tempfile.TemporaryDirectory(dir=".") as name:
        place = Path(name) / "photos"
        place.mkdir()
        n = many_of(options.photos, options.copies, place)
        catalogue = read_catalogue(place)
        settings = {"backbone": options.backbone, "weights": options.weights, "precision": options.precision}
        for number in range(-1, options.rounds):
            # Now one first, now the other: a machine that grows slower disturbs both alike.
            for way, seconds in sorted(took.items(), reverse=number % 2 == 1):
                begun = time.perf_counter()
                with mock.patch("featx.extraction.run.StoreWriter", Careless if way == "careless" else StoreWriter):
                    run_extraction(catalogue, ExtractionOptions(**settings), store=Path(name) / f"{way}{number}.h5")
                if number >= 0:  # the first of each warms everything
                    seconds.append(time.perf_counter() - begun)
    middle = {way: statistics.median(seconds) for way, seconds in took.items()}
    pairs = [safe / plain - 1 for plain, safe in zip(took["careless"], took["featx"], strict=True)]
    print(json.dumps({
        "photos": n, "backbone": options.backbone, "precision": options.precision,
        "images_per_second": {way: round(n / seconds, 1) for way, seconds in middle.items()},
        "cost": f"{statistics.median(pairs):.1%}", "each_round": [f"{share:.1%}" for share in pairs],
    }))  # fmt: skip


def alone(rows: int) -> None:
    """The writer alone, a line for each batch size."""
    sync = os.fdatasync
    with tempfile.TemporaryDirectory(dir=".") as name:
        for batch in (16, 128):
            with_sync = min((appended(rows, batch, Path(name)) for _ in range(3)), key=lambda costs: costs["append_ms"])
            os.fdatasync = lambda fd: None
            without = min((appended(rows, batch, Path(name)) for _ in range(3)), key=lambda costs: costs["append_ms"])
            os.fdatasync = sync
            record = {"rows": rows, "batch": batch, **{k: round(v, 4) for k, v in with_sync.items()},
                    "append_without_sync_ms": round(without["append_ms"], 4)}  # fmt: skip
            # Commits run in a thread of their own beside the network; this counts them as if they did not.
            record |= {
                f"share of {what}": f"{(with_sync['append_ms'] + with_sync['seal_ms']) / ms:.2%}"
                for what, ms in PHOTO_MS.items()
            }
            print(json.dumps(record))


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int, nargs="?", default=8192)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--backbone", default="squeezenet1_0")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.photos is None:
        alone(options.rows)
    else:
        whole(options)


if __name__ == "__main__":
    main()
