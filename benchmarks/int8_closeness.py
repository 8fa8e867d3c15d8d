"""How close int8 or bf16 features are to float32's: `python benchmarks/int8_closeness.py FOLDER... --weights FILE`.

Prints for each backbone the mean and the lowest cosine, and how many of the ten nearest photos both have in common.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from featx.backbones import Encoder, open_backbone
from featx.backbones.default import is_ready
from featx.catalogue.suffixes import IMAGE_SUFFIXES
from featx.compute.vectors import nearest, unit_rows
from featx.images import read_photo

BATCH, NEAREST = 16, 10


def features(encoder: Encoder, photos: list[Path]) -> np.ndarray:
    """Unit rows of the photos."""
    encoder.use_engine("openvino", photos=len(photos), batch_size=BATCH)
    rows = []
    for start in range(0, len(photos), BATCH):
        batch = [encoder.prepare(read_photo(photo).image) for photo in photos[start : start + BATCH]]
        rows.append(encoder.features([*batch, *[batch[-1]] * (BATCH - len(batch))])[: len(batch)])
    return unit_rows(np.concatenate(rows))


def ten_nearest(rows: np.ndarray) -> list[set[int]]:
    """The ten nearest photos of each photo, without itself."""
    own = np.arange(len(rows))
    return [set(indices.tolist()) for indices in nearest(rows, rows, NEAREST, (own, own))[0]]


def closeness(exact: np.ndarray, rows: np.ndarray) -> str:
    """The cosines of the same photos, and how many neighbours both have in common."""
    cosines = np.einsum("ij,ij->i", exact, rows)
    pairs = zip(ten_nearest(exact), ten_nearest(rows), strict=True)
    shared = np.mean([len(a & b) / NEAREST for a, b in pairs])
    first = np.mean(nearest_one(exact) == nearest_one(rows))
    return f"mean {cosines.mean():.4f}, lowest {cosines.min():.3f}, ten nearest shared {shared:.1%}, first {first:.1%}"


def nearest_one(rows: np.ndarray) -> np.ndarray:
    """The nearest photo of each photo, without itself."""
    own = np.arange(len(rows))
    return nearest(rows, rows, 1, (own, own))[0][:, 0]


def main() -> None:
    """Compare and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folders", nargs="+", type=Path)
    arguments.add_argument("--backbones", nargs="+", default=["builtin"])
    arguments.add_argument("--precisions", nargs="+", default=["int8"], help="int8, bf16")
    arguments.add_argument("--weights", help="for backbones whose weights are not ready here")
    arguments.add_argument("--photos", type=int, default=600)
    given = arguments.parse_args()
    paths = sorted(
        path for folder in given.folders for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES
    )
    photos = [paths[i] for i in np.linspace(0, len(paths) - 1, min(given.photos, len(paths))).astype(int)]
    for name in given.backbones:
        weights = None if is_ready(name) else given.weights
        exact, *others = (
            features(open_backbone(name, weights=weights, device="cpu", precision=precision), photos)
            for precision in ("fp32", *given.precisions)
        )
        for precision, rows in zip(given.precisions, others, strict=True):
            print(f"{name}, {precision}: {closeness(exact, rows)}", flush=True)


if __name__ == "__main__":
    main()
