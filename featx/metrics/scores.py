"""Scores of a classifier's answers: one number each, with intervals; NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

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
    """A share of so many photos with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class ScoredAnswers:
    """Answers to photos whose category is known: a row of probabilities for each photo, and the true class.

    A truth of -1 is a category that the classifier never learned: always wrong, and left out of the log loss. Photos
    that share a number in `groups` show one product; without groups, each photo is a product of its own.
    """

    truth: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    measured_on: str = ""

    def __post_init__(self) -> None:
        if len(self.groups) != len(self.truth):
            object.__setattr__(self, "groups", np.arange(len(self.truth)))

    def __len__(self) -> int:
        return len(self.truth)

    @cached_property
    def n_products(self) -> int:
        """How many products the photos show: the photos of one stand or fall together, and count once."""
        return len(np.unique(self.groups))

    @cached_property
    def predicted(self) -> np.ndarray:
        """The most probable class of each photo; the first of equals."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def confidence(self) -> np.ndarray:
        """The probability of the predicted class, in the six decimals that thresholds are kept in.

        Rounded down: what reaches a threshold here reaches it wherever the same numbers are read again.
        """
        return np.floor(self.exact_confidence * 1e6) / 1e6

    @property
    def exact_confidence(self) -> np.ndarray:
        """The probability of the predicted class."""
        return np.asarray(self.probabilities.max(axis=1)) if len(self.probabilities) else np.zeros(0)

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether each prediction is true."""
        return np.asarray(self.predicted == self.truth)

    def within(self, k: int) -> np.ndarray:
        """Whether the true class is among the k most probable."""
        first = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        return np.asarray((first == self.truth[:, None]).any(axis=1))


