"""From answers to scores, tests, checks and the recommendation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from featx.backbones.registry import baseline_name
from featx.comparison.alignment import AlignedStores
from featx.comparison.candidates import CandidateResult, EvaluationPlan
from featx.comparison.document import Best, Check, Entry, Name, PairTest
from featx.comparison.json_values import as_record, rounded
from featx.labels.folds import Fold, near_duplicate_rate, near_duplicates_in
from featx.metrics.assessment import assess
from featx.metrics.scores import LOWER_IS_BETTER, METRICS, ScoredAnswers, scores, share_by_group
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
from featx.views.quantities import percent, percent_range

TOO_MANY_TWINS = 0.2
FAR_ABOVE = 0.05


def scored_folds(plan: EvaluationPlan) -> list[np.ndarray]:
    """Which of each fold's scored photos count: those of categories with a product for every fold."""
    kept = [np.isin(plan.labels[score], plan.foldable) & plan.unseen(score) for _, score in plan.folds]
    return kept if any(mask.any() for mask in kept) else []


class Scoring:
    """The photos that every candidate is scored on, and which of them count."""

    def __init__(self, aligned: AlignedStores, plan: EvaluationPlan, kept: list[np.ndarray], seed: int) -> None:
        self.aligned, self.plan, self.kept, self.seed = aligned, plan, kept, seed
        self.foldable = set(plan.foldable) if kept else set()

    @property
    def held_truth(self) -> np.ndarray:
        """Class numbers of the held-out photos; -1 where the category cannot be learned."""
        return self.plan.held_truth

    @property
    def held_groups(self) -> np.ndarray:
        """Held-out photos of one product share a number."""
        return self.plan.held_groups

    @cached_property
    def ratio(self) -> float:
        """Photos scored over photos learned from, in one fold."""
        return float(np.mean([len(score) / len(learn) for learn, score in self.plan.folds or self.plan.plain]))

    @cached_property
    def coarse_of(self) -> np.ndarray | None:
        """For each class the coarser one that most of its photos have."""
        if self.aligned.coarse is None:
            return None
        higher = self.aligned.coarse[: self.aligned.n_learn]
        coarse = []
        for label in self.plan.classes:
            names, counts = np.unique(higher[self.plan.labels == label], return_counts=True)
            coarse.append(str(names[counts.argmax()]))
        return np.array(coarse)


def score_candidate(result: CandidateResult, scoring: Scoring) -> Entry:
    """The scores of one candidate, and what it costs.

    Rounded at once: the sentence, the table and the card of `featx fit` then say the same.
    """
    candidate, recipe = result.candidate, result.candidate.recipe
    test: dict[str, Any] | None = None
    if result.held is not None:
        answers = ScoredAnswers(scoring.held_truth, result.held_probabilities(scoring.plan), scoring.held_groups)
        intervals = assess(answers, scoring.plan.classes, seed=scoring.seed).scores
        test = {name: vars(interval) for name, interval in intervals.items()} | {"n": len(result.held)}
    settings = {"temperature": result.temperature}
    if recipe is not None:
        from dataclasses import replace

        settings |= replace(recipe, strength=result.strength).for_card()
    entry = {
        "store": candidate.store,
        "clf": candidate.clf,
        "baseline": candidate.baseline,
        "settings": settings,
        "test": test,
        "cv": _over_folds(result, scoring),
        "naive": _plain(result, scoring),
        "coarse": _coarse(result, scoring),
        "fit_seconds": result.fit_seconds,
        "predict_seconds": result.predict_seconds,
        "bytes": result.bytes,
    }
    return as_record(rounded(entry), Entry)


def _over_folds(result: CandidateResult, scoring: Scoring) -> dict[str, Any]:
    truth = scoring.plan.truth
    by_fold = [
        scores(truth[score][keep], shares[keep])
        for (_, score), shares, keep in zip(scoring.plan.folds, result.fold_probabilities, scoring.kept, strict=False)
        if keep.any()
    ]
    if not by_fold:
        return {}
    measured = {
        name: spread_of([fold[name] for fold in by_fold], scoring.ratio, name not in LOWER_IS_BETTER)
        for name in METRICS
    }
    right = _right(result.folds, scoring.plan.folds, truth)
    return measured | {"accuracy": _share(right, scoring.plan.folds, scoring.kept, scoring)}


