"""One new photo from a cold start: CPU seconds of `featx predict` and `featx similar` beside those of `import torch`.

    python benchmarks/one_photo.py [BACKBONES] [--rounds 5]

For each backbone, both defaults unless others are named, it extracts the sample catalogue and fits a classifier in a
temporary folder first. Each figure is the median of fresh processes; the last column is what featx itself adds to the
import of torch.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]

# Without `featx[imagenet]`, and with it.
DEFAULTS = ("builtin", "builtin+efficientnet_lite2@penultimate,_blocks.20:middle")


def cpu_seconds(words: list[str], folder: Path) -> float:
    """User and system time of one process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FEATX_OFFLINE": "1"}
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def prepare(folder: Path, backbone: str) -> None:
    """A store, a classifier, and a photo that neither knows."""
    featx = ["-m", "featx"]
    cpu_seconds([*featx, "extract", str(ROOT / "data/train"), "-b", backbone], folder)
    cpu_seconds([*featx, "fit", "--clf", "svm"], folder)
    with Image.open(ROOT / "data/train/mugs/sku165.jpg") as photo:
        photo.rotate(5).save(folder / "new.jpg")


def measure(backbone: str, rounds: int) -> None:
    """Print the figures of one backbone."""
    commands = {
        "import torch": ["-c", "import torch"],
        "featx predict new.jpg": ["-m", "featx", "predict", "new.jpg"],
        "featx similar new.jpg": ["-m", "featx", "similar", "new.jpg"],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, backbone)
        # In turns, so that a busy machine slows all of them alike.
        runs = [{what: cpu_seconds(words, folder) for what, words in commands.items()} for _ in range(rounds)]
    middle = {what: statistics.median(run[what] for run in runs) for what in commands}
    print(f"{backbone}, median of {rounds} fresh processes, CPU seconds")
    for what, seconds in middle.items():
        print(f"{what:<24} {seconds:6.2f}   {seconds - middle['import torch']:+6.2f}", flush=True)


def main() -> None:
    """Measure each backbone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbones", nargs="*", default=list(DEFAULTS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for backbone in options.backbones:
        measure(backbone, options.rounds)


if __name__ == "__main__":
    main()
