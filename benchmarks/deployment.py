"""One photo from a cold start: `featx predict` beside the program of a deployment, and how far their answers are apart.

    python benchmarks/deployment.py [--backbone builtin] [--clf svm] [--rounds 5] [--photos FOLDER]

Extracts and trains on the sample catalogue, or on the photos of a folder, in a temporary folder first. Each figure is
the median of fresh processes, in turns; memory is the most that a process held.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from featx.classifiers.fit import fit
from featx.classifiers.model import save
from featx.deployment.folder import deploy
from featx.extraction import extract

ROOT = Path(__file__).resolve().parents[1]
MEASURE = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); \
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


def once(words: list[str], folder: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and megabytes of one process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FEATX_OFFLINE": "1"}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-S", "-c", MEASURE, sys.executable, *words]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, int(done.stdout) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="builtin")
    parser.add_argument("--clf", default="svm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", type=Path, default=ROOT / "data" / "train")
    parser.add_argument("--compare-on", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        store = extract(options.photos.resolve(), backbone=options.backbone)
        save(fit(store, options.clf), folder / "artifacts" / "models" / f"{options.clf}.safetensors")
        report = deploy(folder / "out", options.clf, compared=options.compare_on)
        with Image.open(ROOT / "data/train/mugs/sku165.jpg") as photo:
            photo.rotate(5).save(folder / "new.jpg")
        programs = {
            "featx predict": ["-m", "featx", "predict", "new.jpg"],
            "run.py": [str(folder / "out" / "run.py"), "new.jpg"],
        }
        rounds = [{what: once(words, folder) for what, words in programs.items()} for _ in range(options.rounds)]
    print(f"{options.clf} on {options.backbone}: {report.n_bytes / 1e6:.0f} MB, written in {report.seconds:.0f} s")
    print(f"{report.comparison}")
    print(f"one photo, median of {options.rounds} fresh processes:   seconds   CPU seconds   MB")
    for what in programs:
        seconds, cpu, memory = (statistics.median(figures[what][i] for figures in rounds) for i in range(3))
        print(f"{what:<46} {seconds:8.2f} {cpu:13.2f} {memory:6.0f}")


if __name__ == "__main__":
    main()
