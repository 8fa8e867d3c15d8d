"""Store in, classifier out: trained on what may be learned from, scored on what it never saw, saved to be audited."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from featx.audit.fixes import apply_to
from featx.classifiers import (
    STRENGTHS,
    WEIGHED,
    WIDE,
    Filing,
    Recipe,
    Share,
    best_strength,
    build,
    coverage_table,
    filing,
    fitted,
    known_name,
    probabilities,
    scores_of,
    temperature_for,
    wilson,
)
from featx.errors import FeatxError, did_you_mean
from featx.folds import Fold, grouped_folds, groups_of, twin_share
from featx.models import Model
from featx.novelty import FALSE_ALARMS, familiar_with
from featx.store import Store, open_store

ENOUGH = 300


@dataclass(frozen=True)
class Lesson:
    """What may be learned from a store and what it is scored on: row numbers, labels, groups that stay together."""

    store: Store
    labels: np.ndarray
    learn: np.ndarray
    held: np.ndarray
    groups: np.ndarray

    @property
    def classes(self) -> list[str]:
        """The categories that can be learned."""
        return sorted(set(self.labels[self.learn].tolist()))


def lesson_of(store: Store, level: str | None = None, test: Sequence[str] = ("test", "val")) -> Lesson:
    """Take the labelled rows of a store apart; rows of a split named in `test` are scored and never learned from."""
    told = labels_at(store, level)
    labelled = np.array([i for i, label in enumerate(told) if label is not None], dtype=int)
    held = np.array([i for i in labelled if store.splits[i] in test], dtype=int)
    learn = np.setdiff1d(labelled, np.array([i for i in labelled if store.splits[i] in {"test", "val", *test}], int))
    labels = np.array([str(label) for label in told], dtype=object).astype(str)
    _enough(Counter(labels[learn].tolist()), len(store), len(held))
    products = [store.product_of(i) for i in learn]
    groups = groups_of(products, [store.digests[i] for i in learn], store.features[learn])
    return Lesson(store, labels, learn, held, groups)


def labels_at(store: Store, level: str | None) -> Sequence[str | None]:
    """The categories, or another level of them: a column, or the first parts of labels such as `Fruit/Apple`."""
    if level is None:
        return store.labels
    if level in store.columns:
        return [None if value is None else str(value) for value in store.columns[level]]
    if level.isdigit() and int(level) > 0:
        parts = int(level)
        return [None if label is None else "/".join(label.split("/")[:parts]) for label in store.labels]
    raise FeatxError(
        "bad-column",
        f"no column `{level}` in {store.path} to take the categories from",
        did_you_mean(level, list(store.columns), "name a column of the table, or a number of levels, such as `1`"),
    )


def fit(
    store: Store | str | Path | None = None,
    clf: str = "svm",
    *,
    folds: int = 5,
    seed: int = 0,
    tune: bool = False,
    class_weight: str | None = None,
    reduce: int | None = None,
    level: str | None = None,
    test: Sequence[str] = ("test", "val"),
    threads: int = -1,
    progress: Callable[[int], object] = lambda done: None,
) -> Model:
    """Train a classifier on a store and score it: on the held-out folder first, then in grouped cross-validation.

    `tune` looks for the strength over a wide range, again inside each fold, so that the score stays honest.
    """
    opened = store if isinstance(store, Store) else open_store(store)
    # What people decided about doubtful labels counts from here on; the store itself keeps what the catalogue said.
    apply_to(opened)
    begun = time.monotonic()
    lesson = lesson_of(opened, level, test)
    x, y = opened.features[lesson.learn], lesson.labels[lesson.learn]
    if class_weight is not None and known_name(clf) not in WEIGHED:
        raise FeatxError(
            "bad-flag", f"`{clf}` knows no class weights", f"leave them out, or choose one of {', '.join(WEIGHED)}"
        )
    recipe = Recipe(known_name(clf), None, class_weight, _fitting(reduce, x, folds), seed, threads)
    grid = (WIDE if tune else STRENGTHS).get(recipe.name, ())
    classes = lesson.classes
    place = {label: i for i, label in enumerate(classes)}
    small = _small(y, lesson.groups, folds)
    cut = grouped_folds(y, lesson.groups, folds, seed)
    scores = np.zeros((len(y), len(classes)))
    fold_twins = []
    for done, (train, score) in enumerate(cut):
        # Chosen by photos of the training part alone: what a fold scores has no say in how it is trained.
        inner = grouped_folds(y[train], lesson.groups[train], 5, seed)[: 3 if tune else 1]
        strength = best_strength(recipe, x[train], y[train], inner, grid)
        scores[score] = _scored(replace(recipe, strength=strength), x, y, (train, score), classes)
        fold_twins.append((len(score), twin_share(x[score], x[train])))
        progress(done + 1)
    recipe = replace(recipe, strength=best_strength(recipe, x, y, cut if tune else cut[:1], grid))
    truth = np.array([place[label] for label in y])
    counted = np.array([label not in small for label in y])
    temperature = temperature_for(scores[counted], truth[counted]) if counted.any() else 1.0
    final = fitted(build(recipe), x, y)
    model = Model(recipe.name, final, classes, temperature, dict(opened.fingerprint), familiar_with(x, cut, seed))
    # What the folds said of every picture, unless a held-out folder says it better.
    shares, right = probabilities(scores, temperature), scores.argmax(axis=1) == truth
    cv = wilson(int(right[counted].sum()), int(counted.sum()))
    tested: Share | None = None
    judged = Judged(shares[counted], truth[counted], "cross-validation")
    twins = sum(n * share for n, share in fold_twins) / max(len(y), 1)
    held = lesson.held
    if len(held):
        tested = wilson(int((model.predict(opened.features[held]) == lesson.labels[held]).sum()), len(held))
        known = np.array([i for i in held if lesson.labels[i] in place], dtype=int)
        # With a held-out folder at hand, nothing is promised from cross-validation any more.
        held_truth = np.array([place[label] for label in lesson.labels[known]], dtype=int)
        judged = Judged(model.predict_proba(opened.features[known]), held_truth, "held-out pictures")
        twins = twin_share(opened.features[held], x)
    model.card = _card(model, lesson, recipe, cv, tested, judged, small, twins, len(cut))
    model.card["level"] = level
    model.card["held_out"] = list(test)
    model.card["tuned"] = tune
    model.card["seconds"] = round(time.monotonic() - begun, 1)
    progress(len(cut) + 1)
    return model


def _scored(recipe: Recipe, x: np.ndarray, y: np.ndarray, fold: Fold, classes: list[str]) -> np.ndarray:
    """What a classifier that learned one part of a fold says of the other."""
    train, score = fold
    present = set(y[train].tolist())
    if len(present) == 1:
        return np.tile([float(label in present) for label in classes], (len(score), 1))
    return scores_of(fitted(build(recipe), x[train], y[train]), x[score], classes)


def _fitting(reduce: int | None, x: np.ndarray, folds: int) -> int | None:
    """A reduction that every fold can make; asking for more directions than there are is no mistake worth an error."""
    if reduce is None:
        return None
    return max(1, min(reduce, int(x.shape[1]), int(len(x) * (1 - 1 / folds) * 0.75)))


def _small(labels: np.ndarray, groups: np.ndarray, folds: int) -> dict[str, int]:
    """Categories with fewer products than folds: learned, but left out of the cross-validated score."""
    sizes = Counter(labels.tolist())
    return {label: n for label, n in sorted(sizes.items()) if len({*groups[labels == label].tolist()}) < folds}


@dataclass(frozen=True)
class Judged:
    """Probabilities for pictures the classifier had not seen, what they truly are, and which pictures those were."""

    shares: np.ndarray
    truth: np.ndarray
    where: str


def _enough(sizes: Counter[str], n: int, held: int) -> None:
    if not sizes:
        raise FeatxError(
            "class-too-small",
            f"none of the {n:,} pictures that may be learned from has a category"
            + (f" ({held:,} more are held out for testing)" if held else ""),
            "put each category into a folder of its own, or name the column: `featx extract TABLE --label-col COLUMN`",
        )
    if len(sizes) < 2:
        (only,) = sizes
        raise FeatxError(
            "class-too-small",
            f"there is only one category, `{only}`, and a classifier needs two",
            "extract the folder above, so that its folders are the categories",
        )


def _card(
    model: Model,
    lesson: Lesson,
    recipe: Recipe,
    cv: Share,
    test: Share | None,
    judged: Judged,
    small: dict[str, int],
    twins: float,
    folds: int,
) -> dict[str, Any]:
    store, says, truth = lesson.store, judged.shares.argmax(axis=1), judged.truth
    enough = len(truth) >= ENOUGH
    sure = judged.shares.max(axis=1)
    filed = filing(sure, says == truth, judged.where) if enough else Filing(0.98, 0.0, None, judged.where)
    grouped = store.provenance.get("product_source") or "none"
    biggest = Counter(lesson.labels[lesson.learn].tolist()).most_common(1)[0][1]
    return {
        "version": 1,
        "clf": model.name,
        "backbone": str(store.fingerprint.get("backbone")),
        "store": str(store.path),
        "n": len(lesson.learn),
        "classes": len(model.classes),
        "labels": model.classes,
        "test": None if test is None else _told(test),
        "cv": {**_told(cv), "folds": folds, "grouped_by": grouped, "groups": len(set(lesson.groups.tolist()))},
        "baseline": round(biggest / len(lesson.learn), 4),
        "automation": {
            "target": filed.target,
            "coverage": round(filed.coverage, 4) if enough else None,
            "threshold": None if filed.threshold is None else round(filed.threshold, 4),
            "measured_on": filed.measured_on,
            "n": len(truth),
        },
        "coverage": coverage_table(sure, says == truth),
        "unlike": {"threshold": round(model.familiar.threshold, 4), "false_alarms": FALSE_ALARMS},
        "weakest": _weakest(model.classes, truth, says),
        "small": small,
        "checks": [{"code": "FX101", "level": "warning" if twins > 0.2 else "passed", "share": round(twins, 4)}],
        "settings": {**recipe.settings(), "temperature": round(model.temperature, 6)},
        "fingerprint": model.fingerprint,
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _told(share: Share) -> dict[str, Any]:
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
