"""Scores of what a classifier says: one number each, with intervals; NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "weighted_f1",
    "macro_precision",
    "macro_recall",
    "weighted_precision",
    "weighted_recall",
    "top3",
    "top5",
    "log_loss",
    "ece",
)
LOWER_IS_BETTER = frozenset({"log_loss", "ece"})
BINS = 15
DRAWS = 1000
Z95 = 1.959963984540054
# Numbers held at once while bootstrapping: a few hundred megabytes at most.
AT_ONCE = 20_000_000


@dataclass(frozen=True)
class Interval:
    """A score with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Proportion:
    """A share of so many pictures with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class ScoredAnswers:
    """Answers for pictures whose category is known: probabilities by picture and class, and the class it truly is.

    A truth of -1 is a category the classifier never learned: always wrong, and left out of the log loss.
    """

    truth: np.ndarray
    shares: np.ndarray

    @property
    def says(self) -> np.ndarray:
        """The likeliest class of every picture; the first of equals."""
        return np.asarray(self.shares.argmax(axis=1))

    @property
    def confidence(self) -> np.ndarray:
        """How sure the classifier is of what it says."""
        return np.asarray(self.shares.max(axis=1)) if len(self.shares) else np.zeros(0)

    @property
    def right(self) -> np.ndarray:
        """Whether it says what is true."""
        return np.asarray(self.says == self.truth)

    def within(self, k: int) -> np.ndarray:
        """Whether the true class is among the k likeliest."""
        first = np.argsort(-self.shares, axis=1, kind="stable")[:, :k]
        return np.asarray((first == self.truth[:, None]).any(axis=1))


def scores(truth: np.ndarray, shares: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """Every metric of METRICS; with `weights`, a picture counts as often as its weight says."""
    judged = ScoredAnswers(np.asarray(truth), np.asarray(shares, dtype=np.float64))
    weighted = np.ones((1, len(judged.truth))) if weights is None else np.asarray(weights, dtype=np.float64)[None]
    return {name: float(values[0]) for name, values in _weighted(judged, weighted).items()}


def bootstrap(
    truth: np.ndarray, shares: np.ndarray, groups: np.ndarray | None = None, draws: int = DRAWS, seed: int = 0
) -> dict[str, Interval]:
    """Every metric with its interval: pictures drawn again with replacement, the pictures of a group together."""
    judged = ScoredAnswers(np.asarray(truth), np.asarray(shares, dtype=np.float64))
    n = len(judged.truth)
    values = scores(truth, shares)
    _, member = np.unique(np.arange(n) if groups is None else groups, return_inverse=True)
    n_groups = int(member.max()) + 1 if n else 0
    # The shares of pictures have the interval that they have everywhere.
    told = {"accuracy": judged.right, "top3": judged.within(3), "top5": judged.within(5)} if n else {}
    shared = {name: share_by_group(right, member) for name, right in told.items()}
    known = {name: Interval(one.value, one.low, one.high) for name, one in shared.items()}
    if n_groups < 2:
        return {name: known.get(name, Interval(value, value, value)) for name, value in values.items()}
    random = np.random.default_rng(seed)
    step = max(1, min(draws, AT_ONCE // max(n, 1)))
    found: dict[str, list[np.ndarray]] = {name: [] for name in values}
    for start in range(0, draws, step):
        count = min(step, draws - start)
        times = np.stack(
            [np.bincount(random.integers(0, n_groups, n_groups), minlength=n_groups) for _ in range(count)]
        )
        for name, drawn in _weighted(judged, times[:, member].astype(np.float64)).items():
            found[name].append(drawn)
    intervals = {}
    for name, value in values.items():
        low, high = np.nanpercentile(np.concatenate(found[name]), [2.5, 97.5])
        # The value itself never lies outside, however few the draws.
        intervals[name] = Interval(value, min(float(low), value), max(float(high), value))
    return intervals | known


def wilson(right: float, n: int) -> Proportion:
    """A share with Wilson's 95 % interval; of nothing, nothing is known."""
    if not n:
        return Proportion(0.0, 0.0, 1.0, 0)
    p = float(right / n)
    middle = (p + Z95 * Z95 / (2 * n)) / (1 + Z95 * Z95 / n)
    half = Z95 / (1 + Z95 * Z95 / n) * np.sqrt(p * (1 - p) / n + Z95 * Z95 / (4 * n * n))
    return Proportion(p, max(0.0, float(middle - half)), min(1.0, float(middle + half)), n)


