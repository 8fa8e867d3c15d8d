"""The search for the best setting of a classifier: what is tried, and notes so that a killed search goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from featx.classifiers.pipelines import build, oversample
from featx.classifiers.spec import NEIGHBOURS, ClassifierSettings
from featx.compute.threads import still_wanted, threads_for
from featx.files.atomic import cannot_write, write_atomic
from featx.files.regular import read_json
from featx.labels.folds import Fold

# The best C differs by orders of magnitude between backbones, so it is looked for, not assumed.
STRENGTHS: dict[str, tuple[float, ...]] = {
    "svm": (1e-4, 1e-3, 1e-2, 1e-1),
    "svm, lda": (0.1, 1.0, 10.0, 100.0),
    "svm-rbf": (1.0, 10.0, 100.0),
    "logreg": (1e-3, 1e-2, 1e-1, 1.0),
    "lda": (0.05, 0.1, 0.2, 0.4),
}
WIDE: dict[str, tuple[float, ...]] = {
    "svm": tuple(10.0**power for power in np.arange(-6, 2.5, 0.5)),
    "svm, lda": tuple(10.0**power for power in np.arange(-3, 5.5, 0.5)),
    "svm-rbf": (0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
    "logreg": tuple(10.0**power for power in np.arange(-5, 3.5, 0.5)),
    "lda": (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9),
    "knn": (NEIGHBOURS, 1, 3, 5, 20, 50),
    "rf": (1, 2, 5),
    "extra-trees": (1, 2, 5),
}
# The first of each is the usual one, and is kept where nothing is better.
WIDTHS = (1.0, 0.7, 1.4, 2.0, 2.8)
DEPTHS = (None, 8, 16)
TRIED = (None, 0.1, 0.2)
REDUCTIONS: dict[str, tuple[int | str, ...]] = {
    **dict.fromkeys(("svm", "svm-rbf", "logreg", "knn"), ("lda", "none", 256, 128, 64)),
    "lda": ("none", 256, 128, 64),
    **dict.fromkeys(("rf", "extra-trees"), ("lda", "none")),
}
# After each hold-out a third of the settings goes on, and never fewer than these.
KEPT = 6
# Which of two forests is better shows with fewer trees, too.
TREES = 100

Remember = Callable[[int, int, Callable[[], list[int]]], list[int]]


def default_grid(recipe: ClassifierSettings) -> list[ClassifierSettings]:
    """The few strengths that are tried without being asked."""
    return _strengths(STRENGTHS, recipe) or [recipe]


def _strengths(table: Mapping[str, Sequence[float]], recipe: ClassifierSettings) -> list[ClassifierSettings]:
    """A recipe with each strength; rows that were drawn in are shorter, and their weights larger."""
    found = table.get(f"{recipe.name}, {recipe.reduction}", table.get(recipe.name, ()))
    return [replace(recipe, strength=strength) for strength in found]


def wide_grid(recipe: ClassifierSettings, room: int) -> list[ClassifierSettings]:
    """All that `--tune` tries: strengths over a wide range with kernel widths, depths and reductions.

    A reduction has to leave something out: there are at most `room` directions.
    """
    if recipe.reduce is None and recipe.name in REDUCTIONS:
        asked = [one for one in REDUCTIONS[recipe.name] if isinstance(one, str) or one < room]
        return [one for by in asked for one in wide_grid(replace(recipe, reduce=by), room)[:: _every(by)]]
    found = _strengths(WIDE, recipe) or [recipe]
    if recipe.name == "svm-rbf":
        found = [replace(one, width=width) for width in WIDTHS for one in found]
    if recipe.name in ("rf", "extra-trees"):
        found = [replace(one, depth=depth, tried=tried) for tried in TRIED for depth in DEPTHS for one in found]
    return found


def _every(by: int | str) -> int:
    """Strengths lie close together; where principal directions are left out every other one will do."""
    return 2 if isinstance(by, int) else 1


def best(
    candidates: Sequence[ClassifierSettings],
    features: np.ndarray,
    labels: np.ndarray,
    folds: Sequence[Fold],
    remember: Remember = lambda number, size, count: count(),
) -> ClassifierSettings:
    """The candidate that is right most often over grouped hold-outs; the earlier one wins a tie.

    After each hold-out only the better third goes on. `remember` is asked for the counts of a hold-out, and may know
    them from an earlier search.
    """
    if len(candidates) < 2 or not folds:
        return candidates[len(candidates) // 2]
    right = np.zeros(len(candidates), dtype=int)
    alive = list(range(len(candidates)))
    for number, (learn, score) in enumerate(folds):
        if len(set(labels[learn].tolist())) < 2:
            continue
        mine = [candidates[place] for place in alive]

        def count(
            mine: list[ClassifierSettings] = mine, learn: np.ndarray = learn, score: np.ndarray = score
        ) -> list[int]:
            found = answers(mine, features[learn], labels[learn], features[score])
            return [int((one == labels[score]).sum()) for one in found]

        right[alive] += np.array(remember(number, len(alive), count))
        alive = sorted(sorted(alive, key=lambda place: -right[place])[: max(KEPT, -(-len(alive) // 3))])
    return candidates[max(alive, key=lambda place: right[place])]


def answers(
    candidates: Sequence[ClassifierSettings], features: np.ndarray, labels: np.ndarray, others: np.ndarray
) -> list[np.ndarray]:
    """What each candidate, trained on some rows, says of others; what candidates have in common is computed once."""
    found: list[np.ndarray] = [np.zeros(0)] * len(candidates)
    if candidates[0].resample:
        rows = oversample(labels, candidates[0].seed)
        features, labels = features[rows], labels[rows]
    largest = max((one.reduction for one in candidates if isinstance(one.reduction, int)), default=0)
    order = sorted(range(len(candidates)), key=lambda place: str(candidates[place].reduction))
    turned: tuple[np.ndarray, np.ndarray] | None = None
    for by, group in groupby(order, key=lambda place: candidates[place].reduction):
        places = list(group)
        if not isinstance(by, int):
            learn, score = _prepared(candidates[places[0]], features, labels, others)
        else:
            # Fewer principal directions are the first of more.
            if turned is None:
                turned = _prepared(replace(candidates[places[0]], reduce=largest), features, labels, others)
            learn, score = (rows[:, :by] for rows in turned)
        with threads_for(learn.size * learn.shape[1]):
            several = _alike([candidates[i] for i in places], learn, labels, score)
        for place, says in zip(places, several, strict=True):
            found[place] = says
    return found


def _prepared(
    recipe: ClassifierSettings, features: np.ndarray, labels: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both parts as the classifier itself sees them."""
    before = build(recipe)[:-1]
    if not len(before):
        return features, others
    with threads_for(features.size * features.shape[1]):
        return before.fit_transform(features, labels), before.transform(others)


