"""The page of a deployment in Chromium beside its `run.py`: photos of the same category, and seconds for each.

featx deploy OUT --browser && python benchmarks/deployment_browser.py OUT --photos FOLDER [--most 100]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deployment", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--most", type=int, default=100)
    options = parser.parse_args()
    sys.path.insert(0, str(options.deployment))
    from run import Model, photos_in

    model, paths = Model(), list(photos_in([str(options.photos)]))
    paths = paths[:: max(1, len(paths) // options.most)][: options.most]
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto((options.deployment.resolve() / "browser" / "index.html").as_uri())
        page.get_by_text("Ready").wait_for(timeout=300_000)
        begun = time.perf_counter()
        page.set_input_files("#choose", [str(path) for path in paths])
        page.get_by_text(f"{len(paths)} answered").wait_for(timeout=3_000_000)
        seconds = (time.perf_counter() - begun) / len(paths)
        answers = page.evaluate("rows.map(row => [row.label, row.shares])")
        chromium.close()
    expected = [model.run([model.read(path)]) for path in paths]
    same = sum(label == int(own["label"][0]) for (label, _), own in zip(answers, expected, strict=True))
    apart = max(
        np.abs(np.array(shares) - own["probabilities"][0]).max()
        for (_, shares), own in zip(answers, expected, strict=True)
    )
    print(
        f"{same} of {len(paths)} photos get the same category, probabilities within {apart:.1g}, {seconds:.2f} s each"
    )


if __name__ == "__main__":
    main()
