"""What changed between two reports, and whether something became worse for more than chance."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from featx.report.formatting import value_at
from featx.report.headlines import MEASURED_ON

Document = Mapping[str, Any]

CHANCE = 0.05
Z = 1.959964
CATEGORIES = 10
OTHER_PHOTOS = "Other photos were scored, so the 95% intervals decide, not a comparison photo by photo."


@dataclass(frozen=True)
class Change:
    """One metric then and now; `p` says how likely such a difference is by chance, None where nothing tells."""

    metric: str
    old: float
    new: float
    p: float | None
    fell: bool
    rose: bool

    @property
    def difference(self) -> float:
        """New minus old."""
        return self.new - self.old

    def to_dict(self) -> dict[str, Any]:
        """The change for programs."""
        return {**asdict(self), "difference": self.difference}


@dataclass(frozen=True)
class Changes:
    """Every metric that both reports know, and the categories that moved most."""

    metrics: list[Change]
    categories: list[Change]
    paired: bool
    since: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def fell(self) -> list[Change]:
        """The metrics that became worse for more than chance."""
        return [change for change in self.metrics if change.fell]

    def to_dict(self) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "schema": "featx-report-changes/1",
            "since": self.since,
            "paired": self.paired,
            "notes": list(self.notes),
            "metrics": [change.to_dict() for change in self.metrics],
            "categories": [change.to_dict() for change in self.categories],
            "fell": [change.metric for change in self.fell],
        }


def changes(old: Document, new: Document) -> Changes:
    """Compare two report documents; where both scored the same photos, photo by photo."""
    found: list[Change] = []
    p = _paired(old, new)
    for name, where in _metrics():
        before, after = where(old), where(new)
        if before is None or after is None or before.get("value") is None or after.get("value") is None:
            continue
        chance = p if name == "accuracy" and p is not None else _by_intervals(before, after)
        found.append(_change(name, before["value"], after["value"], chance))
    return Changes(found, _categories(old, new), p is not None, old.get("written"), tuple(_notes(old, new, p)))


def _notes(old: Document, new: Document, p: float | None) -> list[str]:
    """Why the two reports may not be of the same thing."""
    notes = []
    before, after = (set(value_at(report, "/fails/confusion/classes") or ()) for report in (old, new))
    came, went = sorted(after - before), sorted(before - after)
    if before and after and (came or went):
        notes.append(f"The categories differ: new {_listed(came)}; gone {_listed(went)}.")
    was, now = (MEASURED_ON[report["honest"]["measured_on"]] for report in (old, new))
    if was != now:
        notes.append(f"The old report was measured on {was}, this one on {now}.")
    elif p is None:
        notes.append(OTHER_PHOTOS)
    was, now = (f"{report['which']['best']['clf']} on {report['which']['best']['store']}" for report in (old, new))
    if was != now:
        notes.append(f"The old report recommended {was}, this one {now}.")
    return notes


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names)} ({shown}{', …' if len(names) > 3 else ''})" if names else "none"


def _change(name: str, old: float, new: float, p: float | None) -> Change:
    real = p is not None and p < CHANCE
    return Change(name, old, new, p, bool(real and new < old), bool(real and new > old))


def _metrics() -> list[tuple[str, Any]]:
    def headline(document: Document) -> Any:
        rows = document["which"]["rows"]
        return next((row["accuracy"] for row in rows if row["best"]), rows[0]["accuracy"])

    def score(metric: str) -> Any:
        def find(document: Document) -> Any:
            honest = document["honest"]
            return next((one for one in honest[honest["measured_on"]] if one["metric"] == metric), None)

        return find

    def search(metric: str) -> Any:
        def find(document: Document) -> Any:
            value = value_at(document, f"/similar/measured/{metric}")
            return value if value is None or isinstance(value, Mapping) else {"value": value}

        return find

    return [
        ("accuracy", headline),
        *((name, score(name)) for name in ("balanced_accuracy", "macro_f1", "top5")),
        ("similar_recall_at_1", search("recall_at_1")),
        ("similar_map", search("map")),
    ]


def _paired(old: Document, new: Document) -> float | None:
    """McNemar's exact test, where both reports scored the very same photos."""
    before, after = value_at(old, "/fails/outcomes"), value_at(new, "/fails/outcomes")
    if not before or not after or (before["ids"], before["n"]) != (after["ids"], after["n"]):
        return None
    if old["honest"]["measured_on"] != new["honest"]["measured_on"]:
        return None
    from scipy.stats import binomtest

    was, now = _right(before), _right(after)
    lost, won = int((was & ~now).sum()), int((~was & now).sum())
    return 1.0 if lost + won == 0 else float(binomtest(lost, lost + won).pvalue)


def _right(told: Mapping[str, Any]) -> np.ndarray:
    return np.unpackbits(np.frombuffer(base64.b64decode(told["right"]), dtype=np.uint8))[: told["n"]].astype(bool)


def _by_intervals(old: Mapping[str, Any], new: Mapping[str, Any]) -> float | None:
    """A normal test of two independent values from their 95 % intervals."""
    if any(one.get(end) is None for one in (old, new) for end in ("low", "high")):
        return None
    from scipy.stats import norm

    errors = [(one["high"] - one["low"]) / (2 * Z) for one in (old, new)]
    spread = float(np.hypot(*errors))
    if spread == 0:
        return 1.0 if old["value"] == new["value"] else 0.0
    return float(2 * norm.sf(abs(new["value"] - old["value"]) / spread))


def _categories(old: Document, new: Document) -> list[Change]:
    before = {row["label"]: row for row in value_at(old, "/fails/per_class") or () if row["n"]}
    moved = []
    for row in value_at(new, "/fails/per_class") or ():
        was = before.get(row["label"])
        if (
            was is None
            or not row["n"]
            or row["recall"] is None
            or was["recall"] is None
            or row["recall"] == was["recall"]
        ):
            continue
        ends = [{"value": one["recall"], "low": one["recall_low"], "high": one["recall_high"]} for one in (was, row)]
        moved.append(_change(row["label"], was["recall"], row["recall"], _by_intervals(*ends)))
    return sorted(moved, key=lambda change: (-abs(change.difference), change.metric))[:CATEGORIES]
