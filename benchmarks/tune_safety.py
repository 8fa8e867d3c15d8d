"""Is a shop ever worse off for tuning? The frozen network against what `featx tune` decides, on photos apart from both.

    python benchmarks/tune_safety.py GROCERY CLOTHING --out safety.jsonl [-b builtin] [--weights FILE] [--seeds 0 1 2]
        [--photos 500 1000] [--sets fine coarse clothing digits] [--minutes 10] [--views 4] [--epochs 8]

GROCERY has `train` and `val` folders, whose photos come from different shops; CLOTHING has a folder of each category;
the digits are scikit-learn's, 8 pixels wide, seen at 64 and never mirrored. Of each set some photos are drawn, whole
categories of them, and the tuning is left its defaults; a seed only draws, so that all runs share what is kept at the
cut. The photos of `val`, or a fifth of the clothing and the digits, only test. Where the tuning writes nothing, the
frozen network stays and nothing changes. Each line of the file is one run; runs that are in it are not repeated, so
that a long comparison can be interrupted.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tune_digits import draw_digits

from featx.finetuning import Tuned, TuneOptions, tune

Photo = tuple[str, str, str]
# Below this many photos a category cannot be tuned on.
FEWEST = 6
DIGITS, DIGIT_SIDE = "digits", 64


@dataclass(frozen=True)
class Run:
    """One tuning: its photos, and how the test photos came out before and after."""

    set: str
    photos: int
    seed: int
    backbone: str
    best: str
    written: bool
    judged: float
    before: float
    after: float
    gain: float
    error: float
    tested: int
    cpu_seconds: float

    @property
    def is_worse(self) -> bool:
        """Whether test photos lose more than one standard error."""
        return self.written and self.gain < -self.error


def grocery(folder: Path, depth: int) -> list[Photo]:
    """The photos of two splits; their category is the folder at this depth, or the one they lie in."""
    photos = []
    for split, name in (("train", "train"), ("val", "test")):
        for path in sorted((folder / split).rglob("*.jpg")):
            parts = path.relative_to(folder / split).parts[:-1]
            photos.append((str(path), parts[min(depth, len(parts)) - 1], name))
    return photos


def clothing(folder: Path) -> list[Photo]:
    """The photos of each category; every fifth only tests."""
    paths = sorted(folder.rglob("*.jpg"))
    return [(str(path), path.parent.name, "test" if i % 5 == 0 else "train") for i, path in enumerate(paths)]


def digits(folder: Path) -> list[Photo]:
    """scikit-learn's digits as pictures in a folder; every fifth only tests."""
    if not folder.exists():
        draw_digits(folder, 10_000)
    paths = sorted((folder / DIGITS).iterdir())
    with (folder / "digits.csv").open(newline="") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    parts = ["test" if i % 5 == 0 else "train" for i in range(len(paths))]
    return [(str(path), *known) for path, *known in zip(paths, labels, parts, strict=True)]


def drawn(photos: Sequence[Photo], n: int, seed: int) -> list[Photo]:
    """About so many photos to learn from, of whole categories in a random order, and the test photos of these."""
    random, chosen, total = np.random.default_rng(seed), set(), 0
    sizes: dict[str, int] = {}
    for _, label, split in photos:
        sizes[label] = sizes.get(label, 0) + (split == "train")
    usable = [label for label in sorted(sizes) if sizes[label] >= FEWEST]
    # Few large categories are thinned out, so that there are several of them.
    most = max(FEWEST, n // min(len(usable), 10))
    for label in random.permutation(usable).tolist():
        if total >= n:
            break
        chosen.add(label)
        total += min(sizes[label], most)
    kept: dict[str, int] = {}
    some = []
    for i in random.permutation(len(photos)).tolist():
        path, label, split = photos[i]
        if label not in chosen:
            continue
        kept[label] = kept.get(label, 0) + (split == "train")
        if split == "test" or kept[label] <= most:
            some.append((path, label, split))
    return sorted(some)


def tuned_on(photos: Sequence[Photo], table: Path, given: argparse.Namespace, name: str) -> tuple[Tuned, float]:
    """The outcome of a tuning, and its CPU seconds."""
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "split"])
        writer.writerows(photos)
    from featx.catalogue.reading import read_catalogue

    begun = time.process_time()
    options = TuneOptions(minutes=given.minutes, views=given.views, epochs=given.epochs, fresh=True)
    if name == DIGITS:
        options = replace(options, size=DIGIT_SIDE, augment="light")
    catalogue = read_catalogue(table, allow_outside=True)
    tuned = tune(catalogue, backbone=given.backbone, weights=given.weights, name="safety", options=options)
    return tuned, time.process_time() - begun


def runs(given: argparse.Namespace, done: set[tuple[str, int, int, str]]) -> Iterator[Run]:
    """Every run that is not done."""
    sets = {
        "fine": lambda: grocery(given.grocery, 9),
        "coarse": lambda: grocery(given.grocery, 2),
        "clothing": lambda: clothing(given.clothing),
        DIGITS: lambda: digits(given.out.with_suffix(".digits").resolve()),
    }
    for seed in given.seeds:
        for n in given.photos:
            for name in given.sets:
                if (name, n, seed, given.backbone) in done:
                    continue
                photos, table = drawn(sets[name](), n, seed), given.out.with_suffix(".csv")
                tuned, seconds = tuned_on(photos, table, given, name)
                yield run_of(name, n, seed, given.backbone, tuned, seconds)


def run_of(name: str, n: int, seed: int, backbone: str, tuned: Tuned, seconds: float) -> Run:
    """What a tuning came to."""
    assert tuned.card.tested is not None and tuned.card.tested_gain is not None and tuned.best is not None
    before, after = tuned.card.tested
    gain, low, high, _ = tuned.card.tested_gain
    error = (high - low) / (2 * 1.96)
    return Run(
        name, n, seed, backbone, tuned.best.name, tuned.file is not None, round(tuned.gain, 4), before.accuracy,
        after.accuracy, gain, round(error, 4), before.n, round(seconds, 1),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grocery", type=Path)
    parser.add_argument("clothing", type=Path)
    parser.add_argument("--out", type=Path, default=Path("tune_safety.jsonl"))
    parser.add_argument("-b", "--backbone", default="builtin")
    parser.add_argument("--weights")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--photos", type=int, nargs="+", default=[500, 1000])
    parser.add_argument("--sets", nargs="+", default=["fine", "coarse", "clothing", DIGITS])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    lines = given.out.read_text().splitlines() if given.out.exists() else []
    all_runs = [Run(**json.loads(line)) for line in lines]
    for run in runs(given, {(run.set, run.photos, run.seed, run.backbone) for run in all_runs}):
        all_runs.append(run)
        with given.out.open("a") as file:
            file.write(json.dumps(asdict(run)) + "\n")
    print("| set | photos | seed | best way | written | before | after | test points | ± | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for run in all_runs:
        print(
            f"| {run.set} | {run.photos} | {run.seed} | {run.best} | {'yes' if run.written else 'no'} | "
            f"{100 * run.before:.1f} | {100 * run.after:.1f} | {100 * run.gain:+.1f} | {100 * run.error:.1f} | "
            f"{run.cpu_seconds:.0f} |"
        )
    worse = sum(run.is_worse for run in all_runs)
    print(f"worse than frozen by more than one standard error: {worse} of {len(all_runs)}")


if __name__ == "__main__":
    main()
