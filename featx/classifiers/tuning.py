"""The search for the best setting of a classifier: candidates, and the most accurate on held-out folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby, product

import numpy as np

from featx.classifiers.pipelines import build, oversample
from featx.classifiers.spec import ClassifierSettings, Predictions, Reduction
from featx.compute.threads import still_wanted, threads_for
from featx.labels.folds import Fold

# After each fold a third of the candidates stays, but never fewer than these.
KEPT = 6


def default_grid(settings: ClassifierSettings) -> list[ClassifierSettings]:
    """The few strengths that are tried by default."""
    strengths = settings.spec.strengths(settings.reduction).default
    return [replace(settings, strength=strength) for strength in strengths] or [settings]


def wide_grid(settings: ClassifierSettings, room: int) -> list[ClassifierSettings]:
    """The candidates of `--tune`: strengths over a wide range with kernel widths, depths and reductions.

    A reduction has to leave something out: there are at most `room` directions.
    """
    spec = settings.spec
    if settings.reduce is None and spec.reductions:
        reductions = [reduction for reduction in spec.reductions if isinstance(reduction, str) or reduction < room]
        return [
            candidate
            for reduction in reductions
            for candidate in wide_grid(replace(settings, reduce=reduction), room)[:: _every(reduction)]
        ]
    axes = {**spec.variations, "strength": spec.strengths(settings.reduction).wide or (None,)}
    return [replace(settings, **dict(zip(axes, values, strict=True))) for values in product(*axes.values())]


def _every(reduction: Reduction) -> int:
    """Neighbouring strengths differ little, so every other one will do where principal directions are left out."""
    return 2 if isinstance(reduction, int) else 1


def best(
    candidates: Sequence[ClassifierSettings],
    features: np.ndarray,
    labels: np.ndarray,
    folds: Sequence[Fold],
    advance: Callable[[], object] = lambda: None,
) -> ClassifierSettings:
    """The most accurate candidate over grouped folds; ties go to the earlier one.

    After each hold-out only the better third goes on. `advance` is called after each.
    """
    if len(candidates) < 2 or not folds:
        return candidates[len(candidates) // 2]
    correct = np.zeros(len(candidates), dtype=int)
    alive = list(range(len(candidates)))
    for learn, score in folds:
        if len(set(labels[learn].tolist())) < 2:
            continue
        several = answers([candidates[i] for i in alive], features[learn], labels[learn], features[score])
        correct[alive] += [int((predicted == labels[score]).sum()) for predicted in several]
        advance()
        alive = sorted(sorted(alive, key=lambda i: -correct[i])[: max(KEPT, -(-len(alive) // 3))])
    return candidates[max(alive, key=lambda i: correct[i])]


def answers(
    candidates: Sequence[ClassifierSettings], features: np.ndarray, labels: np.ndarray, others: np.ndarray
) -> list[np.ndarray]:
    """Predictions of each candidate, trained on some rows, for others; shared parts are computed once."""
    results: list[np.ndarray] = [np.zeros(0)] * len(candidates)
    if candidates[0].resample:
        rows = oversample(labels, candidates[0].seed)
        features, labels = features[rows], labels[rows]
    largest = max((candidate.reduction for candidate in candidates if isinstance(candidate.reduction, int)), default=0)
    order = sorted(range(len(candidates)), key=lambda i: str(candidates[i].directions))
    projected: tuple[np.ndarray, np.ndarray] | None = None
    for (reduction, _), group in groupby(order, key=lambda i: candidates[i].directions):
        indices = list(group)
        if not isinstance(reduction, int):
            learn, score = _prepared(candidates[indices[0]], features, labels, others)
        else:
            # Fewer principal directions are a prefix of more.
            if projected is None:
                projected = _prepared(replace(candidates[indices[0]], reduce=largest), features, labels, others)
            learn, score = (rows[:, :reduction] for rows in projected)
        predict_many = candidates[indices[0]].spec.predict_many or _one_by_one
        with threads_for(learn.size * learn.shape[1]):
            for i, predicted in predict_many([candidates[i] for i in indices], learn, labels, score):
                results[indices[i]] = predicted
    return results


def _prepared(
    settings: ClassifierSettings, features: np.ndarray, labels: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both parts as the last step of the pipeline sees them."""
    before = build(settings)[:-1]
    if not len(before):
        return features, others
    with threads_for(features.size * features.shape[1]):
        return before.fit_transform(features, labels), before.transform(others)


def _one_by_one(
    candidates: Sequence[ClassifierSettings], learn: np.ndarray, labels: np.ndarray, score: np.ndarray
) -> Predictions:
    for index, candidate in enumerate(candidates):
        still_wanted()
        yield index, candidate.spec.estimator(candidate).fit(learn, labels).predict(score)
