"""Peak memory of `featx tune`: a tail, and all layers.

    python benchmarks/tune_memory.py [--photos 5000] [-b builtin] [--weights FILE] [--depth 2 all] [--views 1]

The photos are drawn. Each run is a process of its own, of one pass; the operating system says how much memory it took.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from extract_memory import make_photos

MEASURED = ("--epochs", "1", "--lr", "1e-4", "--minutes", "600", "--keep", "--fresh", "--quiet", "--val", "val")


def list_photos(folder: Path) -> Path:
    """A table of the photos, of which every fifth judges: drawn ones are too alike to be divided by themselves."""
    lines = ["image,label,split"]
    for i, path in enumerate(sorted((folder / "photos").rglob("*.jpg"))):
        lines.append(f"{path},{path.parent.name},{'train' if i % 5 else 'val'}")
    table = folder / "photos.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def peak_mb(photos: Path, folder: Path, given: argparse.Namespace, depth: str) -> float:
    """The peak of one tuning."""
    words = [sys.executable, "-m", "featx", "tune", str(photos), "-b", given.backbone, "--depth", depth]
    words += ["--views", str(given.views), *MEASURED, *(["--weights", given.weights] if given.weights else [])]
    places = {"FEATX_ARTIFACTS": str(folder / "artifacts"), "XDG_CACHE_HOME": str(folder / "cache")}
    process = subprocess.Popen(words, env={**os.environ, **places, "FEATX_OFFLINE": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"the tuning ended with status {status}")
    return usage.ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("-b", "--backbone", default="builtin")
    parser.add_argument("--weights")
    parser.add_argument("--depth", nargs="+", default=["2", "all"])
    parser.add_argument("--views", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photos(folder / "photos", given.photos, 256)
        table = list_photos(folder)
        for depth in given.depth:
            peak = peak_mb(table, folder, given, depth)
            print(
                f"{given.backbone}, {given.photos:,} photos, {given.views} views, depth {depth}: {peak:,.0f} MB at most"
            )


if __name__ == "__main__":
    main()
