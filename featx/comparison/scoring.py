"""From answers to scores, tests, checks and the one sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from featx.backbones.registry import baseline_name
from featx.comparison.alignment import AlignedStores
from featx.comparison.candidates import CandidateResult, EvaluationPlan
from featx.labels.folds import Fold, near_duplicate_rate
from featx.metrics.scores import LOWER_IS_BETTER, METRICS, bootstrap, scores, share_by_group
from featx.metrics.significance import (
    LIMIT,
    MARGIN,
    PairedTest,
    corrected_t,
    holm,
    levels,
    sign_flips,
    spread_of,
    verdict,
    widen_to_resolution,
)

TOO_MANY_TWINS = 0.2
FAR_ABOVE = 0.05


def scored_folds(task: EvaluationPlan, folds: int) -> list[np.ndarray]:
    """Which of each fold's scored pictures count: those of categories with a product for every fold."""
    sizes = {label: len({*task.groups[task.labels == label].tolist()}) for label in task.classes}
    kept = [np.array([sizes[label] >= folds for label in task.labels[score]], dtype=bool) for _, score in task.folds]
    scored = {str(label) for (_, score), one in zip(task.folds, kept, strict=True) for label in task.labels[score][one]}
    # In pictures of one category nothing is told apart.
    return kept if len(scored) > 1 else []


class Scoring:
    """The pictures everyone is scored on, and which of them count."""

    def __init__(self, matched: AlignedStores, task: EvaluationPlan, kept: list[np.ndarray], seed: int) -> None:
        self.matched, self.task, self.kept, self.seed = matched, task, kept, seed
        self.foldable = {
            str(label) for (_, score), keep in zip(task.folds, kept, strict=False) for label in task.labels[score][keep]
        }

    @property
    def held_truth(self) -> np.ndarray:
        """Class numbers of the held-out pictures; -1 where the category cannot be learned."""
        return self.task.held_truth

    @property
    def held_groups(self) -> np.ndarray:
        """Held-out pictures of one product share a number."""
        return self.task.held_groups

    @cached_property
    def ratio(self) -> float:
        """Pictures scored over pictures learned from, in one fold."""
        return float(np.mean([len(score) / len(learn) for learn, score in self.task.folds or self.task.plain]))

    @cached_property
    def coarse_of(self) -> np.ndarray | None:
        """For each class the coarser one that most of its pictures have."""
        if self.matched.coarse is None:
            return None
        higher = self.matched.coarse[: self.matched.n_learn]
        found = []
        for label in self.task.classes:
            names, counts = np.unique(higher[self.task.labels == label], return_counts=True)
            found.append(str(names[counts.argmax()]))
        return np.array(found)


def score_candidate(told: CandidateResult, scoring: Scoring) -> dict[str, Any]:
    """The scores of one contender, and what it costs."""
    contender, recipe = told.contender, told.contender.recipe
    test: dict[str, Any] | None = None
    if told.held is not None:
        found = bootstrap(scoring.held_truth, told.held, scoring.held_groups, seed=scoring.seed)
        test = {name: vars(one) for name, one in found.items()} | {"n": len(told.held)}
    settings = {"temperature": told.temperature}
    if recipe is not None:
        from dataclasses import replace

        settings |= replace(recipe, strength=told.strength).for_card()
    return {
        "store": contender.store,
        "clf": contender.clf,
        "baseline": contender.baseline,
        "settings": settings,
        "test": test,
        "cv": _over_folds(told, scoring),
        "naive": _plain(told, scoring),
        "coarse": _coarse(told, scoring),
        "fit_seconds": told.fit_seconds,
        "predict_seconds": told.predict_seconds,
        "bytes": told.bytes,
    }


def _over_folds(told: CandidateResult, scoring: Scoring) -> dict[str, Any]:
    truth = scoring.task.truth
    found = [
        scores(truth[score][keep], shares[keep])
        for (_, score), shares, keep in zip(scoring.task.folds, told.folds, scoring.kept, strict=False)
        if keep.any()
    ]
    if not found:
        return {}
    measured = {
        name: spread_of([one[name] for one in found], scoring.ratio, name not in LOWER_IS_BETTER) for name in METRICS
    }
    right = _right(told.folds, scoring.task.folds, truth)
    return measured | {"accuracy": _share(right, scoring.task.folds, scoring.kept, scoring)}


def _right(shares: Sequence[np.ndarray], folds: Sequence[Fold], truth: np.ndarray) -> list[np.ndarray]:
    """For each fold which of its scored pictures are answered rightly."""
    return [one.argmax(axis=1) == truth[score] for one, (_, score) in zip(shares, folds, strict=True)]