def _alike(
    candidates: Sequence[ClassifierSettings], learn: np.ndarray, labels: np.ndarray, score: np.ndarray
) -> Sequence[np.ndarray]:
    """Answers of candidates that see the very same numbers."""
    name = candidates[0].name
    if name == "knn":
        from featx.classifiers.solvers.base import chosen

        voters = build(candidates[0])[-1].fit(learn, labels)
        scores = voters.scores_of(score, [int(one.strength or NEIGHBOURS) for one in candidates])
        return [voters.classes_[chosen(one)] for one in scores]
    grown = {
        "svm": _strengthened,
        "logreg": _strengthened,
        "svm-rbf": _strengthened,
        "rf": _forests,
        "extra-trees": _forests,
    }.get(name, _one_by_one)
    found: list[np.ndarray] = [np.zeros(0)] * len(candidates)
    for place, says in grown(candidates, learn, labels, score):
        found[place] = says
    return found


Told = Iterator[tuple[int, np.ndarray]]


def _one_by_one(
    candidates: Sequence[ClassifierSettings], learn: np.ndarray, labels: np.ndarray, score: np.ndarray
) -> Told:
    for place, one in enumerate(candidates):
        still_wanted()
        yield place, build(one)[-1].fit(learn, labels).predict(score)


def _strengthened(
    candidates: Sequence[ClassifierSettings], learn: np.ndarray, labels: np.ndarray, score: np.ndarray
) -> Told:
    """Each solution is the start of the next stronger one; axes, or a width's kernel, are computed once."""
    from featx.classifiers.solvers.kernel_svm import space_of

    order = sorted(range(len(candidates)), key=lambda place: (candidates[place].width or 0, candidates[place].strength))
    for width, places in groupby(order, key=lambda place: candidates[place].width):
        solution, shared = None, dict[str, Any]()
        for place in places:
            still_wanted()
            one = build(candidates[place])[-1]
            if candidates[place].name == "svm-rbf":
                shared = shared or {"space": space_of(learn.astype(np.float32), width or 1.0, candidates[place].seed)}
            else:
                shared = shared or {"axes": one.axes_for(learn)}
            solution = one.fit(learn, labels, start=solution, **shared)
            yield place, solution.predict(score)


