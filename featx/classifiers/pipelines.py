"""Settings to a scikit-learn pipeline: build one, train it, get its scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from featx.classifiers.spec import ClassifierSettings, SavedArray, numbers
from featx.compute.threads import cores, threads_for


def build(settings: ClassifierSettings) -> Any:
    """A scikit-learn pipeline; scaling is inside, so folds never see each other's statistics."""
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*_scaling(settings), *_reduction(settings), settings.spec.estimator(settings))


def train_classifier(settings: ClassifierSettings, features: np.ndarray, labels: np.ndarray) -> Any:
    """The pipeline of these settings, trained on these rows."""
    if settings.resample:
        rows = oversample(labels, settings.seed)
        features, labels = features[rows], labels[rows]
    with threads_for(features.size * features.shape[1]):
        pipeline = build(settings).fit(features, labels)
    # In the memory layout of arrays read from a file, so that matrix products round the same way to the last bit.
    for _, step, arrays in saved_steps(pipeline, settings):
        for name, array in arrays.items():
            if array.lengths:
                setattr(step, name, np.ascontiguousarray(getattr(step, name)))
    return pipeline


def train_on_views(settings: ClassifierSettings, views: np.ndarray, labels: np.ndarray) -> Any:
    """The same for rows (n, views, width), of which as many views are learned from as the settings say."""
    used = views[:, : settings.views]
    return train_classifier(settings, used.reshape(-1, used.shape[-1]), np.repeat(labels, used.shape[1]))


def scores_of_views(pipeline: Any, views: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """The mean score of all views of each photo, (n, views, width)."""
    n, count, width = views.shape
    mean: np.ndarray = scores_of(pipeline, views.reshape(-1, width), classes).reshape(n, count, -1).mean(axis=1)
    return mean


def oversample(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """All rows, those of rare categories repeated until every category is as frequent as the largest.

    Whole rounds first, so that photos of a category differ by one repetition at most.
    """
    random = np.random.default_rng(seed)
    _, truth, counts = np.unique(labels, return_inverse=True, return_counts=True)
    most, rows = int(counts.max()), []
    for category, count in enumerate(counts):
        own = np.flatnonzero(truth == category)
        rows += [np.tile(own, most // count), random.choice(own, most % count, replace=False)]
    return np.sort(np.concatenate(rows), kind="stable")


# The fitted arrays of the steps before a classifier, by the step names of `make_pipeline`.
STEPS: Mapping[str, Mapping[str, SavedArray]] = {
    "normalizer": {},
    "standardscaler": {"mean_": numbers("in"), "scale_": numbers("in")},
    "ldaprojection": {"mean_": numbers("in"), "directions_": numbers("in", "out"), "size_": numbers()},
    "pca": {"mean_": numbers("in"), "components_": numbers("out", "in")},
}


def saved_steps(pipeline: Any, settings: ClassifierSettings) -> Iterator[tuple[str, Any, Mapping[str, SavedArray]]]:
    """Each step of a pipeline with its name and the arrays to save."""
    for name, step in pipeline.steps:
        yield name, step, settings.spec.arrays if step is pipeline[-1] else STEPS[name]


def _scaling(settings: ClassifierSettings) -> list[Any]:
    from sklearn.preprocessing import Normalizer, StandardScaler

    scaling, reduction = settings.scaling, settings.reduction
    if scaling == "standard" and reduction != "lda":
        return [StandardScaler()]
    return [] if scaling == "none" and reduction == "none" else [Normalizer()]


def _reduction(settings: ClassifierSettings) -> list[Any]:
    if settings.reduction == "none":
        return []
    if settings.reduction == "lda":
        from featx.classifiers.solvers import LDAProjection

        return [LDAProjection(settings.directions[1], settings.spec.soft_bound)]
    from sklearn.decomposition import PCA

    return [PCA(int(settings.reduction), random_state=settings.seed)]


# Copies of the features that a training makes, and the memory that several may take together.
COPIES, ROOM = 4, 2**31
# Below this many bytes of features, trainings spend so much time holding Python's lock that a third gains nothing.
SMALL = 2**25
# Below this, handing trainings to threads takes longer than they do.
TINY = 2**20


def parallel_fits(settings: ClassifierSettings, features: np.ndarray) -> int:
    """How many trainings may run at once; forests use every core by themselves."""
    if not settings.spec.parallel_folds or features.nbytes < TINY:
        return 1
    room = 2 if features.nbytes < SMALL else max(1, ROOM // (COPIES * features.nbytes))
    return min(room, settings.threads if settings.threads > 0 else cores())


# So far below its other scores lies a row's score for a category that was not learned.
ABSENT = 10.0


def scores_of(pipeline: Any, features: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """A score for every class; classes absent from the training fold get the lowest."""
    if hasattr(pipeline, "decision_function"):
        raw = np.asarray(pipeline.decision_function(features), dtype=np.float64)
        if raw.ndim == 1:
            raw = np.column_stack([-raw, raw])
    else:
        raw = np.log(np.clip(pipeline.predict_proba(features), 1e-6, 1))
    # Below the row's own scores and not below all: a row's answer never depends on the rows beside it.
    full = np.repeat(raw.min(axis=1, keepdims=True) - ABSENT, len(classes), axis=1)
    columns = {label: i for i, label in enumerate(classes)}
    full[:, [columns[label] for label in pipeline.classes_]] = raw
    return full