def _share(
    right: Sequence[np.ndarray], folds: Sequence[Fold], kept: Sequence[np.ndarray], scoring: Scoring
) -> dict[str, object]:
    """The share of all scored pictures that is right, with the interval that `featx fit` gives the same pictures.

    A picture that was scored several times, in folds that were cut anew, counts once: as often as it was right.
    """
    groups = scoring.task.groups
    times, hits = np.zeros(len(groups)), np.zeros(len(groups))
    for (_, score), those, keep in zip(folds, right, kept, strict=True):
        times[score[keep]] += 1
        hits[score[keep]] += those[keep]
    scored = times > 0
    found = share_by_group(hits[scored] / times[scored], groups[scored])
    each = [float(those[keep].mean()) for those, keep in zip(right, kept, strict=True) if keep.any()]
    return spread_of(each, scoring.ratio) | {"mean": found.value, "low": found.low, "high": found.high}


def _plain(told: CandidateResult, scoring: Scoring) -> dict[str, Any] | None:
    """The score of folds that split products, on the same categories: what the grouped one is protected from."""
    if not told.plain:
        return None
    task = scoring.task
    kept = [
        np.array([not scoring.foldable or label in scoring.foldable for label in task.labels[score]], dtype=bool)
        for _, score in task.plain
    ]
    return {"accuracy": _share(_right(told.plain, task.plain, task.truth), task.plain, kept, scoring)}


def _coarse(told: CandidateResult, scoring: Scoring) -> dict[str, Any] | None:
    """How often a fine answer lies in the right coarser category."""
    coarse, coarse_of = scoring.matched.coarse, scoring.coarse_of
    if coarse is None or coarse_of is None:
        return None
    test = cv = None
    if told.held is not None:
        found = share_by_group(
            coarse_of[told.held.argmax(axis=1)] == coarse[scoring.matched.n_learn :], scoring.held_groups
        )
        test = {"value": found.value, "low": found.low, "high": found.high}
    if scoring.kept:
        right = [
            coarse_of[shares.argmax(axis=1)] == coarse[score]
            for (_, score), shares in zip(scoring.task.folds, told.folds, strict=True)
        ]
        cv = _share(right, scoring.task.folds, scoring.kept, scoring)
    return {
        "level": scoring.matched.coarse_name,
        "classes": len(set(coarse_of.tolist())),
        "test": test,
        "cv": cv,
    }


