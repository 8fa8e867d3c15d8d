"""The named scikit-learn pipelines: build one, score it honestly, give its confidence a meaning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featx.errors import FeatxError, did_you_mean
from featx.machine import cores
from featx.metrics import share_by_group
from featx.threads import threads_for

NAMES = ("svm", "svm-rbf", "logreg", "lda", "rf", "extra-trees", "knn", "centroid")
USUAL = ("svm", "logreg", "lda", "rf", "knn")
ALSO = {"forest": "rf", "random-forest": "rf", "linear-svm": "svm", "lr": "logreg", "rbf": "svm-rbf"}
NEIGHBOURS, TREES = 10, 300
WEIGHED = ("svm", "svm-rbf", "logreg", "rf", "extra-trees")
# Those that do better in the few directions that tell the categories apart (docs/fit.md has by how much).
TOLD_APART = ("svm", "svm-rbf", "logreg", "rf", "extra-trees", "knn")
SIDE_BY_SIDE = ("svm", "svm-rbf", "logreg", "lda", "knn")
# One against the rest is thrown by rows that lie far out; see `Directions`.
DRAWN_IN = {"svm": 1.0, "svm-rbf": 1.0}


@dataclass(frozen=True)
class ClassifierSettings:
    """Which classifier, and how it is to be trained."""

    name: str = "svm"
    strength: float | None = None
    class_weight: str | None = None
    reduce: int | str | None = None
    seed: int = 0
    threads: int = -1
    width: float | None = None
    depth: int | None = None
    tried: float | None = None
    resample: bool = False

    @property
    def reduction(self) -> int | str:
        """So many principal directions, `lda` or `none`; what was not asked for is what usually does best."""
        return self.reduce or ("lda" if self.name in TOLD_APART else "none")

    def settings(self) -> dict[str, Any]:
        """What belongs on the card: everything that makes another classifier."""
        told: dict[str, Any] = {STRENGTH_NAMES.get(self.name, "C"): self.strength, "seed": self.seed}
        others = {
            "class_weight": self.class_weight,
            "resample": self.resample,
            "reduce": self.reduction if self.reduction != "none" or self.reduce else None,
            "kernel width": self.width,
            "depth": self.depth,
            "numbers tried": self.tried,
        }
        return told | {name: value for name, value in others.items() if value}


STRENGTH_NAMES = {"lda": "shrinkage", "knn": "neighbours", "rf": "smallest leaf", "extra-trees": "smallest leaf"}


@dataclass(frozen=True)
class Automation:
    """How much can be filed without a person at a promised precision, and from which confidence on."""

    target: float
    coverage: float
    threshold: float | None
    measured_on: str


def known_name(name: str) -> str:
    """The usual name of a classifier, or an error with the nearest one."""
    name = ALSO.get(name, name)
    if name not in NAMES:
        raise FeatxError(
            "unknown-classifier",
            f"no classifier called `{name}`",
            did_you_mean(name, [*NAMES, *ALSO], f"choose one of {', '.join(NAMES)}"),
        )
    return name


def known_reduction(asked: int | str | None) -> int | str | None:
    """`lda`, `none`, a number of principal directions, or nothing asked for."""
    if asked is None or asked in ("lda", "none"):
        return asked
    told = str(asked)
    if not (told.isascii() and told.isdigit() and 0 < int(told[:20]) < 10**9 and len(told) < 20):
        raise FeatxError("bad-flag", f"no reduction called `{told}`", "use `lda`, `none`, or a number of directions")
    return int(told)


def names_of(asked: str | Sequence[str]) -> list[str]:
    """The classifiers that were asked for, one or several with commas, each once; `all` is every one there is."""
    parts = [part.strip() for one in ([asked] if isinstance(asked, str) else asked) for part in one.split(",")]
    found = [name for part in parts if part for name in (NAMES if part == "all" else (known_name(part),))]
    if not found:
        raise FeatxError("bad-flag", "no classifier was named", f"name some: `--clf {','.join(USUAL)}`")
    return list(dict.fromkeys(found))


def build(recipe: ClassifierSettings) -> Any:
    """One scikit-learn pipeline; scaling is inside, so folds never see each other's statistics."""
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*_scaling(recipe), *_reduction(recipe), _classifier(recipe))


