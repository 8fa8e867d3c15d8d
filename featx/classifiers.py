"""The named scikit-learn pipelines: build one, score it honestly, give its confidence a meaning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featx.errors import FeatxError, did_you_mean
from featx.folds import Fold

NAMES = ("svm", "logreg", "rf", "knn")
ALSO = {"forest": "rf", "random-forest": "rf", "linear-svm": "svm", "lr": "logreg"}
# The best C differs by orders of magnitude between backbones, so it is looked for, not assumed.
STRENGTHS = {"svm": (1e-4, 1e-3, 1e-2, 1e-1), "logreg": (1e-3, 1e-2, 1e-1, 1.0)}


@dataclass(frozen=True)
class Share:
    """A share of pictures with its 95 % interval (Wilson's)."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Filing:
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


def build(name: str, strength: float | None = None, seed: int = 0) -> Any:
    """One scikit-learn pipeline; scaling is inside, so folds never see each other's statistics."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler
    from sklearn.svm import LinearSVC

    if name == "svm":
        return make_pipeline(StandardScaler(), LinearSVC(C=strength or 1e-3, random_state=seed, max_iter=2000))
    if name == "logreg":
        return make_pipeline(StandardScaler(), LogisticRegression(C=strength or 1e-2, max_iter=300))
    if name == "rf":
        return make_pipeline(RandomForestClassifier(300, random_state=seed, n_jobs=-1, min_samples_leaf=1))
    return make_pipeline(Normalizer(), KNeighborsClassifier(5, weights="distance"))


def fitted(pipeline: Any, features: np.ndarray, labels: np.ndarray) -> Any:
    """A pipeline trained; its not quite converging is no news to the person at the terminal."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return pipeline.fit(features, labels)


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


def best_strength(name: str, features: np.ndarray, labels: np.ndarray, fold: Fold, seed: int) -> float | None:
    """The C that scores best on one grouped hold-out; the smaller one wins a tie."""
    if name not in STRENGTHS:
        return None
    learn, score = fold
    found = []
    for strength in STRENGTHS[name]:
        pipeline = fitted(build(name, strength, seed), features[learn], labels[learn])
        found.append(float((pipeline.predict(features[score]) == labels[score]).mean()))
    return STRENGTHS[name][int(np.argmax(found))]


def temperature_for(scores: np.ndarray, truth: np.ndarray) -> float:
    """The one number that makes confidence honest: it divides the scores, minimising log loss on held-out rows.

    `CalibratedClassifierCV(method="temperature")` finds the same number, but would train every fold again.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return -float(np.log(np.clip(probabilities(scores, np.exp(log_temperature))[rows, truth], 1e-12, 1)).mean())

    rows = np.arange(len(truth))
    return float(np.exp(minimize_scalar(loss, bounds=(-6, 6), method="bounded").x))


def probabilities(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Scores as probabilities that add up to one in every row."""
    scaled = scores / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: np.ndarray = scaled / scaled.sum(axis=1, keepdims=True)
    return shares


def wilson(right: int, n: int) -> Share:
    """A share with Wilson's 95 % interval."""
    if not n:
        return Share(0.0, 0.0, 1.0, 0)
    z, p = 1.959963984540054, right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Share(p, max(0.0, float(middle - half)), min(1.0, float(middle + half)), n)


def filing(confidence: np.ndarray, right: np.ndarray, measured_on: str, target: float = 0.98) -> Filing:
    """The largest share, surest first, that is still right at the target precision."""
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # A cut between equal confidences cannot be made in practice.
    cuts = np.append(np.diff(confidence[order]) != 0, True) if len(order) else np.zeros(0, bool)
    good = np.flatnonzero((precision >= target) & cuts)
    if not len(good):
        return Filing(target, 0.0, None, measured_on)
    last = int(good[-1])
    return Filing(target, (last + 1) / len(order), float(confidence[order][last]), measured_on)