def tests_between(
    answers: Sequence[CandidateResult], entries: Sequence[dict[str, Any]], serious: Sequence[int], scoring: Scoring
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every pair over the folds, and again on the held-out pictures; p and interval corrected for their number."""
    pairs = list(combinations(serious, 2))
    return _tested(pairs, entries, _over_fold(entries, scoring)), _tested(pairs, entries, _held_out(answers, scoring))


Test = Callable[[int, int, float], PairedTest]


def _over_fold(entries: Sequence[dict[str, Any]], scoring: Scoring) -> Test | None:
    """The test of two entries over the folds, where folds are scored."""
    if not scoring.kept:
        return None
    task = scoring.task
    sizes = [int(keep.sum()) for keep in scoring.kept if keep.any()]
    scored = np.concatenate([score[keep] for (_, score), keep in zip(task.folds, scoring.kept, strict=True)])
    products = len(np.unique(task.groups[scored]))
    folds = [np.array(entry["cv"]["accuracy"]["folds"]) for entry in entries]

    def test(a: int, b: int, level: float) -> PairedTest:
        return widen_to_resolution(
            corrected_t(folds[a] - folds[b], scoring.ratio, sizes=sizes, level=level), products, level
        )

    return test


def _held_out(answers: Sequence[CandidateResult], scoring: Scoring) -> Test | None:
    """The test of two entries on the held-out pictures, where there are any."""
    if not len(scoring.held_truth):
        return None
    groups, products = scoring.held_groups, len(np.unique(scoring.held_groups))

    def right(i: int) -> np.ndarray:
        held = answers[i].held
        assert held is not None
        return np.asarray(held.argmax(axis=1) == scoring.held_truth)

    def test(a: int, b: int, level: float) -> PairedTest:
        return widen_to_resolution(sign_flips(right(a), right(b), groups, scoring.seed, level=level), products, level)

    return test


def _tested(
    pairs: Sequence[tuple[int, int]],
    entries: Sequence[dict[str, Any]],
    test: Test | None,
) -> list[dict[str, Any]]:
    """Each pair by one test; its interval is of the level at which the test was decided."""
    if test is None:
        return []
    chances = [test(a, b, LIMIT).p for a, b in pairs]
    told = []
    for (a, b), p, level in zip(pairs, holm(chances), levels(chances), strict=True):
        found = test(a, b, level)
        names = {key: [entries[i]["store"], entries[i]["clf"]] for key, i in (("a", a), ("b", b))}
        more = {"p_holm": p, "level": level, "verdict": verdict(found)}
        told.append({**names, "metric": "accuracy", **vars(found), **more})
    return told


def choose(
    entries: Sequence[dict[str, Any]], serious: Sequence[int], tests: Sequence[dict[str, Any]], scoring: Scoring
) -> dict[str, Any]:
    """The one to use: first by held-out pictures where there are any, else over the folds; how the others stand; why.

    `alike` are as good: the interval of the difference says so. `ties` are not told apart; `below` are less often right
    than a baseline.
    """

    def accuracy(entry: dict[str, Any]) -> float:
        told = (entry["test"] or entry["cv"])["accuracy"]
        return float(told.get("value", told.get("mean")))

    best = max((entries[i] for i in serious), key=accuracy)
    mine = [best["store"], best["clf"]]
    floor = max((entry for entry in entries if entry["baseline"]), key=accuracy, default=None)
    below = [
        [entries[i]["store"], entries[i]["clf"]]
        for i in serious
        if floor is not None and accuracy(entries[i]) < accuracy(floor)
    ]
    ties, alike = [], []
    for one in tests:
        if mine not in (one["a"], one["b"]):
            continue
        other, behind = (one["b"], one["high"]) if one["a"] == mine else (one["a"], -one["low"])
        if other not in below and behind <= MARGIN:
            alike.append(other)
        elif other not in below and one["verdict"] == "tie":
            ties.append(other)
    place = {(entry["store"], entry["clf"]): entry for entry in entries}
    for found in (ties, alike, below):
        found.sort(key=lambda one: -accuracy(place[one[0], one[1]]))
    why = _sentence(best, alike, ties, scoring)
    if floor is not None and accuracy(best) <= accuracy(floor):
        name = "colours alone" if floor["store"] == baseline_name() else f"`{floor['clf']}`"
        why += f"; but the baseline {name} is right as often or more ({accuracy(floor):.1%})"
    return {"store": mine[0], "clf": mine[1], "ties": ties, "alike": alike, "below": below, "why": why}


def _sentence(
    best: dict[str, Any], alike: Sequence[Sequence[str]], ties: Sequence[Sequence[str]], scoring: Scoring
) -> str:
    several = len(scoring.matched.names) > 1

    def called(store: str, clf: str) -> str:
        return f"{clf} on {store}" if several else clf

    def listed(entries: Sequence[Sequence[str]]) -> str:
        names = [called(*one) for one in entries]
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

    told = (best["test"] or best["cv"])["accuracy"]
    value = told.get("value", told.get("mean"))
    unseen = "pictures it had not seen" if scoring.matched.grouped_by == "none" else "products it had not seen"
    where = f"{best['test']['n']:,} held-out pictures" if best["test"] else unseen
    said = (
        f"use {called(best['store'], best['clf'])}: {value:.1%} right on {where}"
        f" ({told['low']:.1%} – {told['high']:.1%})"
    )
    if alike:
        said += (
            f"; {listed(alike)} {'is' if len(alike) == 1 else 'are'} as good (at most {100 * MARGIN:.0f} points behind)"
        )
    if ties:
        said += f"; {listed(ties)} {'is' if len(ties) == 1 else 'are'} not told apart from it by these pictures"
    return said


def checks_of(
    place: int, rows: np.ndarray, entries: Sequence[dict[str, Any]], best: dict[str, Any], scoring: Scoring
) -> list[dict[str, Any]]:
    """What a reader should know before believing the score."""
    matched, task = scoring.matched, scoring.task
    n = matched.n_learn
    if len(rows) > n:
        twins = near_duplicate_rate(rows[n:], rows[:n])
    else:
        cut = task.repeats[0]
        twins = sum(len(score) * near_duplicate_rate(rows[score], rows[learn]) for learn, score in cut) / n
    checks = [_check("FX101", twins > TOO_MANY_TWINS, share=twins)]
    small = len(set(task.classes) - scoring.foldable)
    checks.append(_check("FX103", small > 0, share=small / len(task.classes), n=small))
    mine = [one for one in entries if one["store"] == matched.names[place] and not one["baseline"]]

    def headline(entry: dict[str, Any]) -> float:
        told = (entry["test"] or entry["cv"])["accuracy"]
        return float(told.get("value", told.get("mean")))

    top = max(mine, key=headline)
    colour = [headline(one) for one in entries if one["store"] == baseline_name() and one["baseline"]]
    if colour:
        checks.append(_check("FX105", headline(top) <= max(colour), share=max(colour)))
    if top["test"] and top["cv"]:
        gap = top["cv"]["accuracy"]["mean"] - top["test"]["accuracy"]["value"]
        checks.append(_check("FX106", gap > FAR_ABOVE, share=gap))
    return checks


def _check(code: str, bad: bool, **facts: float) -> dict[str, Any]:
    return {"code": code, "level": "warning" if bad else "passed", **facts}
