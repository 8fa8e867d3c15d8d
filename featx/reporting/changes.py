"""What changed between two reports, and whether something became worse by more than chance."""

from __future__ import annotations

import base64
import math

import numpy as np

from featx.comparison.document import Score
from featx.reporting.headlines import MEASURED_ON
from featx.reporting.records import CategoryRow, Change, Changes, Outcomes, ReportDocument

CHANCE = 0.05
Z = 1.959964
CATEGORIES = 10
OTHER_PHOTOS = "Other photos were scored, so the 95% intervals decide, not a comparison photo by photo."


def changes(old: ReportDocument, new: ReportDocument) -> Changes:
    """Compare two reports; where both scored the same photos, photo by photo."""
    p = _paired(old, new)
    before, after = _metrics(old), _metrics(new)
    metrics = []
    for name, was in before.items():
        now = after.get(name)
        if was is None or now is None:
            continue
        chance = p if name == "accuracy" and p is not None else _by_intervals(was, now)
        metrics.append(_change(name, was.value, now.value, chance))
    return Changes(
        since=old.written,
        paired=p is not None,
        notes=_notes(old, new, p),
        metrics=metrics,
        categories=_categories(old, new),
        fell=[change.metric for change in metrics if change.fell],
    )


def _notes(old: ReportDocument, new: ReportDocument, p: float | None) -> list[str]:
    """Why the two reports may not be of the same thing."""
    notes = []
    before, after = (_classes(report) for report in (old, new))
    came, went = sorted(after - before), sorted(before - after)
    if before and after and (came or went):
        notes.append(f"The categories differ: new {_listed(came)}; gone {_listed(went)}.")
    was, now = (MEASURED_ON[report.honest.measured_on] for report in (old, new))
    if was != now:
        notes.append(f"The old report was measured on {was}, this one on {now}.")
    elif p is None:
        notes.append(OTHER_PHOTOS)
    was, now = (f"{report.which.best.clf} on {report.which.best.store}" for report in (old, new))
    if was != now:
        notes.append(f"The old report recommended {was}, this one {now}.")
    return notes


def _classes(report: ReportDocument) -> set[str]:
    return set(report.fails.confusion.classes) if report.fails and report.fails.confusion else set()


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names)} ({shown}{', …' if len(names) > 3 else ''})" if names else "none"


def _change(name: str, old: float, new: float, p: float | None) -> Change:
    real = p is not None and p < CHANCE
    fell, rose = bool(real and new < old), bool(real and new > old)
    return Change(metric=name, old=old, new=new, p=p, fell=fell, rose=rose, difference=new - old)


def _metrics(report: ReportDocument) -> dict[str, Score | None]:
    """The metrics that are compared; None if not measured."""
    honest = report.honest
    scores = {row.metric: row for row in (honest.test if honest.measured_on == "test" else honest.cv)}
    metrics: dict[str, Score | None] = {"accuracy": report.best.accuracy}
    for name in ("balanced_accuracy", "macro_f1", "top5"):
        row = scores.get(name)
        metrics[name] = None if row is None else Score(row.value, row.low, row.high)
    measured = report.similar.measured if report.similar else None
    metrics["similar_recall_at_1"] = measured.recall_at_1 if measured else None
    metrics["similar_map"] = measured.map if measured else None
    return metrics


def _paired(old: ReportDocument, new: ReportDocument) -> float | None:
    """McNemar's exact test, where both reports scored the very same photos."""
    before, after = (report.fails.outcomes if report.fails else None for report in (old, new))
    if before is None or after is None or (before.ids, before.n) != (after.ids, after.n):
        return None
    if old.honest.measured_on != new.honest.measured_on:
        return None
    from scipy.stats import binomtest

    was, now = _right(before), _right(after)
    lost, won = int((was & ~now).sum()), int((~was & now).sum())
    return 1.0 if lost + won == 0 else float(binomtest(lost, lost + won).pvalue)


def _right(outcomes: Outcomes) -> np.ndarray:
    bits = np.frombuffer(base64.b64decode(outcomes.right), dtype=np.uint8)
    return np.unpackbits(bits)[: outcomes.n].astype(bool)


def _by_intervals(old: Score, new: Score) -> float | None:
    """A normal test of two independent values from their 95 % intervals."""
    if old.low is None or old.high is None or new.low is None or new.high is None:
        return None
    from scipy.stats import norm

    spread = math.hypot(old.high - old.low, new.high - new.low) / (2 * Z)
    if spread == 0:
        return 1.0 if old.value == new.value else 0.0
    return float(2 * norm.sf(abs(new.value - old.value) / spread))


def _categories(old: ReportDocument, new: ReportDocument) -> list[Change]:
    """The categories whose recall moved most."""
    before = {label: score for label, score in map(_recall, _scored(old)) if score is not None}
    moved = []
    for label, now in map(_recall, _scored(new)):
        was = before.get(label)
        if was is not None and now is not None and was.value != now.value:
            moved.append(_change(label, was.value, now.value, _by_intervals(was, now)))
    return sorted(moved, key=lambda change: (-abs(change.difference), change.metric))[:CATEGORIES]


def _scored(report: ReportDocument) -> list[CategoryRow]:
    return [row for row in report.fails.per_class if row.n] if report.fails else []


def _recall(row: CategoryRow) -> tuple[str, Score | None]:
    return row.label, None if row.recall is None else Score(row.recall, row.recall_low, row.recall_high)
