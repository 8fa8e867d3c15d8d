"""The named scikit-learn pipelines: build one, score it honestly, give its confidence a meaning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from featx.classifiers.spec import DRAWN_IN, NEIGHBOURS, SIDE_BY_SIDE, TREES, ClassifierSettings
from featx.compute.threads import cores, threads_for


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
        from featx.classifiers.solvers import LDAProjection

        return [LDAProjection(bound=DRAWN_IN.get(recipe.name, 0.0))]
    from sklearn.decomposition import PCA

    return [PCA(int(recipe.reduction), random_state=recipe.seed)]


def _classifier(recipe: ClassifierSettings) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    from sklearn.neighbors import NearestCentroid

    from featx.classifiers.solvers import KernelSVM, LinearSVM, Logistic, ShrinkageLDA, SoftKNN

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
