"""The report in short, as Markdown fit for a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from featx.reporting.formatting import Formatter, Located, MarkdownFormatter
from featx.reporting.headlines import METRIC_NAMES, SECTIONS, WAY_NAMES, changes_since, differences, headline, tuning
from featx.reporting.page import commands
from featx.reporting.records import ReportDocument

WORST = 20
DIFFERENCES = 5


def markdown(report: ReportDocument, plots: Sequence[str] = ()) -> str:
    """The same headings and answers, tables limited to the worst rows; `plots` are the PNGs beside it in img/."""
    r, text = Located(report.to_dict()), MarkdownFormatter()
    lines = [f"# featx report: {text.text(r.about.store)}", "", headline(r, text), ""]
    lines += _changes(r, text)
    for section in SECTIONS:
        lines += [f"## {section.title}", "", section.opening(r, text), ""]
        lines += _TABLES[section.id](r, text) if section.id in _TABLES else []
        lines += [f"![{alt}](img/{name}.png)\n" for name, alt in _PLOTS.get(section.id, ()) if name in plots]
        lines += _tuned(r, text, plots) if section.id == "fails" else []
    return "\n".join(lines).rstrip() + "\n"


_PLOTS = {
    "which": (("classifiers", "Accuracy of every backbone and classifier"),),
    "honest": (("learning", "Accuracy against labelled photos per category"),),
    "trust": (
        ("reliability", "Confidence against how often the classifier is right"),
        ("automation", "How many photos can be filed without a person, and how many of those are right"),
    ),
    "map": (("map", "Map of the catalogue"),),
}


def _table(heads: Mapping[str, str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; `heads` are the names of the columns and whether they are set to the left or to the right."""
    rule = "|".join("---:" if side == "right" else "---" for side in heads.values())
    return ["| " + " | ".join(heads) + " |", f"|{rule}|", *("| " + " | ".join(row) + " |" for row in rows), ""]


def _which(r: Located, text: Formatter) -> list[str]:
    heads = {"classifier": "left", "backbone": "left", "accuracy": "right", "95% interval": "right"}
    heads |= {"photos/s": "right", "size": "right", "verdict": "left"}
    rows = [
        [
            text.text(row.clf),
            text.text(row.backbone),
            text.number("percent", row.accuracy and row.accuracy.value),
            _interval(row.accuracy, text),
            text.number("count", row.images_per_second),
            text.number("size", row.bytes),
            _verdict(row),
        ]
        for row in r.which.rows[:WORST]
    ]
    return [*_table(heads, rows), *(f"- {line}" for line in differences(r, text, DIFFERENCES)), ""]


def _verdict(row: Located) -> str:
    names = {
        "best": "recommended",
        "alike": "as good",
        "below": "below a baseline",
        "tied": "undecided",
        "baseline": "baseline",
    }
    return next((name for key, name in names.items() if row[key]), "")


def _interval(score: Any, text: Formatter) -> str:
    if not score or score.low is None:
        return "–"
    return f"{text.number('percent', score.low)} – {text.number('percent', score.high)}"


def _honest(r: Located, text: Formatter) -> list[str]:
    """What columns are worth beside the photo, and the words that speak for categories."""
    if not r.beside:
        return []
    heads = {"answers by": "left", "right in the folds": "right", "right on held-out photos": "right"}
    rows = [
        [WAY_NAMES.get(row.name, f"both, {row.name}"), _percent(row.in_folds, text), _percent(row.on_held_out, text)]
        for row in r.beside.rows
    ]
    words = [
        [text.text(row.label), ", ".join(text.text(word.word) for word in row.words)] for row in r.beside.words[:WORST]
    ]
    speak = _table({"category": "left", "words that speak for it": "left"}, words) if words else []
    return [*_table(heads, rows), *speak]


def _percent(share: Any, text: Formatter) -> str:
    return "–" if share is None else text.number("percent", share)


def _fails(r: Located, text: Formatter) -> list[str]:
    if not r.fails:
        return []
    heads = {"category": "left", "scored": "right", "recall": "right", "precision": "right"}
    heads |= {"usually taken for": "left"}
    rows = [
        [
            text.text(row.label),
            text.number("count", row.n),
            text.number("percent", row.recall),
            text.number("percent", row.precision),
            "–" if row.taken_for is None else text.text(row.taken_for),
        ]
        for row in r.fails.per_class[:WORST]
    ]
    return _table(heads, rows)


def _tuned(r: Located, text: Formatter, plots: Sequence[str]) -> list[str]:
    """What tuning the network changed."""
    if not r.tuned:
        return []
    heads = {"category": "left", "photos": "right", "right before": "right", "right after": "right"}
    rows = [
        [text.text(row.label), *(text.number("count", n) for n in (row.n, row.before, row.after))]
        for row in r.tuned.categories
    ]
    drawn = ["![Passes of the tuning](img/tuning.png)\n"] if "tuning" in plots else []
    return ["## What did tuning change?", "", tuning(r, text), "", *(_table(heads, rows) if rows else []), *drawn]


def _trust(r: Located, text: Formatter) -> list[str]:
    return [*_thresholds(r, text), *_must_not_miss(r, text)]


def _must_not_miss(r: Located, text: Formatter) -> list[str]:
    """What the saved classifiers flag of categories that must not be missed."""
    if not r.must_not_miss:
        return []
    heads = {"must not be missed": "left", "classifier": "left"}
    heads |= dict.fromkeys(("flagged from", "wanted", "caught", "95% interval", "false alarms"), "right")
    rows = [
        [
            text.text(row.category),
            text.text(row.classifier),
            text.number("threshold", row.threshold),
            text.number("percent", row.target),
            text.number("percent", row.recall),
            _interval(row, text),
            text.number("percent", row.false_alarms),
        ]
        for row in r.must_not_miss
    ]
    return _table(heads, rows)


def _thresholds(r: Located, text: Formatter) -> list[str]:
    if not r.trust or not r.trust.thresholds or (not r.trust.enough and r.trust.products is None):
        return []
    heads = dict.fromkeys(("to be right", "accept from", "filed", "right, measured"), "right")
    rows = [
        [
            text.number("percent", row.target),
            text.number("threshold", row.threshold),
            text.number("percent", row.coverage),
            text.number("percent", row.precision),
        ]
        for row in r.trust.thresholds
    ]
    return _table(heads, rows)


def _made(r: Located, text: Formatter) -> list[str]:
    lines = [line.replace("`", "'") for line in commands(r) if line]
    return ["```text", *lines, "```", ""] if lines else []


def _changes(r: Located, text: Formatter) -> list[str]:
    if not r.changes or not r.changes.metrics:
        return []
    rows = []
    for kind in ("metrics", "categories"):
        for change in r.changes[kind]:
            name = METRIC_NAMES.get(change.metric, change.metric) if kind == "metrics" else change.metric
            verdict = "within chance" if change.p is not None else "unknown"
            rows.append(
                [
                    text.text(name),
                    text.number("percent", change.old),
                    text.number("percent", change.new),
                    text.number("change", change.difference),
                    "fell" if change.fell else "rose" if change.rose else verdict,
                ]
            )
    heads = {"metric": "left", "before": "right", "now": "right", "points": "right", "verdict": "left"}
    notes = [f"- {text.text(note)}" for note in r.changes.notes]
    title = f"## What changed since {(r.changes.since or '')[:10]}"
    return [title, "", changes_since(r, text), "", *notes, *([""] if notes else []), *_table(heads, rows)]


_TABLES = {"which": _which, "honest": _honest, "fails": _fails, "trust": _trust, "made": _made}