def _right(shares: Sequence[np.ndarray], folds: Sequence[Fold], truth: np.ndarray) -> list[np.ndarray]:
    """For each fold which of its scored photos are answered correctly."""
    return [fold.argmax(axis=1) == truth[score] for fold, (_, score) in zip(shares, folds, strict=True)]


def _share(
    right: Sequence[np.ndarray], folds: Sequence[Fold], kept: Sequence[np.ndarray], scoring: Scoring
) -> dict[str, object]:
    """The share of all scored photos that is right, with the interval that `featx fit` gives for the same photos.

    A photo that was scored several times, in folds that were cut anew, counts once: by the share of times it was right.
    """
    groups = scoring.plan.groups
    times, hits = np.zeros(len(groups)), np.zeros(len(groups))
    for (_, score), those, keep in zip(folds, right, kept, strict=True):
        times[score[keep]] += 1
        hits[score[keep]] += those[keep]
    scored = times > 0
    share = share_by_group(hits[scored] / times[scored], groups[scored])
    each = [float(those[keep].mean()) for those, keep in zip(right, kept, strict=True) if keep.any()]
    return spread_of(each, scoring.ratio) | {"mean": share.value, "low": share.low, "high": share.high}


def _plain(result: CandidateResult, scoring: Scoring) -> dict[str, Any] | None:
    """The score of folds that split products, on the same categories: the optimism that grouped folds avoid."""
    if not result.plain:
        return None
    plan = scoring.plan
    kept = [
        np.array([not scoring.foldable or label in scoring.foldable for label in plan.labels[score]], dtype=bool)
        & plan.unseen(score)
        for _, score in plan.plain
    ]
    return {"accuracy": _share(_right(result.plain, plan.plain, plan.truth), plan.plain, kept, scoring)}


def _coarse(result: CandidateResult, scoring: Scoring) -> dict[str, Any] | None:
    """How often an answer is in the right coarser category."""
    coarse, coarse_of = scoring.aligned.coarse, scoring.coarse_of
    if coarse is None or coarse_of is None:
        return None
    test = cv = None
    if result.held is not None:
        share = share_by_group(
            coarse_of[result.held.argmax(axis=1)] == coarse[scoring.aligned.n_learn :], scoring.held_groups
        )
        test = {"value": share.value, "low": share.low, "high": share.high}
    if scoring.kept:
        right = [
            coarse_of[shares.argmax(axis=1)] == coarse[score]
            for (_, score), shares in zip(scoring.plan.folds, result.folds, strict=True)
        ]
        cv = _share(right, scoring.plan.folds, scoring.kept, scoring)
    return {
        "level": scoring.aligned.coarse_name,
        "classes": len(set(coarse_of.tolist())),
        "test": test,
        "cv": cv,
    }


def tests_between(
    answers: Sequence[CandidateResult], entries: Sequence[Entry], serious: Sequence[int], scoring: Scoring
) -> tuple[list[PairTest], list[PairTest]]:
    """Every pair over the folds, and again on the held-out photos; p and interval corrected for multiple tests."""
    pairs = list(combinations(serious, 2))
    return _tested(pairs, entries, _over_fold(entries, scoring)), _tested(pairs, entries, _held_out(answers, scoring))


Test = Callable[[int, int, float], PairedTest]


def _over_fold(entries: Sequence[Entry], scoring: Scoring) -> Test | None:
    """The test of two entries over the folds, where folds are scored."""
    if not scoring.kept:
        return None
    plan = scoring.plan
    sizes = [int(keep.sum()) for keep in scoring.kept if keep.any()]
    scored = np.concatenate([score[keep] for (_, score), keep in zip(plan.folds, scoring.kept, strict=True)])
    products = len(np.unique(plan.groups[scored]))
    folds = [np.array(entry.cv.accuracy.folds if entry.cv.accuracy else []) for entry in entries]

    def test(a: int, b: int, level: float) -> PairedTest:
        return widen_to_resolution(
            corrected_t(folds[a] - folds[b], scoring.ratio, sizes=sizes, level=level), products, level
        )

    return test


def _held_out(answers: Sequence[CandidateResult], scoring: Scoring) -> Test | None:
    """The test of two entries on the held-out photos, if there are any."""
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
    entries: Sequence[Entry],
    test: Test | None,
) -> list[PairTest]:
    """Each pair by one test; its interval has the level at which the test was decided."""
    if test is None:
        return []
    chances = [test(a, b, LIMIT).p for a, b in pairs]
    tests = []
    for (a, b), p, level in zip(pairs, holm(chances), levels(chances), strict=True):
        result = test(a, b, level)
        tests.append(
            PairTest(
                a=entries[a].name,
                b=entries[b].name,
                difference=result.difference,
                low=result.low,
                high=result.high,
                p=result.p,
                p_holm=p,
                level=level,
                verdict=verdict(result),
            )
        )
    return tests


