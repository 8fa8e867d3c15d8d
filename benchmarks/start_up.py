"""How long commands take to start, beside importing what any such command needs, in turns.

python benchmarks/start_up.py [--rounds 11]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

CONTESTANTS = {
    "import typer, rich": ["-c", "import typer, rich"],
    "featx --help": ["-m", "featx", "--help"],
    "featx --version": ["-m", "featx", "--version"],
    "featx similar --help": ["-m", "featx", "similar", "--help"],
    "import torch": ["-c", "import torch"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for turn in range(arguments.rounds + 1):
        for name, words in CONTESTANTS.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            if turn:
                times[name].append(time.perf_counter() - begun)
    base = statistics.median(times["import typer, rich"])
    for name, every in times.items():
        middle = statistics.median(every)
        print(f"{name:24s} {1000 * middle:7.0f} ms  {middle / base:5.2f} x")


if __name__ == "__main__":
    main()
