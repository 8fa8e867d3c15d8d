"""The report in short, as Markdown fit for a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from featx.report.formatting import Formatter, at
from featx.report.headlines import answer, changed, headline
from featx.report.page import commands, differences
from featx.report.strings import SECTIONS, WORDS

WORST = 20


def markdown(document: Mapping[str, Any], plots: Sequence[str] = ()) -> str:
    """The same headings and answers, tables cut to the worst; `plots` are the PNGs that lie beside it in img/."""
    teller = Formatter(document, html=False)
    lines = [f"# {WORDS['title']}: {teller.text(document['about']['store'])}", "", headline(teller), ""]
    lines += _changes(teller)
    for section in SECTIONS:
        lines += [f"## {WORDS[section]}", "", answer(section, teller), ""]
        lines += _MORE[section](teller) if section in _MORE else []
        lines += [f"![{WORDS[alt]}](img/{name}.png)\n" for name, alt in _PLOTS.get(section, ()) if name in plots]
    return "\n".join(lines).rstrip() + "\n"


_PLOTS = {
    "which": (("classifiers", "which"),),
    "honest": (("learning", "learning_plot"),),
    "trust": (("reliability", "reliability_plot"), ("automation", "coverage_plot")),
    "map": (("map", "map"),),
}


def _table(heads: Sequence[str], right: str, rows: Sequence[Sequence[str]]) -> list[str]:
    rule = "|".join("---:" if mark == "r" else "---" for mark in right)
    return ["| " + " | ".join(heads) + " |", f"|{rule}|", *("| " + " | ".join(row) + " |" for row in rows), ""]


def _which(teller: Formatter) -> list[str]:
    rows = []
    for i, row in enumerate(teller.document["which"]["rows"][:WORST]):
        path = f"/which/rows/{i}"
        verdict = next((f"is_{key}" for key in ("best", "alike", "below", "tied", "baseline") if row.get(key)), "")
        rows.append(
            [
                teller.text(row["clf"]),
                teller.text(row["backbone"]),
                teller.number("share", f"{path}/accuracy/value"),
                _interval(teller, f"{path}/accuracy"),
                teller.number("count", f"{path}/images_per_second"),
                teller.number("size", f"{path}/bytes"),
                WORDS[verdict] if verdict else "",
            ]
        )
    heads = [WORDS[key] for key in ("classifier", "backbone", "accuracy", "interval", "rate", "size", "verdict")]
    return [*_table(heads, "llrrrrl", rows), *(f"- {line}" for line in differences(teller)[:5]), ""]


def _interval(teller: Formatter, path: str) -> str:
    if at(teller.document, f"{path}/low") is None:
        return "–"
    return f"{teller.number('share', f'{path}/low')} – {teller.number('share', f'{path}/high')}"


def _fails(teller: Formatter) -> list[str]:
    fails = teller.document.get("fails")
    if not fails:
        return []
    rows = [
        [
            teller.text(row["label"]),
            teller.number("count", f"/fails/per_class/{i}/n"),
            teller.number("share", f"/fails/per_class/{i}/recall"),
            teller.number("share", f"/fails/per_class/{i}/precision"),
            "–" if row["taken_for"] is None else teller.text(row["taken_for"]),
        ]
        for i, row in enumerate(fails["per_class"][:WORST])
    ]
    return _table([WORDS[key] for key in ("category", "scored", "recall", "precision", "taken_for")], "lrrrl", rows)


def _trust(teller: Formatter) -> list[str]:
    trust = teller.document.get("trust")
    if not trust or not trust["enough"]:
        return []
    rows = [
        [
            teller.number(way, f"/trust/thresholds/{i}/{key}")
            for way, key in (
                ("share", "target"),
                ("decimal", "threshold"),
                ("share", "coverage"),
                ("share", "precision"),
            )
        ]
        for i in range(len(trust["thresholds"]))
    ]
    return _table([WORDS[key] for key in ("wanted", "threshold", "files", "gets")], "rrrr", rows)


def _made(teller: Formatter) -> list[str]:
    lines = [line.replace("`", "'") for line in commands(teller.document) if line]
    return ["```text", *lines, "```", ""] if lines else []


def _changes(teller: Formatter) -> list[str]:
    told = teller.document.get("changes")
    if not told or not told["metrics"]:
        return []
    rows = []
    for kind in ("metrics", "categories"):
        for i, one in enumerate(told[kind]):
            path = f"/changes/{kind}/{i}"
            chance = "by_chance" if one["p"] is not None else "not_known"
            name = WORDS.get(f"{one['metric']}_name", one["metric"]) if kind == "metrics" else one["metric"]
            numbers = [teller.number("share", f"{path}/old"), teller.number("share", f"{path}/new")]
            verdict = WORDS["fell" if one["fell"] else "rose" if one["rose"] else chance]
            rows.append([teller.text(name), *numbers, teller.number("change", f"{path}/difference"), verdict])
    heads = [WORDS[key] for key in ("metric", "was", "is_now", "change", "verdict")]
    notes = [f"- {teller.text(note)}" for note in told["notes"]]
    title = WORDS["changes"].format(when=str(told.get("since") or "")[:10])
    return [f"## {title}", "", changed(teller), "", *notes, *([""] if notes else []), *_table(heads, "lrrrl", rows)]


_MORE = {"which": _which, "fails": _fails, "trust": _trust, "made": _made}
