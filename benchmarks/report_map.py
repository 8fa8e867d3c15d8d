"""How long the report's map and page take for many photos, and how large the page is.

The catalogue is made up: 100 photos a category, features of 512 numbers around a centre of each category, a few
hundred drawn photos. Each size runs in a process of its own; the map is then asked for once more, from its cache.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def measured(n: int, width: int) -> dict[str, float | int | str]:
    """Seconds for the map, again from the cache, and for the whole report; bytes of the page; the map's quality."""
    from featx.reporting import write_report
    from featx.reporting.map_layout import lay_out
    from tests.reporting.documents import catalogue, comparison

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shop = catalogue(
            folder / "photos", [f"category {i:03d}" for i in range(n // 100)], 100, photos=400, width=width
        )
        begun = time.perf_counter()
        layout = lay_out(shop.features, cache=folder / "reports")
        drawn = time.perf_counter() - begun
        begun = time.perf_counter()
        again = lay_out(shop.features, cache=folder / "reports")
        cached = time.perf_counter() - begun
        assert np.array_equal(layout.places, again.places)
        begun = time.perf_counter()
        written = write_report(comparison(shop), shop, root=folder / "reports")
        rest = time.perf_counter() - begun
    return {
        "photos": n,
        "map_s": round(drawn, 1),
        "cached_s": round(cached, 2),
        "rest_s": round(rest, 1),
        "page_mb": round(written.bytes / 1e6, 2),
        "same_category": round(written.document.map.same_category, 3),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Measure each size in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[3_000, 10_000, 50_000])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one, options.width)))
        return
    for n in options.photos:
        command = [sys.executable, __file__, "--one", str(n), "--width", str(options.width)]
        figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print("  ".join(f"{key} {value}" for key, value in figures.items()), flush=True)


if __name__ == "__main__":
    main()
