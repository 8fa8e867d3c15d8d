"""Store in, classifier out: trained on what may be learned from, scored on what it never saw, saved to be audited."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from featx.classifiers.calibration import CALIBRATING, fit_temperature, held_out_temperature, probabilities
from featx.classifiers.kinds import known_name, that_take_class_weights
from featx.classifiers.model import Classifier
from featx.classifiers.novelty import FALSE_ALARMS, fit_novelty
from featx.classifiers.pipelines import parallel_fits, scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings, known_reduction
from featx.classifiers.thresholds import table_of, yield_on
from featx.classifiers.tuning import best, default_grid, wide_grid
from featx.compute.threads import side_by_side
from featx.errors import FeatxError
from featx.labels.folds import Fold, foldable_categories, grouped_folds, near_duplicate_rate
from featx.labels.training_set import HELD_OUT, TrainingSet, training_set_of
from featx.metrics.assessment import Assessment, assess, yield_record
from featx.metrics.scores import Proportion, ScoredAnswers
from featx.metrics.selective import coverage_table
from featx.store import Store, open_store


def fit(
    store: Store | str | Path | None = None,
    clf: str = "svm",
    *,
    folds: int = 5,
    seed: int = 0,
    tune: bool = False,
    class_weight: str | None = None,
    reduce: int | str | None = None,
    resample: bool = False,
    level: str | None = None,
    test: Sequence[str] = HELD_OUT,
    test_store: Store | str | Path | None = None,
    threads: int = -1,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Classifier:
    """Train a classifier on a store and score it: on the held-out folder first, then in grouped cross-validation.

    `tune` searches strengths over a wide range, kernel widths, depths and reductions, again inside each fold, so that
    the score stays honest. `reduce` is `lda` (the directions that tell categories apart, usual for most), `none`, or a
    number of principal directions. `resample` repeats photos of rare categories.
    With a `test_store`, all its labelled photos are the held-out ones.
    """
    reduce = known_reduction(reduce)
    opened = store if isinstance(store, Store) else open_store(store)
    elsewhere = test_store if isinstance(test_store, Store | None) else open_store(test_store)
    begun = time.monotonic()
    lesson = training_set_of(opened, level, test, elsewhere)
    x, y = opened.features[lesson.learn], lesson.labels[lesson.learn]
    if class_weight is not None and known_name(clf) not in (weighted := that_take_class_weights()):
        raise FeatxError(
            "bad-flag", f"`{clf}` takes no class weights", f"leave them out, or choose one of {', '.join(weighted)}"
        )
    classes = lesson.classes
    place = {label: i for i, label in enumerate(classes)}
    small = _small(y, lesson.groups, folds)
    cut = grouped_folds(y, lesson.groups, folds, seed)
    room = _room(x, y, lesson.groups, cut, seed) if tune or isinstance(reduce, int) else 0
    # Asking for more directions than there are is no mistake worth an error.
    reduce = min(reduce, room) if isinstance(reduce, int) else reduce
    recipe = ClassifierSettings(known_name(clf), None, class_weight, reduce, seed, threads, resample=resample)
    candidates = wide_grid(recipe, room) if tune else default_grid(recipe)
    scores = np.zeros((len(y), len(classes)))
    fold_twins = []
    search = _Search(candidates, 4 * len(cut) if tune else len(cut) + 1, progress)
    # Chosen by photos of the training part alone: what a fold scores has no say in how it is trained.
    inner = [grouped_folds(y[train], lesson.groups[train], 5, seed)[: 3 if tune else 1] for train, _ in cut]

    def answered(number: int) -> np.ndarray:
        train, _ = cut[number]
        return _scored(search.best(x[train], y[train], inner[number]), x, y, cut[number], classes)

    found = side_by_side(answered, range(len(cut)), parallel_fits(recipe, x))
    for (train, score), told in zip(cut, found, strict=True):
        scores[score] = told
        fold_twins.append((len(score), near_duplicate_rate(x[score], x[train])))
    recipe = search.best(x, y, cut if tune else cut[:1])
    truth = np.array([place[label] for label in y])
    counted = np.isin(y, foldable_categories(y, lesson.groups, folds))
    temperature = fit_temperature(scores[counted], truth[counted]) if counted.any() else 1.0
    final = train_classifier(recipe, x, y)
    held = lesson.held
    # A category that cannot be learned is always wrong.
    held_truth = np.array([place.get(label, -1) for label in held.truth], dtype=int)
    held_scores = scores_of(final, held.features, classes) if len(held) else scores[:0]
    temperature = held_out_temperature(held_scores, held_truth, temperature)
    model = Classifier(recipe, final, classes, temperature, opened.fingerprint, fit_novelty(x, cut, seed))
    # What the folds said of every photo, unless a held-out folder says it better.
    shares = probabilities(scores, temperature)
    folded = ScoredAnswers(truth[counted], shares[counted], lesson.groups[counted], "cross-validation")
    assessment = cross_validated = assess(folded, classes)
    twins = sum(n * share for n, share in fold_twins) / max(len(y), 1)
    if len(held):
        # With enough held-out photos at hand, nothing is promised from cross-validation any more.
        held_out = ScoredAnswers(held_truth, probabilities(held_scores, temperature), held.groups, "held-out photos")
        assessment = assess(held_out, classes, [folded])
        twins = near_duplicate_rate(held.features, x)
    tested = assessment.accuracy if len(held) else None
    model.card = _card(model, lesson, recipe, cross_validated.accuracy, tested, assessment, small, twins, len(cut))
    model.card["level"] = level
    model.card["held_out_categories"] = len(set(held.truth.tolist())) if len(held) else 0
    model.card["held_out"] = list(test)
    model.card["test_store"] = None if elsewhere is None else str(elsewhere.path)
    model.card["learned_in_test"] = held.learned
    enough = int((held_truth >= 0).sum()) >= CALIBRATING
    model.card["calibrated_on"] = "held-out photos" if enough else "cross-validation"
    model.card["asked_folds"] = folds
    model.card["tuned"] = tune
    model.card["seconds"] = round(time.monotonic() - begun, 1)
    return model


class _Search:
    """The search for the best setting, in each fold and in the whole: the candidates, and how far it is."""

    def __init__(
        self, candidates: Sequence[ClassifierSettings], total: int, progress: Callable[[int, int], object]
    ) -> None:
        self.candidates = candidates
        self.done, self.total, self.progress, self.lock = 0, total, progress, Lock()

    def best(self, x: np.ndarray, y: np.ndarray, inner: Sequence[Fold]) -> ClassifierSettings:
        """The best setting for rows that may be learned from."""
        if len(self.candidates) < 2:
            self.advance()
        return best(self.candidates, x, y, inner, self.advance)

    def advance(self) -> None:
        """One step more is done."""
        with self.lock:
            self.done = min(self.done + 1, self.total)
            self.progress(self.done, self.total)


def _scored(recipe: ClassifierSettings, x: np.ndarray, y: np.ndarray, fold: Fold, classes: list[str]) -> np.ndarray:
    """What a classifier that learned one part of a fold says of the other."""
    train, score = fold
    present = set(y[train].tolist())
    if len(present) == 1:
        return np.tile([float(label in present) for label in classes], (len(score), 1))
    return scores_of(train_classifier(recipe, x[train], y[train]), x[score], classes)


def _room(x: np.ndarray, y: np.ndarray, groups: np.ndarray, cut: Sequence[Fold], seed: int) -> int:
    """How many directions of the features every fold can find."""
    sizes = [*map(int, x.shape)]
    for train, _ in cut:
        inner = grouped_folds(y[train].tolist(), groups[train], 5, seed)
        sizes += [len(train), *(len(learn) for learn, _ in inner)]
    return max(1, min(sizes))


def _small(labels: np.ndarray, groups: np.ndarray, folds: int) -> dict[str, int]:
    """Categories with fewer products than folds: learned, but left out of the cross-validated score."""
    sizes = Counter(labels.tolist())
    return {label: n for label, n in sorted(sizes.items()) if len({*groups[labels == label].tolist()}) < folds}


def _promises(assessment: Assessment, classes: list[str]) -> list[dict[str, Any]]:
    """Thresholds by target; where held-out photos are too few to choose on, they still show what came of it."""
    rows: list[dict[str, Any]] = []
    for one in assessment.candidates:
        table = table_of(one.confidence, one.predicted, one.correct, classes, one.groups, rows)
        rows += [row | {"measured_on": one.measured_on} for row in table]
    scored = assessment.answers
    for row in rows:
        if row["measured_on"] != scored.measured_on:
            share = yield_on(row, scored.confidence, scored.predicted, scored.correct, classes)
            row["held_out"] = yield_record(share, len(scored))
    return sorted(rows, key=lambda row: float(row["target"]))


def _card(
    model: Classifier,
    lesson: TrainingSet,
    recipe: ClassifierSettings,
    cv: Proportion,
    test: Proportion | None,
    assessment: Assessment,
    small: dict[str, int],
    twins: float,
    folds: int,
) -> dict[str, Any]:
    store, truth, curve = lesson.store, assessment.answers.truth, assessment.curve_answers
    grouped = store.provenance.get("product_source") or "none"
    biggest = Counter(lesson.labels[lesson.learn].tolist()).most_common(1)[0][0]
    return {
        "version": 1,
        "clf": model.name,
        "backbone": store.fingerprint.backbone,
        "store": str(store.path),
        "n": len(lesson.learn),
        "classes": len(model.classes),
        "labels": model.classes,
        "test": None if test is None else _told(test),
        "cv": {**_told(cv), "folds": folds, "grouped_by": grouped, "groups": len(set(lesson.groups.tolist()))},
        # On the very photos that were scored: of some categories none may be among them.
        "baseline": round(float((truth == model.classes.index(biggest)).mean()), 4) if len(truth) else 0.0,
        "automation": assessment.automation_record(),
        "coverage": coverage_table(curve.confidence, curve.correct, curve.groups),
        "coverage_on": curve.measured_on,
        "thresholds": _promises(assessment, model.classes),
        "unlike": {"threshold": round(model.familiar.threshold, 4), "false_alarms": FALSE_ALARMS},
        "weakest": assessment.weakest(),
        "small": small,
        "checks": [{"code": "FX101", "level": "warning" if twins > 0.2 else "passed", "share": round(twins, 4)}],
        "settings": {**recipe.for_card(), "temperature": round(model.temperature, 6)},
        "fingerprint": model.fingerprint.to_dict(),
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _told(share: Proportion) -> dict[str, Any]:
    return {"accuracy": round(share.value, 4), "ci95": [round(share.low, 4), round(share.high, 4)], "n": share.n}
