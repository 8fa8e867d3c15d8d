"""Two checkouts of featx side by side: extract, fit, compare and similar in turns, and whether their features agree.

    git worktree add ../before OLD-COMMIT
    python benchmarks/two_versions.py ../before . [--backbone builtin] [--backbone colour] [--rounds 5]

Each checkout works on its own copy of the sample catalogue, in processes of their own, first one and then the other.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

COMMANDS = {
    "extract": ["extract", "data/train", "-b", "builtin", "--replace", "--yes"],
    "fit": ["fit", "--clf", "svm"],
    "compare": ["compare"],
    "similar": ["similar", "sku123.jpg"],
}


@dataclass(frozen=True)
class Cost:
    """What one command took."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Version:
    """A checkout, and the folder in which it runs."""

    checkout: Path
    folder: Path

    def run(self, command: list[str]) -> Cost:
        """Run one command of this version."""
        environment = {**os.environ, "PYTHONPATH": str(self.checkout), "FEATX_OFFLINE": "1"}
        # As installed: compiled once. Otherwise the version with more lines pays for parsing them at every start.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "featx", *command, "-q"],
            cwd=self.folder,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        return Cost(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)

    def features(self, backbone: str) -> np.ndarray:
        """The features this version computes."""
        path = self.folder / f"{backbone}.h5"
        self.run(["extract", "data/train", "-b", backbone, "-s", str(path), "--yes"])
        with h5py.File(path) as store:
            features: np.ndarray = store["features"][:]
        return features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--backbone", action="append", help="backbones whose features must agree (default: builtin)")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        versions = [
            Version(
                checkout.resolve(), Path(shutil.copytree(arguments.new / "data", Path(base) / name / "data")).parent
            )
            for name, checkout in (("old", arguments.old), ("new", arguments.new))
        ]
        for version in versions:
            version.run(COMMANDS["extract"])
        for name, command in COMMANDS.items():
            compare(name, command, versions, arguments.rounds)
        for backbone in arguments.backbone or ["builtin"]:
            old, new = (version.features(backbone) for version in versions)
            print(f"{backbone:16s} features identical: {np.array_equal(old, new)}")


def sample_shop(photos: Path, folder: Path) -> Path:
    """A folder with its own copy of the photos."""
    shutil.copytree(photos, folder / "data")
    return folder


def compare(name: str, command: list[str], versions: list[Version], rounds: int) -> None:
    """Print the medians of both versions and their ratio; the first round warms up."""
    costs = [[version.run(command) for version in versions] for _ in range(rounds + 1)][1:]
    wall = [statistics.median(each[i].wall for each in costs) for i in (0, 1)]
    cpu = [statistics.median(each[i].cpu for each in costs) for i in (0, 1)]
    print(
        f"{name:8s} old {wall[0]:6.2f} s, {cpu[0]:6.2f} CPU s   new {wall[1]:6.2f} s, {cpu[1]:6.2f} CPU s"
        f"   new/old {wall[1] / wall[0]:.2f}, {cpu[1] / cpu[0]:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
