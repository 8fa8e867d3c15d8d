"""The sections of the report, and the sentence that opens each, written from the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from featx.reporting.formatting import Formatter, Located, TerminalFormatter
from featx.reporting.records import ReportDocument

METRIC_NAMES: Mapping[str, str] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "top3": "right within the first 3",
    "top5": "right within the first 5",
    "log_loss": "log loss (lower is better)",
    "ece": "calibration error (lower is better)",
    "similar_recall_at_1": "first look-alike is right",
    "similar_map": "look-alikes, mean average precision",
}
SEARCH_METRICS: Mapping[str, str] = {
    "recall_at_1": "the first answer is right",
    "recall_at_5": "at least one of the first 5 is right",
    "recall_at_10": "at least one of the first 10 is right",
    "precision_at_10": "share of the first 10 that are right",
    "map": "mean average precision",
}
# How a photo can be answered beside its columns; every other way counts both.
WAY_NAMES: Mapping[str, str] = {"photo": "the photo alone", "columns": "the columns alone"}
MEASURED_ON: Mapping[str, str] = {"test": "held-out photos", "cv": "cross-validation"}


def headline(r: Located, text: Formatter) -> str:
    """The page's first sentence: the recommendation."""
    held_out = r.honest.measured_on == "test"
    return text.sentence(
        "Use <b>{row.clf}</b> on <b>{row.backbone}</b>: it gets {row.accuracy.value:percent} of "
        + ("held-out photos right." if held_out else "photos right in cross-validation."),
        row=best_row(r),
    )


def best_row(r: Located) -> Any:
    """The recommended entry as in the table."""
    return next((row for row in r.which.rows if row.best), r.which.rows[0])


def _which(r: Located, text: Formatter) -> str:
    others = []
    for entries, one, many in (
        (r.which.alike, "; one other is as good", "; {n:count} others are as good"),
        (r.which.ties, "; one other may be as good", "; {n:count} others may be as good"),
    ):
        if entries:
            others.append(text.by_count(len(entries), one=one, many=many))
    return text.sentence(
        "Use <b>{row.clf}</b> on <b>{row.backbone}</b>: {row.accuracy.value:percent} right on {where} "
        "(95% interval: {row.accuracy.low:percent} to {row.accuracy.high:percent}){others}.",
        row=best_row(r),
        where=text.sentence(MEASURED_ON[r.honest.measured_on]),
        others=text.joined(others),
    )


def _honest(r: Located, text: Formatter) -> str:
    baselines = [baseline.accuracy.value for baseline in r.honest.baselines if baseline.accuracy]
    floor = text.sentence("; the best baseline reaches {best:percent}", best=max(baselines)) if baselines else ""
    naive = r.honest.naive
    gap = text.sentence("; random folds would have claimed {naive.value:percent}", naive=naive) if naive else ""
    return text.sentence(
        "{score.value:percent} right on {where}, between {score.low:percent} and {score.high:percent} at 95% "
        "confidence{floor}{gap}.",
        score=best_row(r).accuracy,
        where=text.sentence(MEASURED_ON[r.honest.measured_on]),
        floor=floor,
        gap=gap,
    )


def times(pair: Located, text: Formatter) -> str:
    """How often a mix-up happened."""
    return text.by_count(pair.n, one="once", many="{n:count} times")


def _fails(r: Located, text: Formatter) -> str:
    if not r.fails:
        return text.sentence("Not measured: run <b>featx compare</b> to see which categories are mixed up.")
    n = sum(int(row.n) for row in r.fails.per_class)
    if not (r.fails.confusion and r.fails.pairs and r.fails.per_class):
        return text.sentence("No mistake in {n:count} scored photos.", n=n)
    return text.sentence(
        "{fails.confusion.mistakes:count} of {n:count} scored photos {verb} wrong, most often {pair.truth} taken for "
        "{pair.says} ({times}). The weakest category is {weakest.label}: {weakest.recall:percent} of its photos are "
        "recognised.",
        fails=r.fails,
        n=n,
        pair=r.fails.pairs[0],
        verb="is" if r.fails.confusion.mistakes == 1 else "are",
        times=times(r.fails.pairs[0], text),
        weakest=r.fails.per_class[0],
    )