def scores(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """Every metric of METRICS; with `weights`, a photo counts as often as its weight says."""
    answers = ScoredAnswers(np.asarray(truth), np.asarray(probabilities, dtype=np.float64))
    weighted = np.ones((1, len(answers))) if weights is None else np.asarray(weights, dtype=np.float64)[None]
    return {name: float(values[0]) for name, values in _weighted(answers, weighted).items()}


def bootstrap(
    truth: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None = None, draws: int = DRAWS, seed: int = 0
) -> dict[str, Interval]:
    """Every metric with its interval: photos drawn again with replacement, the photos of a group together."""
    answers = ScoredAnswers(np.asarray(truth), np.asarray(probabilities, dtype=np.float64))
    n = len(answers)
    values = scores(truth, probabilities)
    _, member = np.unique(np.arange(n) if groups is None else groups, return_inverse=True)
    n_groups = int(member.max()) + 1 if n else 0
    # Shares of photos have the interval that they have everywhere.
    hits = {"accuracy": answers.correct, "top3": answers.within(3), "top5": answers.within(5)} if n else {}
    shares = {name: share_by_group(correct, member) for name, correct in hits.items()}
    known = {name: Interval(share.value, share.low, share.high) for name, share in shares.items()}
    if n_groups < 2:
        return {name: known.get(name, Interval(value, value, value)) for name, value in values.items()}
    random = np.random.default_rng(seed)
    step = max(1, min(draws, AT_ONCE // max(n, 1)))
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in values}
    for start in range(0, draws, step):
        count = min(step, draws - start)
        times = np.stack(
            [np.bincount(random.integers(0, n_groups, n_groups), minlength=n_groups) for _ in range(count)]
        )
        for name, scored in _weighted(answers, times[:, member].astype(np.float64)).items():
            drawn[name].append(scored)
    intervals = {}
    for name, value in values.items():
        low, high = np.nanpercentile(np.concatenate(drawn[name]), [2.5, 97.5])
        # The value itself never lies outside, however few the draws.
        intervals[name] = Interval(value, min(float(low), value), max(float(high), value))
    return intervals | known


def wilson(hits: float, n: int) -> Proportion:
    """A share with Wilson's 95 % interval; of nothing, nothing is known."""
    if not n:
        return Proportion(0.0, 0.0, 1.0, 0)
    p = float(hits / n)
    middle = (p + Z95 * Z95 / (2 * n)) / (1 + Z95 * Z95 / n)
    half = Z95 / (1 + Z95 * Z95 / n) * np.sqrt(p * (1 - p) / n + Z95 * Z95 / (4 * n * n))
    # Rounding must not put the share itself outside.
    return Proportion(p, max(0.0, min(p, float(middle - half))), min(1.0, max(p, float(middle + half))), n)


def share_by_group(hits: np.ndarray, groups: np.ndarray, draws: int = DRAWS) -> Proportion:
    """A share with its 95 % interval where the photos of a group stand or fall together: whole groups are drawn.

    Never narrower than Wilson's, which it equals when every photo is a group of its own. Where all are hits, or none,
    drawing shows nothing: then each group counts once. The order of photos and groups makes no difference.
    """
    plain = wilson(float(np.sum(hits)), len(hits))
    if not len(hits):
        return plain
    _, member = np.unique(groups, return_inverse=True)
    n = int(member.max()) + 1
    if n == len(hits):
        return plain
    if plain.value in (0.0, 1.0) or n == 1:
        once = wilson(n * plain.value, n)
        return Proportion(plain.value, once.low, once.high, plain.n)
    # Groups of the same size with as many hits are drawn as one kind: cheap however many there are.
    pairs = np.column_stack([np.bincount(member), np.bincount(member, np.asarray(hits, dtype=np.float64))])
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    times = np.random.default_rng(0).multinomial(n, counts / n, size=draws)
    low, high = np.percentile((times @ kinds[:, 1]) / (times @ kinds[:, 0]), [2.5, 97.5])
    return Proportion(plain.value, min(plain.low, float(low)), max(plain.high, float(high)), plain.n)


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """For each bin of confidence: its edges, the mean confidence, the accuracy, how many photos."""
    bin_of = _bin_of(confidence, bins)
    table = []
    for b in range(bins):
        inside = bin_of == b
        n = int(inside.sum())
        table.append(
            {
                "low": b / bins,
                "high": (b + 1) / bins,
                "confidence": float(confidence[inside].mean()) if n else 0.0,
                "accuracy": float(correct[inside].mean()) if n else 0.0,
                "n": n,
            }
        )
    return table


def per_class(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> list[dict[str, str | int | float]]:
    """Photos, precision, recall and F1 of each class that occurs."""
    n = len(classes)
    members, answered = np.bincount(truth[truth >= 0], minlength=n), np.bincount(predicted, minlength=n)
    hits = np.bincount(truth[truth == predicted], minlength=n)
    table: list[dict[str, str | int | float]] = []
    for i, label in enumerate(classes):
        if members[i] or answered[i]:
            table.append(
                {
                    "label": label,
                    "n": int(members[i]),
                    "precision": float(hits[i] / max(answered[i], 1)),
                    "recall": float(hits[i] / max(members[i], 1)),
                    "f1": float(2 * hits[i] / max(members[i] + answered[i], 1)),
                }
            )
    return table


def _bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.asarray(np.clip((np.asarray(confidence) * bins).astype(int), 0, bins - 1))


def _weighted(answers: ScoredAnswers, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric for each row of weights (draws by photos)."""
    truth, correct = answers.truth, answers.correct.astype(np.float64)
    total = weights.sum(axis=1)
    n = int(max(answers.probabilities.shape[1], 1))
    members = _sums(weights, truth, n)
    answered, hits = _sums(weights, answers.predicted, n), _sums(weights * correct, truth, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(members > 0, hits / members, 0.0)
        precision = np.where(answered > 0, hits / answered, 0.0)
        f1 = np.where(members + answered > 0, 2 * hits / (members + answered), 0.0)
        known = np.maximum(members.sum(axis=1), 1e-300)
        present = np.maximum((members > 0).sum(axis=1), 1)
    accuracy = weights @ correct / total
    likely = np.zeros(len(truth))
    learned = truth >= 0
    likely[learned] = -np.log(np.clip(answers.probabilities[learned, truth[learned]], 1e-15, 1))
    confidence = answers.exact_confidence
    gap = np.abs(_sums(weights * (confidence - correct), _bin_of(confidence, BINS), BINS)).sum(axis=1)
    return {
        "accuracy": accuracy,
        "balanced_accuracy": recall.sum(axis=1) / present,
        # A category that was only predicted has no photo to be right about: it adds nothing, and is not counted.
        "macro_f1": f1.sum(axis=1) / present,
        "weighted_f1": (f1 * members).sum(axis=1) / known,
        "macro_precision": precision.sum(axis=1) / present,
        "macro_recall": recall.sum(axis=1) / present,
        "weighted_precision": (precision * members).sum(axis=1) / known,
        "weighted_recall": (recall * members).sum(axis=1) / known,
        "top3": weights @ answers.within(3).astype(np.float64) / total,
        "top5": weights @ answers.within(5).astype(np.float64) / total,
        "log_loss": weights @ likely / np.maximum(weights @ learned.astype(np.float64), 1e-300),
        "ece": gap / total,
    }


def _sums(values: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """For each row of values, their sums by index; values with index -1 belong nowhere."""
    rows = np.flatnonzero(index >= 0)
    if not len(rows):
        return np.zeros((len(values), n))
    rows = rows[np.argsort(index[rows], kind="stable")]
    present, starts = np.unique(index[rows], return_index=True)
    sums = np.zeros((len(values), n))
    sums[:, present] = np.add.reduceat(values[:, rows], starts, axis=1)
    return sums
