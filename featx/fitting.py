"""Store in, classifier out: trained on what may be learned from, scored on what it never saw, saved to be audited."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from featx.classifiers import (
    Filing,
    Share,
    best_strength,
    build,
    filing,
    fitted,
    known_name,
    probabilities,
    scores_of,
    temperature_for,
    wilson,
)
from featx.errors import FeatxError
from featx.folds import grouped_folds, groups_of, twin_share
from featx.store import Store, open_store

ENOUGH = 300


def fit(store: Store | str | Path | None = None, clf: str = "svm", *, folds: int = 5, seed: int = 0) -> Model:
    """Train a classifier on a store and score it: on the held-out folder first, then in grouped cross-validation."""
    opened = store if isinstance(store, Store) else open_store(store)
    name = known_name(clf)
    begun = time.monotonic()
    labelled = np.array([i for i, label in enumerate(opened.labels) if label is not None], dtype=int)
    held = np.array([i for i in labelled if opened.splits[i] in ("test", "val")], dtype=int)
    learn = np.setdiff1d(labelled, held)
    labels = np.array([str(label) for label in opened.labels], dtype=object).astype(str)
    sizes = Counter(labels[learn].tolist())
    _enough(sizes, len(opened), len(held))
    x, y = opened.features[learn], labels[learn]
    classes = sorted(sizes)
    place = {label: i for i, label in enumerate(classes)}
    groups = groups_of([opened.product_of(i) for i in learn], [opened.digests[i] for i in learn], x)
    small = {label: n for label, n in sizes.items() if len({*groups[y == label].tolist()}) < folds}
    cut = grouped_folds(y, groups, min(folds, len(set(groups.tolist()))), seed)
    strength = best_strength(name, x, y, cut[0], seed)
    scores = np.zeros((len(y), len(classes)))
    fold_twins = []
    for train, score in cut:
        pipeline = fitted(build(name, strength, seed), x[train], y[train])
        scores[score] = scores_of(pipeline, x[score], classes)
        fold_twins.append((len(score), twin_share(x[score], x[train])))
    truth = np.array([place[label] for label in y])
    temperature = temperature_for(scores, truth)
    final = fitted(build(name, strength, seed), x, y)
    model = Model(name, final, classes, temperature, dict(opened.fingerprint))
    counted = np.array([label not in small for label in y])
    # What the folds said of every picture, unless a held-out folder says it better.
    shares, right = probabilities(scores, temperature), scores.argmax(axis=1) == truth
    cv = wilson(int(right[counted].sum()), int(counted.sum()))
    test: Share | None = None
    judged = (shares[counted], truth[counted], "cross-validation")
    twins = sum(n * share for n, share in fold_twins) / max(len(y), 1)
    if len(held):
        known = np.array([i for i in held if labels[i] in place], dtype=int)
        found = model.predict_proba(opened.features[held])
        says = np.array([classes[i] for i in found.argmax(axis=1)])
        test = wilson(int((says == labels[held]).sum()), len(held))
        # With a held-out folder at hand, nothing is promised from cross-validation any more.
        held_truth = np.array([place[label] for label in labels[known]], dtype=int)
        judged = (model.predict_proba(opened.features[known]), held_truth, "held-out pictures")
        twins = twin_share(opened.features[held], x)
    biggest = sizes.most_common(1)[0]
    model.card = _card(
        model, opened, len(y), cv, test, judged, small, twins, biggest[1] / len(y), len(cut), groups, strength, seed
    )
    model.card["seconds"] = round(time.monotonic() - begun, 1)
    return model


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
    store: Store,
    n: int,
    cv: Share,
    test: Share | None,
    judged: tuple[np.ndarray, np.ndarray, str],
    small: dict[str, int],
    twins: float,
    baseline: float,
    folds: int,
    groups: np.ndarray,
    strength: float | None,
    seed: int,
) -> dict[str, Any]:
    shares, truth, where = judged
    says = shares.argmax(axis=1)
    enough = len(truth) >= ENOUGH
    filed = filing(shares.max(axis=1), says == truth, where) if enough else Filing(0.98, 0.0, None, where)
    grouped = store.provenance.get("product_source") or "none"
    return {
        "version": 1,
        "clf": model.name,
        "backbone": str(store.fingerprint.get("backbone")),
        "store": str(store.path),
        "n": n,
        "classes": len(model.classes),
        "labels": model.classes,
        "test": None if test is None else _told(test),
        "cv": {**_told(cv), "folds": folds, "grouped_by": grouped, "groups": len(set(groups.tolist()))},
        "baseline": round(baseline, 4),
        "automation": {
            "target": filed.target,
            "coverage": round(filed.coverage, 4) if enough else None,
            "threshold": None if filed.threshold is None else round(filed.threshold, 4),
            "measured_on": filed.measured_on,
            "n": len(truth),
        },
        "weakest": _weakest(model.classes, truth, says),
        "small": small,
        "checks": [{"code": "FX101", "level": "warning" if twins > 0.2 else "passed", "share": round(twins, 4)}],
        "settings": {"C": strength, "seed": seed, "temperature": round(model.temperature, 6)},
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