def recommend(entries: Sequence[Entry], serious: Sequence[int], tests: Sequence[PairTest], scoring: Scoring) -> Best:
    """The entry to use, by held-out photos where there are any, else over the folds; how the others stand; why.

    `alike` are as good: the interval of the difference says so. `ties` are not separated; `below` are less often right
    than a baseline.
    """
    accuracy_of = {entry.name: entry.accuracy.value for entry in entries}
    best = max((entries[i] for i in serious), key=lambda entry: entry.accuracy.value)
    floor = max((entry for entry in entries if entry.baseline), key=lambda entry: entry.accuracy.value, default=None)
    names = [entries[i].name for i in serious]
    below = [name for name in names if floor is not None and accuracy_of[name] < floor.accuracy.value]
    ties, alike = [], []
    for test in tests:
        if best.name not in (test.a, test.b):
            continue
        other, behind = (test.b, test.high) if test.a == best.name else (test.a, -(test.low or 0.0))
        if other not in below and behind is not None and behind <= MARGIN:
            alike.append(other)
        elif other not in below and test.verdict == "tie":
            ties.append(other)
    for others in (ties, alike, below):
        others.sort(key=lambda name: -accuracy_of[name])
    why = _sentence(best, alike, ties, scoring)
    if floor is not None and best.accuracy.value <= floor.accuracy.value:
        name = "colours alone" if floor.store == baseline_name() else f"`{floor.clf}`"
        why += f"; but the baseline {name} is right as often or more ({percent(floor.accuracy.value)})"
    return Best(best.store, best.clf, ties, alike, below, why)


def _sentence(best: Entry, alike: Sequence[Name], ties: Sequence[Name], scoring: Scoring) -> str:
    several = len(scoring.aligned.names) > 1

    def called(name: Name) -> str:
        store, clf = name
        return f"{clf} on {store}" if several else clf

    def listed(entries: Sequence[Name]) -> str:
        names = [called(name) for name in entries]
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

    unseen = "photos it had not seen" if scoring.aligned.grouped_by == "none" else "products it had not seen"
    where = f"{best.test.n:,} held-out photos" if best.test else unseen
    accuracy = best.accuracy
    interval = percent_range(accuracy.low, accuracy.high)
    text = f"use {called(best.name)}: {percent(accuracy.value)} right on {where} ({interval})"
    if alike:
        are = "is" if len(alike) == 1 else "are"
        text += f"; {listed(alike)} {are} as good (at most {100 * MARGIN:.0f} points behind)"
    if ties:
        text += f"; {listed(ties)} may be as good: these photos do not decide"
    return text


def checks_of(index: int, rows: np.ndarray, entries: Sequence[Entry], scoring: Scoring) -> list[Check]:
    """What a reader should know before believing the score of a store."""
    aligned, plan = scoring.aligned, scoring.plan
    checks = [_check("FX101", (twins := _twins(rows, scoring)) > TOO_MANY_TWINS, share=twins)]
    small = len(set(plan.classes) - scoring.foldable)
    checks.append(_check("FX103", small > 0, share=small / len(plan.classes), n=small))
    mine = [entry for entry in entries if entry.store == aligned.names[index] and not entry.baseline]
    top = max(mine, key=lambda entry: entry.accuracy.value)
    colour = [entry.accuracy.value for entry in entries if entry.store == baseline_name() and entry.baseline]
    if colour:
        checks.append(_check("FX105", top.accuracy.value <= max(colour), share=max(colour)))
    if top.test and top.cv.accuracy:
        gap = top.cv.accuracy.mean - top.accuracy.value
        checks.append(_check("FX106", gap > FAR_ABOVE, share=gap))
    return checks


def _twins(rows: np.ndarray, scoring: Scoring) -> float:
    """The share of scored photos with a near-duplicate among the training photos."""
    n = scoring.aligned.n_learn
    if len(rows) > n:
        return near_duplicate_rate(rows[n:], rows[:n])
    return near_duplicates_in(scoring.plan.repeats[0], rows)


def _check(code: str, bad: bool, share: float, n: int | None = None) -> Check:
    return Check(code, "warning" if bad else "passed", float(share), n)
