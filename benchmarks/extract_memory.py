"""Peak memory of `featx extract` against the number of photos: it should be flat.

    python benchmarks/extract_memory.py [--counts 10000 100000] [--backbone colour]

Each run is a process of its own over freshly generated small photos; prints a table and writes JSON with --out.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def make_photos(folder: Path, count: int, size: int = 64) -> None:
    """Small JPEGs, every one with bytes of its own: two base pictures mixed, encoded quickly."""
    random = np.random.default_rng(0)
    bases = random.integers(0, 256, (256, 8, 8, 3), dtype=np.uint8)
    for i in range(count):
        pixels = bases[i % 256] // 2 + bases[(i * 7 + i // 256) % 256] // 2
        pixels[0, 0] = (i % 256, i // 256 % 256, i // 65536)
        place = folder / f"category{i % 10}"
        if i < 10:
            place.mkdir(parents=True)
        data = io.BytesIO()
        Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST).save(data, "JPEG", quality=80)
        (place / f"item{i:07d}x.jpg").write_bytes(data.getvalue())


def measure(folder: Path, backbone: str, weights: str | None) -> dict[str, float]:
    """One extraction in a process of its own; the operating system's account of its peak memory."""
    words = [sys.executable, "-m", "featx", "extract", str(folder), "-b", backbone, "--quiet", "--json"]
    words += ["--weights", weights] if weights else []
    with tempfile.TemporaryDirectory() as artifacts:
        begun = time.monotonic()
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, env={**os.environ, "FEATX_ARTIFACTS": artifacts, "FEATX_OFFLINE": "1"}
        )
        assert process.stdout is not None
        output = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"extraction ended with status {status}")
        stored = Path(output["store"]).stat().st_size
    return {
        "photos": output["n"],
        "seconds": round(time.monotonic() - begun, 1),
        "images_per_second": output["images_per_second"],
        "peak_mb": round(usage.ru_maxrss / 1000, 1),
        "store_mb": round(stored / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--backbone", default="colour")
    parser.add_argument("--weights")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = []
    print(f"{'photos':>9} {'seconds':>9} {'images/s':>9} {'peak MB':>9} {'store MB':>9}")
    for count in options.counts:
        with tempfile.TemporaryDirectory() as folder:
            make_photos(Path(folder) / "photos", count)
            result = measure(Path(folder) / "photos", options.backbone, options.weights)
        results.append(result)
        print(" ".join(f"{value:>9}" for value in result.values()), flush=True)
    if len(results) > 1:
        print(
            f"peak memory grows by {results[-1]['peak_mb'] / results[0]['peak_mb']:.2f} × while photos grow by "
            f"{results[-1]['photos'] / results[0]['photos']:.0f} ×"
        )
    if options.out:
        options.out.write_text(json.dumps({"backbone": options.backbone, "runs": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
