"""What it costs that every batch is on the disk before it is reported: `python benchmarks/journal_cost.py [ROWS]`.

Rows of 2,048 float32 in batches of 16 (as on a CPU) and 128 (as on a GPU), with the sync and without, and the final
sealing. An extraction's share is the time per row beside the time a network needs for one photo.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from featx.store import Row, StoreWriter

WIDTH = 2048
PHOTO_MS = {"a network at 40 images/s": 25.0, "a network at 400 images/s": 2.5}


def appended(rows: int, batch: int, folder: Path) -> dict[str, float]:
    """Seconds for each row: committing batches, and sealing them into the file in the end."""
    features = np.random.default_rng(0).random((rows, WIDTH), dtype=np.float32)
    path = folder / f"{batch}.h5"
    with StoreWriter.open(path, {"backbone": "x"}, width=WIDTH) as writer:
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


def main() -> None:
    """Measure and print JSON, a line for each batch size."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 8192
    sync = os.fdatasync
    with tempfile.TemporaryDirectory(dir=".") as name:
        for batch in (16, 128):
            with_sync = min((appended(rows, batch, Path(name)) for _ in range(3)), key=lambda told: told["append_ms"])
            os.fdatasync = lambda fd: None
            without = min((appended(rows, batch, Path(name)) for _ in range(3)), key=lambda told: told["append_ms"])
            os.fdatasync = sync
            told = {"rows": rows, "batch": batch, **{k: round(v, 4) for k, v in with_sync.items()},
                    "append_without_sync_ms": round(without["append_ms"], 4)}  # fmt: skip
            # Commits run in a thread of their own beside the network; this counts them as if they did not.
            told |= {
                f"share of {what}": f"{(with_sync['append_ms'] + with_sync['seal_ms']) / ms:.2%}"
                for what, ms in PHOTO_MS.items()
            }
            print(json.dumps(told))


if __name__ == "__main__":
    main()