TARGET = 0.98


def automated(r: Located) -> Any:
    """The threshold row for filing without a person; None if nothing can be filed, or too little was measured."""
    if not r.trust or not r.trust.n or not r.trust.enough:
        return None
    return next((row for row in r.trust.thresholds if row.target == TARGET and row.coverage), None)


def too_few(r: Located, text: Formatter) -> str:
    """Why no threshold can be trusted: there are too few products, as `featx fit` counts them."""
    if r.trust.products is None:
        return text.sentence("too few photos ({trust.n:count}) to suggest a threshold", trust=r.trust)
    return text.sentence(
        "too few products ({trust.products:count} of {trust.needed:count}) to say how much can be filed without a "
        "person at 98% right",
        trust=r.trust,
    )


def tuning(r: Located, text: Formatter) -> str:
    """What tuning the network changed on the photos that judged it."""
    return text.sentence(
        "<b>{tuned.name}</b> was tuned from {tuned.parent} on {learned:count} photos: of {judged:count} others "
        "{before:percent} were right before and {after:percent} after ({gain.value:points} points; {gain.low:points} "
        "to {gain.high:points}; p = {p:decimal}).",
        tuned=r.tuned,
        learned=r.tuned.tuned_on,
        judged=r.tuned.judged_on,
        before=r.tuned.before.value,
        after=r.tuned.after.value,
        gain=r.tuned.gain,
        p=r.tuned.p,
    )


def _trust(r: Located, text: Formatter) -> str:
    if not r.trust:
        return text.sentence(
            "Not measured: this classifier gives no probabilities, or they were not kept. Run <b>featx compare</b>."
        )
    if not r.trust.n:
        return text.sentence(
            "Confidence against how often it is right, in {n:count} steps.", n=len(r.trust.reliability)
        )
    if not r.trust.enough:
        rest = "{few}"
    elif automated(r) is None:
        rest = "no threshold reaches 98% right"
    else:
        rest = "{row.coverage:percent} can be filed without a person at 98% right"
    return text.sentence(
        "Its average confidence is {trust.confidence:percent}, and it is right {trust.accuracy:percent} of the time; "
        + rest
        + ".",
        trust=r.trust,
        row=automated(r),
        few="" if r.trust.enough else too_few(r, text),
    )


# The outcome of a check in words: nothing, one, many.
LABELS = ("no label looks wrong", "one label looks wrong", "{n:count} labels look wrong")
COPIES = (
    "no copies were found",
    "one group of copies, {leaks:count} on both sides of the split",
    "{n:count} groups of copies, {leaks:count} of them on both sides of the split",
)
FILES = ("every file could be read", "one file could not be read", "{n:count} files could not be read")


def _data(r: Located, text: Formatter) -> str:
    checks = ((r.data.issues, LABELS), (r.data.duplicates, COPIES), (r.data.skipped, FILES))
    leaks = r.data.duplicates.n_leaks if r.data.duplicates else 0
    parts = [
        text.by_count(check.n, none=none, one=one, many=many, leaks=leaks)
        for check, (none, one, many) in checks
        if check
    ]
    if not parts:
        return text.sentence("Nothing was checked yet: run <b>featx issues</b> and <b>featx duplicates</b>.")
    # A sentence may begin with a number, but not with a small letter.
    parts[0] = type(parts[0])(parts[0][:1].upper() + parts[0][1:])
    return text.joined(parts, "; ", end=".")


def _similar(r: Located, text: Formatter) -> str:
    if not r.similar:
        return text.sentence("Not measured: run <b>featx compare</b> on a store with labels.")
    if not r.similar.measured:
        return text.sentence("Search was not measured; these are a few queries to look at.")
    return text.sentence(
        "The most similar product is of the right category {recall.value:percent} of the time; mean average precision "
        "{precision.value:decimal}.",
        recall=search_figure(r, "recall_at_1"),
        precision=search_figure(r, "map"),
    )


def search_figure(r: Located, metric: str) -> Any:
    """A figure of the search with its interval; None where it was not measured."""
    return r.similar.measured[metric] if r.similar and r.similar.measured else None


