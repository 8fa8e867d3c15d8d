"""Which entry to use: the rows of the report's first table, and the differences that are real."""

from __future__ import annotations

from typing import Literal

from featx.comparison.document import ComparedStore, ComparisonDocument, Entry, FoldScore, PairTest, Score
from featx.reporting.records import EntryRow, Recommended, Which


def score_of(score: Score | FoldScore | None) -> Score | None:
    """A score as value, low and high, whether it was measured once or over folds."""
    return None if score is None else Score(score.value, score.low, score.high)


def measured_on(entry: Entry) -> Literal["test", "cv"]:
    """The scores that judge an entry: those of held-out photos if there are any, else of cross-validation."""
    return "test" if entry.test else "cv"


def which_of(comparison: ComparisonDocument, price: float | None) -> Which:
    """Every entry with accuracy, speed and size, best first; the recommendation; the differences that are real."""
    stores = {store.name: store for store in comparison.stores}
    best = comparison.best
    rows = [
        _row(comparison, entry, stores.get(entry.store, ComparedStore(entry.store)), price)
        for entry in comparison.entries
    ]
    rows.sort(key=lambda row: -row.accuracy.value if row.accuracy else 1.0)
    for row in rows:
        row.unbeaten = not row.baseline and not any(_beats(other, row) for other in rows)
    tests, tests_on = real_differences(comparison)
    return Which(
        best=Recommended(best.store, best.clf, best.why),
        ties=list(best.ties),
        alike=list(best.alike),
        rows=rows,
        tests=[_winner_first(test) for test in tests],
        tests_on=tests_on,
        price_per_hour=price,
    )


def _row(comparison: ComparisonDocument, entry: Entry, store: ComparedStore, price: float | None) -> EntryRow:
    best, rate = comparison.best, pace(store.images_per_second, entry.predict_seconds)
    hours = 1e6 / rate / 3600 if rate else None
    return EntryRow(
        store=entry.store,
        clf=entry.clf,
        backbone=store.backbone or entry.store,
        baseline=entry.baseline,
        best=entry.name == best.name,
        tied=entry.name in best.ties,
        alike=entry.name in best.alike,
        below=entry.name in best.below,
        measured_on=measured_on(entry),
        accuracy=score_of(entry.scores.accuracy),
        macro_f1=score_of(entry.scores.macro_f1),
        images_per_second=rate,
        hours_per_million=hours,
        cost_per_million=cost(hours, price),
        fit_seconds=entry.fit_seconds,
        predict_seconds=entry.predict_seconds,
        bytes=entry.bytes,
        unbeaten=False,
    )


def cost(hours: float | None, price: float | None) -> float | None:
    """What so many hours cost, where both are known."""
    return None if hours is None or price is None else hours * price


def pace(extracted: float | None, answer_seconds: float | None) -> float | None:
    """Photos a second from file to answer: the network's part and the classifier's."""
    return 1 / (1 / extracted + (answer_seconds or 0.0)) if extracted else None


def real_differences(comparison: ComparisonDocument) -> tuple[list[PairTest], str]:
    """The tests between entries, on the photos that the scores are of, and which those are."""
    judged = [entry for entry in comparison.entries if entry.name == comparison.best.name]
    if comparison.held_out_tests and judged and judged[0].test:
        return list(comparison.held_out_tests), "test"
    return list(comparison.tests), "cv"


def _winner_first(test: PairTest) -> PairTest:
    """A test of two entries with the better one as `a`, so that the difference is positive."""
    if test.verdict != "b":
        return test
    return PairTest(
        a=test.b,
        b=test.a,
        metric=test.metric,
        difference=-test.difference,
        low=None if test.high is None else -test.high,
        high=None if test.low is None else -test.low,
        p=test.p,
        p_holm=test.p_holm,
        level=test.level,
        verdict="a",
    )


def _beats(other: EntryRow, row: EntryRow) -> bool:
    """Whether `other` is at least as good in accuracy, pace and size, and better in one."""

    def worth(entry: EntryRow) -> tuple[float, float, float]:
        accuracy = entry.accuracy.value if entry.accuracy else -1.0
        return accuracy, entry.images_per_second or 0.0, -(entry.bytes or 0)

    mine, theirs = worth(row), worth(other)
    return theirs != mine and all(a >= b for a, b in zip(theirs, mine, strict=True))
