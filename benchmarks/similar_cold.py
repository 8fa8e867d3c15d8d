"""A known item parser from a cold process, beside importing NumPy and h5py and reading the features, in one run.

    python benchmarks/similar_cold.py [--rows 100000] [--width 512] [--rounds 7]

The store is made up, and the first query, which makes the cache beside it, is arguments apart.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from featx.backbones import Fingerprint
from featx.store import Row, StoreWriter

READ = "import numpy, h5py; numpy.ones(({rows}, {width}), 'f4')[:1]; open({path!r}, 'rb').read()"


def make(path: Path, rows: int, width: int) -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(200, width)).astype(np.float32)
    with StoreWriter.open(path, Fingerprint.from_dict({"backbone": "made up", "width": width})) as writer:
        for start in range(0, rows, 1000):
            groups = random.integers(0, 200, 1000)
            features = np.abs(centres[groups] + random.normal(size=(1000, width)).astype(np.float32))
            writer.append(
                [
                    Row(
                        f"sku{start + i:07d}",
                        f"photos/c{groups[i]}/sku{start + i:07d}.jpg",
                        hashlib.sha256(str(start + i).encode()).hexdigest(),
                        f"c{groups[i]}",
                        f"p{(start + i) // 2:07d}",
                        None,
                        {"price": float(i % 100)},
                        features[i],
                    )
                    for i in range(min(1000, rows - start))
                ]
            )
        writer.seal()


def seconds(words: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env={**os.environ})
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "big.h5"
        make(path, arguments.rows, arguments.width)
        query = ["-m", "featx", "similar", "sku0000123", "--store", str(path)]
        print(f"first query (makes the cache): {seconds(query):.2f} s")
        contestants = {
            "import numpy, h5py": ["-c", "import numpy, h5py"],
            "import numpy, h5py + read the store": ["-c", READ.format(rows=1, width=1, path=str(path))],
            "import typer, rich": ["-c", "import typer, rich"],
            "featx similar": query,
        }
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(arguments.rounds):
            for name, words in contestants.items():
                times[name].append(seconds(words))
        base = statistics.median(times["import numpy, h5py"])
        for name, all_times in times.items():
            middle = statistics.median(all_times)
            print(f"{name:38s} {middle:6.2f} s  {middle / base:5.2f} x  (best {min(all_times):.2f})")


if __name__ == "__main__":
    main()
