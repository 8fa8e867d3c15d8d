"""How well planted wrong labels are ranked, beside cleanlab on the same features, and whether the probability is true.

    python benchmarks/label_noise.py STORE.h5 ... [--noise 0.05,0.1,0.2] [--seeds 3] [--photos 480] [--no-tutorial]

A share of labels is replaced, at random (`uniform`) or by one of the three categories that look most alike
(`confusable`). Everything is ranked; a label that was wrong before anything was planted counts as a false alarm, for
featx and for cleanlab alike. With `--photos` each draw takes so many photos of whole categories.

With cleanlab installed (`pip install cleanlab`) its three rankings are measured on probabilities of featx's folds, and
on those of its tutorial: `cross_val_predict` of a standardised logistic regression.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass

import numpy as np

from featx.audit.label_evidence import SUSPECTED, LabelEvidence, judge
from featx.compute.vectors import unit_rows
from featx.store import Store, open_store

CONFUSABLE = 3
KINDS = ("uniform", "confusable")
CLEANLAB = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


@dataclass(frozen=True)
class Planted:
    """Photos with labels, some of which were replaced."""

    store: Store
    rows: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    wrong: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+")
    parser.add_argument("--noise", default="0.05,0.1,0.2")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--photos", type=int, default=0)
    parser.add_argument("--no-tutorial", action="store_true", help="leave cleanlab's own classifier out: it is slow")
    options = parser.parse_args()
    for path in options.stores:
        store = open_store(path)
        print(f"\n{store.path.stem}: average precision, the share of all planted within the first 2.5 times as many")
        cut = []
        for noise in map(float, options.noise.split(",")):
            for kind in KINDS:
                ranked: dict[str, list[tuple[float, float]]] = {}
                for seed in range(options.seeds):
                    planted = plant(store, noise, kind, seed, options.photos)
                    evidence = judged(planted, seed)
                    for name, score in rankings(planted, evidence, not options.no_tutorial).items():
                        ranked.setdefault(name, []).append(measures(score, planted.wrong))
                    cut.append((noise, kind, *at_the_cut(evidence, planted.wrong)))
                for name, numbers in sorted(ranked.items(), key=lambda item: -np.mean([ap for ap, _ in item[1]])):
                    precision, recall = np.mean(numbers, axis=0)
                    print(f"  {noise:>4.0%} {kind:<11} {name:<48} {precision:.3f}  {recall:>6.1%}", flush=True)
        show_cut(cut)


def plant(store: Store, noise: float, kind: str, seed: int, photos: int) -> Planted:
    random = np.random.default_rng(seed)
    rows = store.labelled()
    truth = np.array([store.labels[i] for i in rows], dtype=object).astype(str)
    kept = some_categories(truth, photos, random) if photos else np.arange(len(rows))
    rows, truth = rows[kept], truth[kept]
    features = store.features[rows]
    classes, number = np.unique(truth, return_inverse=True)
    wrong = np.zeros(len(rows), dtype=bool)
    wrong[random.permutation(len(rows))[: round(len(rows) * noise)]] = True
    if kind == "uniform":
        other = (number + random.integers(1, len(classes), len(rows))) % len(classes)
    else:
        near = alike(features, number, len(classes))
        other = near[number, random.integers(0, near.shape[1], len(rows))]
    return Planted(store, rows, features, np.where(wrong, classes[other], truth), wrong)


def some_categories(truth: np.ndarray, photos: int, random: np.random.Generator) -> np.ndarray:
    """Photos of whole categories, or of all of them where these are large."""
    classes, counts = np.unique(truth, return_counts=True)
    if counts.mean() > photos / 10:
        return np.sort(random.permutation(len(truth))[:photos])
    order = random.permutation(classes)
    rows = np.concatenate([np.flatnonzero(truth == label) for label in order])
    return np.sort(rows[:photos])


def alike(features: np.ndarray, number: np.ndarray, classes: int) -> np.ndarray:
    """For each category the ones whose mean photo is most like its own."""
    unit = unit_rows(features)
    means = unit_rows(np.stack([unit[number == category].mean(axis=0) for category in range(classes)]))
    cosines = means @ means.T
    np.fill_diagonal(cosines, -2)
    return np.argsort(-cosines, axis=1)[:, : min(CONFUSABLE, classes - 1)]


def judged(planted: Planted, seed: int) -> LabelEvidence:
    unit = unit_rows(planted.features)
    return judge(unit, planted.features, planted.labels, planted.store, planted.rows, 5, seed)


def rankings(planted: Planted, evidence: LabelEvidence, own_classifier: bool) -> dict[str, np.ndarray]:
    """Higher is more likely wrong."""
    share = evidence.answers.probabilities[np.arange(len(planted.wrong)), evidence.answers.truth]
    ranked = {"featx": -evidence.margins, "probability of the label alone": 1 - share}
    agree = (evidence.neighbour_labels == evidence.answers.truth[:, None]).mean(axis=1)
    ranked["neighbours alone"] = -agree
    try:
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return ranked
    for name, shares in (
        ("the same folds", evidence.answers.probabilities),
        ("its tutorial", tutorial(planted) if own_classifier else None),
    ):
        for way in CLEANLAB if shares is not None else ():
            scores = get_label_quality_scores(evidence.answers.truth, shares, method=way)
            ranked[f"cleanlab, {way}, {name}"] = -scores
    return ranked


def tutorial(planted: Planted) -> np.ndarray | None:
    """Probabilities as cleanlab's tutorial for tables makes them; None where a category is too small for it."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if np.unique(planted.labels, return_counts=True)[1].min() < 5:
        return None
    # Stronger shrinkage than its default, which serves it better on these features.
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shares: np.ndarray = cross_val_predict(
            classifier, planted.features, planted.labels, cv=5, method="predict_proba"
        )
    return shares


def measures(score: np.ndarray, wrong: np.ndarray) -> tuple[float, float]:
    """Average precision, and the share of all planted among the first 2.5 times as many."""
    hits = wrong[np.argsort(-score, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    first = round(2.5 * wrong.sum())
    return float(precision[hits].mean()), float(hits[:first].sum() / wrong.sum())


def at_the_cut(evidence: LabelEvidence, wrong: np.ndarray) -> tuple[int, float, float, float]:
    """How many are listed without `-n`, the precision expected of them, the one measured, and the recall."""
    listed = evidence.wrong >= SUSPECTED
    count = max(1, int(listed.sum()))
    expected = float(evidence.wrong[listed].sum()) / count
    return int(listed.sum()), expected, float(wrong[listed].sum()) / count, float(wrong[listed].sum() / wrong.sum())


def show_cut(cut: list[tuple[float, str, int, float, float, float]]) -> None:
    print("  at the default cut                 listed  expected precision  measured  recall")
    keys: list[tuple[float, str]] = sorted({row[:2] for row in cut})
    for noise, kind in keys:
        listed, expected, precision, recall = np.mean([row[2:] for row in cut if row[:2] == (noise, kind)], axis=0)
        print(f"  {noise:>4.0%} {kind:<26} {listed:>7.0f}  {expected:>17.1%}  {precision:>8.1%}  {recall:>6.1%}")


if __name__ == "__main__":
    main()