def train_classifier(recipe: ClassifierSettings, features: np.ndarray, labels: np.ndarray) -> Any:
    """The pipeline of a recipe, trained on these rows."""
    if recipe.resample:
        rows = oversample(labels, recipe.seed)
        features, labels = features[rows], labels[rows]
    if recipe.name != "centroid":
        with threads_for(features.size * features.shape[1]):
            return build(recipe).fit(features, labels)
    # Features that are the same within every category are no trouble for the nearest centroid.
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.filterwarnings("ignore", "self.within_class_std_dev_")
        return build(recipe).fit(features, labels)


def oversample(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """All rows, and those of rare categories again and again until every category is as frequent as the largest.

    Whole rounds first, so that no picture counts for more than one more than another of its category.
    """
    random = np.random.default_rng(seed)
    _, truth, counts = np.unique(labels, return_inverse=True, return_counts=True)
    most, rows = int(counts.max()), []
    for category, count in enumerate(counts):
        own = np.flatnonzero(truth == category)
        rows += [np.tile(own, most // count), random.choice(own, most % count, replace=False)]
    return np.sort(np.concatenate(rows), kind="stable")


def _scaling(recipe: ClassifierSettings) -> list[Any]:
    from sklearn.preprocessing import Normalizer, StandardScaler

    raw = recipe.reduction == "none"
    if recipe.name in ("svm", "logreg") and recipe.reduction != "lda":
        return [StandardScaler()]
    return [] if raw and recipe.name in ("rf", "extra-trees") else [Normalizer()]


def _reduction(recipe: ClassifierSettings) -> list[Any]:
    if recipe.reduction == "none":
        return []
    if recipe.reduction == "lda":
        from featx.solvers import LDAProjection

        return [LDAProjection(bound=DRAWN_IN.get(recipe.name, 0.0))]
    from sklearn.decomposition import PCA

    return [PCA(int(recipe.reduction), random_state=recipe.seed)]


def _classifier(recipe: ClassifierSettings) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    from sklearn.neighbors import NearestCentroid

    from featx.solvers import KernelSVM, LinearSVM, Logistic, ShrinkageLDA, SoftKNN

    strength, weight, seed = recipe.strength, recipe.class_weight, recipe.seed
    if recipe.name == "svm":
        return LinearSVM(C=strength or 1.0, class_weight=weight)
    if recipe.name == "svm-rbf":
        return KernelSVM(strength or 10.0, recipe.width or 1.0, class_weight=weight, random_state=seed)
    if recipe.name == "logreg":
        return Logistic(C=strength or 1e-2, class_weight=weight)
    if recipe.name == "lda":
        return ShrinkageLDA(strength or 0.1)
    if recipe.name == "knn":
        return SoftKNN(int(strength or NEIGHBOURS))
    if recipe.name == "centroid":
        return NearestCentroid()
    forest = RandomForestClassifier if recipe.name == "rf" else ExtraTreesClassifier
    # A forest tries the square root of how many numbers there are, or so many times that, for each split.
    tried = "sqrt" if recipe.tried is None else recipe.tried
    made = forest(TREES, max_features=tried, max_depth=recipe.depth, min_samples_leaf=int(strength or 1))
    return made.set_params(random_state=seed, n_jobs=recipe.threads, class_weight=weight)


# Copies of the features that a training makes, and the room that several may take together.
COPIES, ROOM = 4, 2**31
# Trainings on fewer bytes of features spend so much time in Python, one at a time, that a third gains nothing.
SMALL = 2**25


def parallel_fits(recipe: ClassifierSettings, features: np.ndarray) -> int:
    """How many trainings may go side by side; forests use every core themselves."""
    if recipe.name not in SIDE_BY_SIDE:
        return 1
    room = 2 if features.nbytes < SMALL else max(1, ROOM // (COPIES * features.nbytes))
    return min(room, recipe.threads if recipe.threads > 0 else cores())


def scores_of(pipeline: Any, features: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """A score for every class; classes a fold did not know get the lowest."""
    if hasattr(pipeline, "decision_function"):
        raw = np.asarray(pipeline.decision_function(features), dtype=np.float64)
        if raw.ndim == 1:
            raw = np.column_stack([-raw, raw])
    else:
        raw = np.log(np.clip(pipeline.predict_proba(features), 1e-6, 1))
    full = np.full((len(features), len(classes)), raw.min() - 10.0)
    places = {label: i for i, label in enumerate(classes)}
    full[:, [places[label] for label in pipeline.classes_]] = raw
    return full


def fit_temperature(scores: np.ndarray, truth: np.ndarray) -> float:
    """The one number that makes confidence honest: it divides the scores, minimising log loss on held-out rows.

    `CalibratedClassifierCV(method="temperature")` finds the same number, but would train every fold again.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return -float(np.log(np.clip(probabilities(scores, np.exp(log_temperature))[rows, truth], 1e-12, 1)).mean())

    rows = np.arange(len(truth))
    return float(np.exp(minimize_scalar(loss, bounds=(-6, 6), method="bounded").x))


# One number is chosen: a hundred pictures from where the classifier will be used tell it better than thousands that
# look like what was learned from.
CALIBRATING = 100


def held_out_temperature(scores: np.ndarray, truth: np.ndarray, otherwise: float) -> float:
    """The temperature that suits held-out pictures, when there are enough of them; a truth of -1 has no say."""
    known = truth >= 0
    return fit_temperature(scores[known], truth[known]) if int(known.sum()) >= CALIBRATING else otherwise


def cross_calibrate(scores: np.ndarray, truth: np.ndarray, groups: np.ndarray, otherwise: float) -> np.ndarray:
    """Probabilities of held-out pictures; the temperature of each half of the products is chosen on the other half."""
    known = truth >= 0
    if int(known.sum()) < 2 * CALIBRATING:
        return probabilities(scores, otherwise)
    half = np.random.default_rng(0).integers(0, 2, int(groups.max()) + 1)[groups].astype(bool)
    shares = np.zeros(scores.shape)
    for mine in (half, ~half):
        temperature = held_out_temperature(scores[~mine], truth[~mine], otherwise)
        shares[mine] = probabilities(scores[mine], temperature)
    return shares


def probabilities(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Scores as probabilities that add up to one in every row; all alike where scores are no numbers."""
    scaled = np.where(np.isfinite(scores).all(axis=1, keepdims=True), scores, 0) / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: np.ndarray = scaled / scaled.sum(axis=1, keepdims=True)
    return shares


def automation_at(confidence: np.ndarray, right: np.ndarray, measured_on: str, target: float = 0.98) -> Automation:
    """The largest share, surest first, that is still right at the target precision."""
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # A cut between equal confidences cannot be made in practice.
    cuts = np.append(np.diff(confidence[order]) != 0, True) if len(order) else np.zeros(0, bool)
    good = np.flatnonzero((precision >= target) & cuts)
    if not len(good):
        return Automation(target, 0.0, None, measured_on)
    last = int(good[-1])
    return Automation(target, (last + 1) / len(order), float(confidence[order][last]), measured_on)


def ceil_threshold(threshold: float, decimals: int) -> float:
    """A limit that answers must reach, in so many decimals: never lower, and 1 only where it is."""
    while True:
        scale = 10.0**decimals
        found = round(float(np.ceil(round(threshold * scale, 6)) / scale), decimals)
        if found < 1 or threshold >= 1 or decimals >= 12:
            return found
        decimals += 1


def format_threshold(threshold: float) -> str:
    """A limit for people to read and to type: two decimals, more where they would say 1."""
    found = ceil_threshold(threshold, 2)
    return f"{found:.2f}" if round(found, 2) == found else f"{found:.12g}"


def coverage_table(confidence: np.ndarray, right: np.ndarray, groups: np.ndarray) -> list[dict[str, float]]:
    """What answering only the surest share of pictures buys: from which confidence on, and how many are right."""
    order = np.argsort(-confidence, kind="stable")
    table = []
    for percent in (100, 95, 90, 85, 80, 75, 70, 60, 50, 40, 30, 20, 10):
        count = round(len(order) * percent / 100)
        if count:
            share = share_by_group(right[order[:count]], groups[order[:count]])
            table.append(
                {
                    "coverage": percent / 100,
                    "threshold": float(np.floor(confidence[order[count - 1]] * 1e6) / 1e6),
                    "precision": round(share.value, 4),
                    "low": round(share.low, 4),
                    "high": round(share.high, 4),
                }
            )
    return table
