"""Does `featx suggest` save labels? Accuracy after so many labels, suggested and random, on a labelled store.

    python benchmarks/suggested_labels.py STORE.h5 --start 200 --step 200 --rounds 6

A quarter of the photos is held out; the others are labelled round by round, as if nobody had labelled them yet.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from featx.classifiers.calibration import probabilities
from featx.classifiers.pipelines import scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.prediction.suggest import margin_uncertainty, select_diverse
from featx.store import open_store


@dataclass(frozen=True)
class Simulation:
    """Accuracy on held-out photos after so many labels: chosen by `suggest`, and at random."""

    labels: tuple[int, ...]
    suggested: tuple[float, ...]
    random: tuple[float, ...]


def simulate(
    features: np.ndarray,
    labels: np.ndarray,
    held: np.ndarray,
    held_labels: np.ndarray,
    *,
    start: int = 200,
    step: int = 100,
    rounds: int = 8,
    seed: int = 0,
) -> Simulation:
    """Pretend that nothing is labelled, then label round by round; both ways begin with the same random photos."""
    random = np.random.default_rng(seed)
    begin = random.permutation(len(labels))[:start]
    reached = {}
    for way in ("suggested", "random"):
        known, right = begin, []
        for _ in range(rounds + 1):
            classes = sorted(set(labels[known].tolist()))
            pipeline = train_classifier(ClassifierSettings("logreg", 1e-2), features[known], labels[known])
            says = np.array(classes)[scores_of(pipeline, held, classes).argmax(axis=1)]
            right.append(float((says == held_labels).mean()))
            others = np.setdiff1d(np.arange(len(labels)), known)
            if not len(others):
                continue
            if way == "random":
                more = random.permutation(others)[:step]
            else:
                shares = probabilities(scores_of(pipeline, features[others], classes), 1.0)
                more = others[select_diverse(features[others], margin_uncertainty(shares), step)]
            known = np.concatenate([known, more])
        reached[way] = tuple(right)
    return Simulation(tuple(start + step * i for i in range(rounds + 1)), reached["suggested"], reached["random"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", nargs="?")
    parser.add_argument("--start", type=int, default=200)
    parser.add_argument("--step", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    store = open_store(options.store)
    rows = store.labelled()
    features, labels = store.features[rows], np.array([str(store.labels[i]) for i in rows])
    held = np.random.default_rng(options.seed).random(len(labels)) < 0.25
    curve = simulate(
        features[~held], labels[~held], features[held], labels[held],
        start=options.start, step=options.step, rounds=options.rounds, seed=options.seed,
    )  # fmt: skip
    print("labels  suggested  random")
    for n, suggested, random in zip(curve.labels, curve.suggested, curve.random, strict=True):
        print(f"{n:6,}  {suggested:9.1%}  {random:6.1%}")


if __name__ == "__main__":
    main()
