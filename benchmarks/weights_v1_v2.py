"""resnet50's two published weights as frozen features: the same photos, the same grouped folds, side by side.

    python benchmarks/weights_v1_v2.py FOLDER-OF-PHOTOS

Needs both weights files on this machine (`featx weights get resnet50`, with `--weights IMAGENET1K_V2` for the other).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import featx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos")
    options = parser.parse_args()
    print(f"{'weights':<15} {'cv':>7} {'test':>7}")
    for weights in ("IMAGENET1K_V1", "IMAGENET1K_V2"):
        with tempfile.TemporaryDirectory() as folder:
            store = featx.extract(
                options.photos, backbone="resnet50", weights=weights, store=Path(folder) / f"{weights}.h5"
            )
            card = featx.fit(store, "logreg").card
        test = f"{card.test.accuracy:.1%}" if card.test else "–"
        print(f"{weights:<15} {card.cv.accuracy:>7.1%} {test:>7}", flush=True)


if __name__ == "__main__":
    main()
