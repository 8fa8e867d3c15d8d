"""Store in, classifier out: trained on what may be learned from, scored on what it never saw, saved to be audited."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from featx.classifiers.thresholds import LEAST, min_products_for, products, table_of, yield_on
from featx.classifiers.tuning import best, default_grid, wide_grid
from featx.compute.threads import side_by_side
from featx.errors import FeatxError
from featx.labels.folds import Fold, grouped_folds, near_duplicate_rate
from featx.labels.training_set import HELD_OUT, TrainingSet, training_set_of
from featx.metrics.scores import Proportion, share_by_group, wilson
from featx.metrics.selective import Automation, automation_at, ceil_threshold, coverage_table
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
    number of principal directions. `resample` repeats pictures of rare categories.
    With a `test_store`, all its labelled pictures are the held-out ones.
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
    # Where all but one category are too small, nothing is told apart in what could be scored.
    counted = np.array([label not in small and len(small) < len(classes) - 1 for label in y])
    temperature = fit_temperature(scores[counted], truth[counted]) if counted.any() else 1.0
    final = train_classifier(recipe, x, y)
    held = lesson.held
    # A category that cannot be learned is always wrong.
    held_truth = np.array([place.get(label, -1) for label in held.truth], dtype=int)
    held_scores = scores_of(final, held.features, classes) if len(held) else scores[:0]
    temperature = held_out_temperature(held_scores, held_truth, temperature)
    model = Classifier(recipe, final, classes, temperature, opened.fingerprint, fit_novelty(x, cut, seed))
    # What the folds said of every picture, unless a held-out folder says it better.
    shares, right = probabilities(scores, temperature), scores.argmax(axis=1) == truth
    cv = share_by_group(right[counted], lesson.groups[counted])
    tested: Proportion | None = None
    folded = Judged(shares[counted], truth[counted], lesson.groups[counted], "cross-validation")
    judged = [folded]
    twins = sum(n * share for n, share in fold_twins) / max(len(y), 1)
    if len(held):
        # With enough held-out pictures at hand, nothing is promised from cross-validation any more.
        apart = Judged(probabilities(held_scores, temperature), held_truth, held.groups, "held-out pictures")
        judged = [apart, folded]
        tested = share_by_group(apart.right, held.groups)
        twins = near_duplicate_rate(held.features, x)
    model.card = _card(model, lesson, recipe, cv, tested, judged, small, twins, len(cut))
    model.card["level"] = level
    model.card["held_out_categories"] = len(set(held.truth.tolist())) if len(held) else 0
    model.card["held_out"] = list(test)
    model.card["test_store"] = None if elsewhere is None else str(elsewhere.path)
    model.card["learned_in_test"] = held.learned
    enough = int((held_truth >= 0).sum()) >= CALIBRATING
    model.card["calibrated_on"] = "held-out pictures" if enough else "cross-validation"
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


# What is filed without a person is right this often.
FILED = 0.98


@dataclass(frozen=True)
class Judged:
    """Probabilities for pictures the classifier had not seen, what they truly are, and which pictures those were."""

    shares: np.ndarray
    truth: np.ndarray
    groups: np.ndarray
    where: str

    @property
    def says(self) -> np.ndarray:
        """The likeliest class of each picture."""
        return np.asarray(self.shares.argmax(axis=1))

    @property
    def sure(self) -> np.ndarray:
        """How sure the classifier is of it."""
        return np.asarray(self.shares.max(axis=1))

    @property
    def right(self) -> np.ndarray:
        """Whether it is true."""
        return np.asarray(self.says == self.truth)


def _first(judged: Sequence[Judged], n: int) -> Judged | None:
    """Those pictures that speak: held-out ones if they show enough products, else those of the folds."""
    return next((one for one in judged if products(one.groups) >= n), None)


def _promises(judged: Sequence[Judged], classes: list[str]) -> list[dict[str, Any]]:
    """Thresholds by target; where the held-out pictures are too few to choose on, they still say what was kept."""
    found: list[dict[str, Any]] = []
    for one in judged:
        table = table_of(one.sure, one.says, one.right, classes, one.groups, found)
        found += [row | {"measured_on": one.where} for row in table]
    apart = judged[0]
    for row in found:
        if row["measured_on"] != apart.where:
            row["held_out"] = _check(yield_on(row, apart.sure, apart.says, apart.right, classes), len(apart.truth))
    return sorted(found, key=lambda row: float(row["target"]))


def _check(share: Proportion, n: int) -> dict[str, Any]:
    return {"n": n, "answered": share.n, "right": round(share.value, 4)}


def _card(
    model: Classifier,
    lesson: TrainingSet,
    recipe: ClassifierSettings,
    cv: Proportion,
    test: Proportion | None,
    judged: Sequence[Judged],
    small: dict[str, int],
    twins: float,
    folds: int,
) -> dict[str, Any]:
    store, apart = lesson.store, judged[0]
    enough = _first(judged, min_products_for(FILED))
    filed = Automation(FILED, 0.0, None, apart.where)
    if enough is not None:
        filed = automation_at(enough.sure, enough.right, enough.where, FILED)
    many = _first(judged, LEAST) or apart
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
        # On the very pictures that were scored: of some categories none may be among them.
        "baseline": round(float((apart.truth == model.classes.index(biggest)).mean()), 4) if len(apart.truth) else 0.0,
        "automation": {
            "target": filed.target,
            "coverage": None if enough is None else round(filed.coverage, 4),
            "threshold": None if filed.threshold is None else ceil_threshold(filed.threshold, 6),
            "measured_on": filed.measured_on,
            "n": max(products(one.groups) for one in judged) if enough is None else products(enough.groups),
            "needed": min_products_for(FILED),
            "held_out": _filed(filed, apart) if enough is not None and enough is not apart else None,
        },
        "coverage": coverage_table(many.sure, many.right, many.groups),
        "coverage_on": many.where,
        "thresholds": _promises(judged, model.classes),
        "unlike": {"threshold": round(model.familiar.threshold, 4), "false_alarms": FALSE_ALARMS},
        "weakest": _weakest(model.classes, apart.truth, apart.says),
        "small": small,
        "checks": [{"code": "FX101", "level": "warning" if twins > 0.2 else "passed", "share": round(twins, 4)}],
        "settings": {**recipe.for_card(), "temperature": round(model.temperature, 6)},
        "fingerprint": model.fingerprint.to_dict(),
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _filed(filed: Automation, apart: Judged) -> dict[str, Any]:
    """What filing without a person would have done to held-out pictures that were too few to choose on."""
    stands = apart.sure >= (2.0 if filed.threshold is None else filed.threshold)
    return _check(wilson(int(apart.right[stands].sum()), int(stands.sum())), len(stands))


def _told(share: Proportion) -> dict[str, Any]:
    return {"accuracy": round(share.value, 4), "ci95": [round(share.low, 4), round(share.high, 4)], "n": share.n}


def _weakest(classes: list[str], truth: np.ndarray, says: np.ndarray, most: int = 3) -> list[dict[str, Any]]:
    """The categories that are missed most, and what they are usually taken for."""
    found = []
    for i, label in enumerate(classes):
        mine = truth == i
        misses = Counter(says[mine & (says != truth)].tolist())
        if mine.any() and misses:
            other, times = misses.most_common(1)[0]
            found.append(
                {
                    "label": label,
                    "recall": round(float((says[mine] == i).mean()), 4),
                    "n": int(mine.sum()),
                    "taken_for": classes[other],
                    "times": times,
                    "misses": sum(misses.values()),
                }
            )
    return sorted(found, key=lambda one: (one["recall"], one["label"]))[:most]