def share_by_group(right: np.ndarray, groups: np.ndarray, draws: int = DRAWS) -> Proportion:
    """A share with its 95 % interval where the pictures of a group stand or fall together: whole groups are drawn.

    Never narrower than Wilson's, which is what it is when every picture is a group of its own. Where all are right, or
    none, drawing tells nothing: then each group counts once. The order of pictures and groups makes no difference.
    """
    plain = wilson(float(np.sum(right)), len(right))
    if not len(right):
        return plain
    _, member = np.unique(groups, return_inverse=True)
    n = int(member.max()) + 1
    if n == len(right):
        return plain
    if plain.value in (0.0, 1.0) or n == 1:
        once = wilson(n * plain.value, n)
        return Proportion(plain.value, once.low, once.high, plain.n)
    # Groups of the same size with as many right are drawn as one kind: cheap however many there are.
    pairs = np.column_stack([np.bincount(member), np.bincount(member, np.asarray(right, dtype=np.float64))])
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    times = np.random.default_rng(0).multinomial(n, counts / n, size=draws)
    low, high = np.percentile((times @ kinds[:, 1]) / (times @ kinds[:, 0]), [2.5, 97.5])
    return Proportion(plain.value, min(plain.low, float(low)), max(plain.high, float(high)), plain.n)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, over bins of equal width."""
    return sum(
        one["n"] / len(right) * abs(one["confidence"] - one["accuracy"])
        for one in reliability(confidence, right, bins)
        if one["n"]
    )


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """For each bin of confidence: its edges, how sure the classifier was, how often it was right, how many pictures."""
    place = _bin_of(confidence, bins)
    table = []
    for b in range(bins):
        inside = place == b
        n = int(inside.sum())
        table.append(
            {
                "low": b / bins,
                "high": (b + 1) / bins,
                "confidence": float(confidence[inside].mean()) if n else 0.0,
                "accuracy": float(right[inside].mean()) if n else 0.0,
                "n": n,
            }
        )
    return table


def per_class(truth: np.ndarray, says: np.ndarray, classes: Sequence[str]) -> list[dict[str, str | int | float]]:
    """Pictures, precision, recall and F1 of each class that occurs."""
    n = len(classes)
    members, said = np.bincount(truth[truth >= 0], minlength=n), np.bincount(says, minlength=n)
    hit = np.bincount(truth[truth == says], minlength=n)
    table: list[dict[str, str | int | float]] = []
    for i, label in enumerate(classes):
        if members[i] or said[i]:
            table.append(
                {
                    "label": label,
                    "n": int(members[i]),
                    "precision": float(hit[i] / max(said[i], 1)),
                    "recall": float(hit[i] / max(members[i], 1)),
                    "f1": float(2 * hit[i] / max(members[i] + said[i], 1)),
                }
            )
    return table


def _bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.asarray(np.clip((np.asarray(confidence) * bins).astype(int), 0, bins - 1))


def _weighted(judged: ScoredAnswers, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric for each row of weights (draws by pictures)."""
    truth, says, right = judged.truth, judged.says, judged.right.astype(np.float64)
    total = weights.sum(axis=1)
    n = int(max(judged.shares.shape[1], 1))
    members = _sums(weights, truth, n)
    said, hit = _sums(weights, says, n), _sums(weights * right, truth, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(members > 0, hit / members, 0.0)
        precision = np.where(said > 0, hit / said, 0.0)
        f1 = np.where(members + said > 0, 2 * hit / (members + said), 0.0)
        known = np.maximum(members.sum(axis=1), 1e-300)
        present = np.maximum((members > 0).sum(axis=1), 1)
    accuracy = weights @ right / total
    likely = np.zeros(len(truth))
    learned = truth >= 0
    likely[learned] = -np.log(np.clip(judged.shares[learned, truth[learned]], 1e-15, 1))
    bins = _bin_of(judged.confidence, BINS)
    gap = np.abs(_sums(weights * (judged.confidence - right), bins, BINS)).sum(axis=1)
    return {
        "accuracy": accuracy,
        "balanced_accuracy": recall.sum(axis=1) / present,
        # A category that was only said has no picture to be right about: it adds nothing, and is not counted.
        "macro_f1": f1.sum(axis=1) / present,
        "weighted_f1": (f1 * members).sum(axis=1) / known,
        "macro_precision": precision.sum(axis=1) / present,
        "macro_recall": recall.sum(axis=1) / present,
        "weighted_precision": (precision * members).sum(axis=1) / known,
        "weighted_recall": (recall * members).sum(axis=1) / known,
        "top3": weights @ judged.within(3).astype(np.float64) / total,
        "top5": weights @ judged.within(5).astype(np.float64) / total,
        "log_loss": weights @ likely / np.maximum(weights @ learned.astype(np.float64), 1e-300),
        "ece": gap / total,
    }


def _sums(values: np.ndarray, place: np.ndarray, n: int) -> np.ndarray:
    """For each row of values, their sums by place; values at place -1 belong nowhere."""
    rows = np.flatnonzero(place >= 0)
    if not len(rows):
        return np.zeros((len(values), n))
    rows = rows[np.argsort(place[rows], kind="stable")]
    there, starts = np.unique(place[rows], return_index=True)
    sums = np.zeros((len(values), n))
    sums[:, there] = np.add.reduceat(values[:, rows], starts, axis=1)
    return sums
