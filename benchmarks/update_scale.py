"""`featx update` on a large catalogue: CPU seconds and the most memory of each step, the first extraction included.

    python benchmarks/update_scale.py [--photos 200000]

A thousand different photos of 32 pixels lie under so many names, in ten categories; `colour` is the backbone. Then
nothing has changed, and then 100 photos are new.
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

DIFFERENT, CATEGORIES, NEW, SIDE = 1000, 10, 100, 32
FIT = ("fit", "--clf", "lda", "--products", "2000", "--folds", "3")


def drawn(number: int) -> bytes:
    """A photo of noise around a colour of its category."""
    random = np.random.default_rng(number)
    colour = np.random.default_rng(number % CATEGORIES).integers(0, 256, 3)
    pixels = np.clip(colour + random.normal(0, 40, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def command(name: str, *words: str) -> None:
    """Run a command, and print what it took."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "featx", *words, "--quiet"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{name} ended with status {status}")
    facts = {"cpu_s": round(used.ru_utime + used.ru_stime, 1), "peak_mb": round(used.ru_maxrss / 1024),
             "seconds": round(time.perf_counter() - begun, 1)}  # fmt: skip
    print(json.dumps({"step": name, **facts}), flush=True)


def main() -> None:
    """Make the catalogue, and take the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200_000)
    photos = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for number in range(CATEGORIES):
            Path(f"photos/c{number}").mkdir(parents=True)
        for number in range(min(DIFFERENT, photos)):
            Path(f"photos/c{number % CATEGORIES}/p{number:07d}.jpg").write_bytes(drawn(number))
        for number in range(DIFFERENT, photos):
            first = Path(f"photos/c{number % CATEGORIES}/p{number % DIFFERENT:07d}.jpg")
            os.link(first, first.with_name(f"p{number:07d}.jpg"))
        command("extract", "extract", "photos", "-b", "colour")
        command("fit", *FIT)
        command("update, nothing new", "update")
        for number in range(photos, photos + NEW):
            Path(f"photos/c{number % CATEGORIES}/n{number:07d}.jpg").write_bytes(drawn(number))
        command(f"update, {NEW} new", "update")


if __name__ == "__main__":
    main()
