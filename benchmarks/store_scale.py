"""A store against its number of rows: time to write, seal, open and search it, and the memory that takes.

    python benchmarks/store_scale.py [--rows 10000 100000 1000000] [--width 512] [--commands]
        [--only STEP ...]

Every step is a process of its own, so that its peak memory, by the operating system's account, is its own; the sealing
process that the writer starts counts for itself. Features are drawn, block by block; nothing is extracted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

BATCH = 128
COMPARED = ("--products", "1000", "--clf", "lda,knn", "--folds", "3", "--no-colour")


def write(path: Path, rows: int, width: int) -> dict[str, float]:
    """Commit batch after batch, then seal."""
    from featx.backbones import Fingerprint
    from featx.store import Row, StoreWriter

    random = np.random.default_rng(0)
    with StoreWriter.open(path, Fingerprint.from_dict({"backbone": "x", "width": width})) as writer:
        begun = time.perf_counter()
        for start in range(0, rows, BATCH):
            features = random.random((min(BATCH, rows - start), width), dtype=np.float32)
            known = ((f"c{i // 3 % 80}", f"i{i}", f"p{i // 3}", f"{i:064x}") for i in range(start, start + BATCH))
            writer.append(
                [
                    Row(f"{label}/{name}", f"photos/{label}/{name}.jpg", digest, label, product, None, {}, vector)
                    for (label, name, product, digest), vector in zip(known, features, strict=False)
                ]
            )
        committed = time.perf_counter()
        writer.seal()
    return {"commit_s": committed - begun, "seal_s": time.perf_counter() - committed}


def opening(path: Path, rows: int, width: int) -> dict[str, float]:
    """Open it, read what is known of one row, then all features."""
    from featx.store import open_store

    begun = time.perf_counter()
    store = open_store(path)
    opened = time.perf_counter()
    np.asarray(store.features[rows // 2])
    first_row = time.perf_counter()
    float(np.asarray(store.features).sum())
    return {"open_s": opened - begun, "one_row_s": first_row - opened, "all_rows_s": time.perf_counter() - first_row}


def asking(path: Path, rows: int, width: int) -> dict[str, float]:
    """`featx similar` for a known item: the first time, and once the search index beside the store is there."""
    words = [
        sys.executable,
        "-m",
        "featx",
        "similar",
        f"c{rows // 2 // 3 % 80}/i{rows // 2}",
        "--store",
        str(path),
        "--json",
    ]
    took = []
    for _ in range(2):
        begun = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - begun)
    return {"first_query_s": took[0], "next_query_s": took[1]}


def run(path: Path, name: str, *words: str) -> dict[str, float]:
    """The CPU seconds of a command on the store."""
    words = (sys.executable, "-m", "featx", *words, "--store", str(path))
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=path.parent)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {f"{name}_cpu_s": used.ru_utime + used.ru_stime}


def info(path: Path, rows: int, width: int) -> dict[str, float]:
    """What a store holds."""
    return run(path, "info", "info")


def check(path: Path, rows: int, width: int) -> dict[str, float]:
    """Every checksum."""
    return run(path, "check", "info", "--check")


def export(path: Path, rows: int, width: int) -> dict[str, float]:
    """All rows as Parquet."""
    return run(path, "export", "export", "--to", "parquet", "--output", str(path.with_suffix(".parquet")), "--force")


def compare(path: Path, rows: int, width: int) -> dict[str, float]:
    """Two classifiers on a thousand of the products, without a report."""
    return run(path, "compare", "compare", *COMPARED, "--fast")


def report(path: Path, rows: int, width: int) -> dict[str, float]:
    """The report of that comparison, with its map and its checks."""
    return run(path, "report", "report", "--from", "artifacts/reports/comparison.json", "--output", str(path.parent))


COMMANDS: dict[str, Callable[[Path, int, int], dict[str, float]]] = {
    "info": info,
    "check": check,
    "export": export,
    "compare": compare,
    "report": report,
}
STEPS: dict[str, Callable[[Path, int, int], dict[str, float]]] = {"write": write, "open": opening, "ask": asking}


def measured(step: str, path: Path, rows: int, width: int) -> dict[str, float]:
    """One step in a process of its own, with the most memory that it or a process of its held."""
    words = [sys.executable, __file__, "--step", step, "--store", str(path), "--rows", str(rows), "--width", str(width)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, "FEATX_OFFLINE": "1"})
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{step} ended with status {status}")
    seconds: dict[str, float] = json.loads(output)
    return {name: round(took, 3) for name, took in seconds.items()} | {f"{step}_peak_mb": round(usage.ru_maxrss / 1000)}


def main() -> None:
    """Measure every size, print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--commands", action="store_true", help="Run commands on it too: info, export, compare …")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(STEPS | COMMANDS), help="Write it, and run these steps only."
    )
    parser.add_argument("--step", choices=tuple(STEPS | COMMANDS), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps((STEPS | COMMANDS)[options.step](options.store, options.rows[0], options.width)))
        return
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            path = Path(folder).resolve() / "scale.h5"
            record: dict[str, float] = {"rows": rows}
            for step in ["write", *options.only] if options.only else STEPS | (COMMANDS if options.commands else {}):
                record |= measured(step, path, rows, options.width)
            record["store_mb"] = round(path.stat().st_size / 1e6)
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
