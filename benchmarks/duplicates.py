"""How long the near copies among many pictures take to find, and how much memory: features only, with planted copies.

python benchmarks/duplicates.py 100000 256
"""

from __future__ import annotations

import argparse
import os
import resource
import time

import numpy as np

from featx.audit.near_pairs import Forest, near_pairs
from featx.compute.vectors import unit_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=100_000)
    parser.add_argument("width", type=int, nargs="?", default=256)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    features = random.standard_normal((options.rows, options.width), dtype=np.float32)
    copies = options.rows // 100
    features[-copies:] = features[:copies] + random.standard_normal((copies, options.width), dtype=np.float32) * 0.05
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    forest = Forest(len(features))
    for i, j, scores in near_pairs(unit_rows(features), 0.98):
        forest.link(i, j, scores)
    groups = forest.groups()
    seconds = time.monotonic() - begun
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    print(f"{options.rows:,} × {options.width}, {threads} threads: {seconds:.1f} s, {grown:,.0f} MB more memory")
    print(f"{len(groups):,} groups found, {copies:,} planted; every pair compared, {options.rows**2 / 2:.2g} of them")


if __name__ == "__main__":
    main()
