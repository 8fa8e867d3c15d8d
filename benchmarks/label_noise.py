"""How many planted wrong labels are found, and how many of those found were planted.

    python benchmarks/label_noise.py STORE.h5 ... [--noise 0.05] [--seeds 3]

A share of labels is replaced by another category at random. `found` is what `featx issues` would list; the others rank
by one signal alone and list as many, so that only the ranking differs. Labels that were wrong before count against all.
With cleanlab installed (`pip install cleanlab`), `find_label_issues` of it is measured on the same probabilities.
"""

from __future__ import annotations

import argparse

import numpy as np

from featx.audit.issues import DOUBTED, LabelEvidence, judge
from featx.compute.vectors import unit_rows
from featx.store import open_store


def listed(judged: LabelEvidence) -> np.ndarray:
    at, best = np.arange(len(judged.answers.truth)), judged.answers.probabilities.argmax(axis=1)
    return (
        judged.fair
        & (best != judged.answers.truth)
        & (judged.answers.probabilities[at, judged.answers.truth] < DOUBTED)
    )


def confident(judged: LabelEvidence) -> np.ndarray:
    """Confident learning: a class is claimed where its probability is at least what its own members usually get."""
    classes = range(len(judged.classes))
    usual = np.array([judged.answers.probabilities[judged.answers.truth == k, k].mean() for k in classes])
    claims = np.where(judged.answers.probabilities >= usual, judged.answers.probabilities, -1)
    return claims.max(axis=1).clip(0).astype(bool) & (claims.argmax(axis=1) != judged.answers.truth) & judged.fair


def most(score: np.ndarray, count: int) -> np.ndarray:
    chosen = np.zeros(len(score), dtype=bool)
    chosen[np.argsort(score, kind="stable")[:count]] = True
    return chosen


def peers(judged: LabelEvidence) -> dict[str, np.ndarray]:
    """cleanlab's ways with the same out-of-fold probabilities, where it is installed."""
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        return {}
    found = {}
    for way in ("prune_by_noise_rate", "both", "confident_learning"):
        flags = find_label_issues(judged.answers.truth, judged.answers.probabilities, filter_by=way, n_jobs=1)
        found[f"cleanlab, {way}"] = np.asarray(flags, dtype=bool)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stores", nargs="+")
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(f"{'store':<28} {'method':<32} {'listed':>7} {'precision':>10} {'recall':>7}")
    for path in options.stores:
        store = open_store(path)
        rows = store.labelled()
        features = store.features[rows]
        unit = unit_rows(features)
        truth = np.array([store.labels[i] for i in rows], dtype=object).astype(str)
        classes = np.array(sorted(set(truth.tolist())))
        results: dict[str, list[tuple[int, float, float]]] = {}
        for seed in range(options.seeds):
            random = np.random.default_rng(seed)
            planted = np.zeros(len(truth), dtype=bool)
            planted[random.permutation(len(truth))[: round(len(truth) * options.noise)]] = True
            place = np.searchsorted(classes, truth)
            shift = random.integers(1, len(classes), len(truth))
            labels = np.where(planted, classes[(place + shift) % len(classes)], truth)
            judged = judge(unit, features, labels, store, rows, 5, seed)
            at, ours = np.arange(len(truth)), listed(judged)
            ways = {
                "found by featx": ours,
                "confident learning": confident(judged),
                "as many by neighbours": most(
                    (judged.neighbour_labels == judged.answers.truth[:, None]).mean(axis=1), int(ours.sum())
                ),
                "cut at the planted number": most(
                    judged.answers.probabilities[at, judged.answers.truth], int(planted.sum())
                ),
            }
            for name, flags in (ways | peers(judged)).items():
                hits = int((flags & planted).sum())
                numbers = (int(flags.sum()), hits / max(int(flags.sum()), 1), hits / int(planted.sum()))
                results.setdefault(name, []).append(numbers)
        for name, numbers in results.items():
            count, precision, recall = np.mean(numbers, axis=0)
            print(f"{store.path.stem:<28} {name:<32} {count:>7.0f} {precision:>10.1%} {recall:>7.1%}", flush=True)


if __name__ == "__main__":
    main()