def _forests(
    candidates: Sequence[ClassifierSettings], learn: np.ndarray, labels: np.ndarray, score: np.ndarray
) -> Told:
    """Trees are grown once and asked at each depth: down to there they are what a limit would have let grow."""

    def grown(place: int) -> tuple[float, float]:
        return candidates[place].strength or 1, candidates[place].tried or 0

    for _, group in groupby(sorted(range(len(candidates)), key=grown), key=grown):
        places = list(group)
        forest = build(replace(candidates[places[0]], depth=None))[-1].set_params(n_estimators=TREES).fit(learn, labels)
        shares = shares_at(forest, score, [candidates[place].depth for place in places])
        for place, mine in zip(places, shares, strict=True):
            yield place, forest.classes_[mine.argmax(axis=1)]


def shares_at(forest: Any, features: np.ndarray, depths: Sequence[int | None]) -> list[np.ndarray]:
    """Probabilities of a forest cut off at each of several depths; None is not cut off."""
    x = np.ascontiguousarray(features, dtype=np.float32)
    rows = np.arange(len(x))
    sums = [np.zeros((len(x), len(forest.classes_))) for _ in depths]
    for one in forest.estimators_:
        tree = one.tree_
        at = np.zeros(len(x), dtype=np.intp)
        for depth in range(tree.max_depth + 1):
            for place, limit in enumerate(depths):
                if depth == (tree.max_depth if limit is None else min(limit, tree.max_depth)):
                    sums[place] += tree.value[at, 0]
            inner = tree.children_left[at] >= 0
            left = x[rows, np.maximum(tree.feature[at], 0)] <= tree.threshold[at]
            at = np.where(inner, np.where(left, tree.children_left[at], tree.children_right[at]), at)
    return [total / len(forest.estimators_) for total in sums]


class Notes:
    """Counts by the step of the search that found them; those of another search are not believed."""

    def __init__(self, path: Path | None, search: Mapping[str, object]) -> None:
        self.path = path
        self.key = hashlib.sha256(json.dumps(search, sort_keys=True, default=str).encode()).hexdigest()
        self._lock = Lock()
        self._known = self._read()
        self.resumed = len(self._known)

    def count(self, step: str, size: int, find: Callable[[], list[int]]) -> list[int]:
        """So many counts of a step: those that are known, else those that `find` returns, which are then kept."""
        found = self._known.get(step, [])
        if len(found) != size:
            found = find()
            with self._lock:
                self._known[step] = found
                self._write()
        return found

    def done(self) -> None:
        """The search is over and needs no notes."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, list[int]]:
        if self.path is None:
            return {}
        try:
            told = read_json(self.path)
            if told["search"] != self.key:
                return {}
            return {str(step): [int(one) for one in found] for step, found in told["found"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Only notes: what cannot be read is searched again.
            return {}

    def _write(self) -> None:
        if self.path is None:
            return
        told = json.dumps({"search": self.key, "found": self._known}) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path, told.encode())
        except OSError as error:
            raise cannot_write(self.path, error, "free some space, or make the folder writable") from error