def _map(r: Located, text: Formatter) -> str:
    if not r.map:
        return text.sentence(
            "Not drawn: the store was not at hand when this report was written. Run <b>featx report</b> where it is."
        )
    if r.map.same_category is None:
        return text.sentence("{map.n:count} photos, none of them with a category.", map=r.map)
    return text.sentence(
        "{map.n:count} photos in {classes:count} categories; the nearest photo on the map is of the same category "
        "{map.same_category:percent} of the time.",
        map=r.map,
        classes=len(r.map.classes),
    )


def _made(r: Located, text: Formatter) -> str:
    return text.by_count(
        len(r.made.stores),
        one="Made in {seconds:duration} with featx {version}, from one store.",
        many="Made in {seconds:duration} with featx {version}, from {n:count} stores.",
        seconds=r.made.seconds,
        version=r.featx,
    )


@dataclass(frozen=True)
class Section:
    """A section: its name in links, its question, its word in the navigation, and what writes its answer."""

    id: str
    title: str
    short: str
    opening: Callable[[Located, Formatter], str]


SECTIONS = (
    Section("which", "Which should we use?", "Which", _which),
    Section("honest", "How good is it, honestly?", "How good", _honest),
    Section("fails", "Where does it fail?", "Failures", _fails),
    Section("trust", "Can we trust its probabilities?", "Trust", _trust),
    Section("data", "What is wrong with our data?", "Data", _data),
    Section("similar", "Does “similar” work?", "Similar", _similar),
    Section("map", "What does the catalogue look like?", "Map", _map),
    Section("made", "What did it cost and how was it made?", "Cost", _made),
)


def in_short(report: ReportDocument) -> dict[str, str]:
    """Every section's answer for a terminal; if nothing was measured, the command to run."""
    return {section.id: section.opening(Located(report.to_dict()), TerminalFormatter()) for section in SECTIONS}


def changes_since(r: Located, text: Formatter) -> str:
    """What fell or rose since the report that this one was compared with."""
    fell = [change.metric for change in r.changes.metrics if change.fell]
    rose = [change.metric for change in r.changes.metrics if change.rose]
    what = ", ".join(METRIC_NAMES.get(metric, metric) for metric in fell or rose)
    if fell:
        sentence = "{what} fell by more than chance since {when}."
    elif rose:
        sentence = "{what} rose by more than chance since {when}; nothing fell."
    else:
        sentence = "Nothing changed by more than chance since {when}."
    return text.sentence(sentence, what=what[:1].upper() + what[1:], when=(r.changes.since or "")[:10])


def doubling(r: Located, text: Formatter) -> str:
    """The gain from twice the photos by the learning curve; nothing if there is no curve."""
    estimate = r.honest.doubling
    if not estimate:
        return ""
    if estimate.accuracy is None:
        return text.sentence("{why}.", why=estimate.why[:1].upper() + estimate.why[1:])
    return text.sentence(
        "With twice as many labelled photos, accuracy would be about {doubling.accuracy:percent}.", doubling=estimate
    )


def differences(r: Located, text: Formatter, most: int = 12) -> list[str]:
    """A sentence for each pair of classifiers that was compared, the recommended one's first."""
    best = [r.which.best.store, r.which.best.clf]
    tests = sorted(r.which.tests, key=lambda test: best not in (list(test.a), list(test.b)))
    several = len({entry[0] for test in tests for entry in (test.a, test.b)}) > 1

    def name(entry: Located) -> str:
        return f"{entry[1]} · {entry[0]}" if several else str(entry[1])

    return [
        text.sentence(
            "<b>{a}</b> and <b>{b}</b> do not differ significantly ({test.difference:points} points; {test.low:points} "
            "to {test.high:points}; p = {p:decimal})"
            if test.verdict == "tie"
            else "<b>{a}</b> beats <b>{b}</b> by {test.difference:points} points ({test.low:points} to "
            "{test.high:points}; p = {p:decimal})",
            a=name(test.a),
            b=name(test.b),
            p=test.p if test.p_holm is None else test.p_holm,
            test=test,
        )
        for test in tests[:most]
    ]
