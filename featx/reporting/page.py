"""The report as one HTML file: everything inside, nothing fetched, every number from the document."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from featx.images.thumbnails import data_uri
from featx.reporting.confusion import WHOLE, matrix_of
from featx.reporting.confusion_image import COLOURS, matrix_png
from featx.reporting.formatting import NUMBER_FORMATS, HtmlFormatter, Located, plain
from featx.reporting.headlines import (
    METRIC_NAMES,
    SEARCH_METRICS,
    SECTIONS,
    WAY_NAMES,
    automated,
    best_row,
    changes_since,
    differences,
    doubling,
    headline,
    search_figure,
    times,
    too_few,
    tuning,
)
from featx.reporting.plots import PLOTS, classifiers_are_bars, svg_of
from featx.reporting.records import Pictures, ReportDocument
from featx.reporting.size_budget import PageBudget, left_out, map_data, picture, sheet
from featx.views.pages import environment_of, script_policy

if TYPE_CHECKING:
    from jinja2 import Template
from featx.views.quantities import duration, size

TEMPLATES = Path(__file__).parent / "templates"
HARDEST = 5
LONGEST_TEXT = 60
CHECKS = {
    "FX101": "scored photos with a near-copy among the training photos",
    "FX103": "categories with too few photos",
    "FX105": "accuracy from colours alone",
    "FX106": "how far cross-validation lies above the held-out photos",
}
FACT_NAMES = {
    "n": "photos",
    "n_learn": "training photos",
    "n_test": "held-out photos",
    "peak_memory": "peak memory",
    "seconds": "time for the comparison",
    "groups": "groups never split",
    "left_out_of_folds": "categories left out of folds",
    "n_labelled": "labelled",
    "n_products": "products",
    "width": "numbers per photo",
    "bytes": "size on disk",
    "images_per_second": "photos per second",
}


def page(document: ReportDocument, folder: Path) -> str:
    """The HTML of a report document with nothing left out; its thumbnails are read from `folder`."""
    return renderer(document, folder, 0)(PageBudget())


def renderer(document: ReportDocument, folder: Path, limit: int) -> Callable[[PageBudget], str]:
    """A function that renders a document as HTML within a budget; `limit` is the size to keep to."""
    template = _template()
    view = ReportView(document, Located(document.to_dict()), HtmlFormatter())
    drawn = document.map

    # A page is made several times until it fits; its pictures only once for each size.
    @cache
    def thumbnail(name: str | None, side: int) -> str | None:
        return picture(folder, name, side)

    def render(budget: PageBudget) -> str:
        return template.render(
            r=view.report,
            view=view,
            budget=budget,
            thumbnail=lambda name, kind: None if kind in budget.without else thumbnail(name, budget.side),
            map_sheet=None if drawn is None else sheet(folder, drawn, budget),
            map_data=_json(map_data(drawn, budget)),
            n_drawn=min(drawn.n, budget.points or drawn.n) if drawn else 0,
            foot=_foot(document, budget, limit),
        )

    return render


@cache
def _template() -> Template:
    """The template of every page, compiled once."""
    environment = environment_of(TEMPLATES)
    environment.filters |= {style: partial(HtmlFormatter().number, style) for style in NUMBER_FORMATS}
    environment.filters |= {"breakable": _breakable, "short_name": _short_name, "short_text": _short_text}
    environment.globals |= {"metric_names": METRIC_NAMES, "search_metrics": SEARCH_METRICS, "way_names": WAY_NAMES}
    return environment.get_template("report.html.j2")


def page_policy() -> str:
    """What the page of a report may load and run, as its own head says it."""
    return script_policy(_scripts())


def _scripts() -> list[Markup]:
    return [Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("report.js", "map.js")]


@dataclass(frozen=True)
class SectionView:
    """A section with its answer."""

    id: str
    title: str
    short: str
    answer: str


@dataclass(frozen=True)
class ReportView:
    """What the template shows besides the numbers of the document."""

    document: ReportDocument
    report: Located
    text: HtmlFormatter

    @cached_property
    def scripts(self) -> list[Markup]:
        """The page's scripts."""
        return _scripts()

    @cached_property
    def policy(self) -> str:
        """What the page may load and run: its own pictures, styles and these very scripts."""
        return script_policy(self.scripts)

    @cached_property
    def css(self) -> Markup:
        """The page's style."""
        return Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))

    @cached_property
    def colours(self) -> Markup:
        """The colours of the map's categories."""
        return _json(COLOURS)

    @cached_property
    def headline(self) -> str:
        """The page's first sentence."""
        return headline(self.report, self.text)

    @cached_property
    def sections(self) -> dict[str, SectionView]:
        """Every section with the sentence that opens it."""
        return {
            section.id: SectionView(section.id, section.title, section.short, section.opening(self.report, self.text))
            for section in SECTIONS
        }

    @cached_property
    def best(self) -> Any:
        """The recommended entry."""
        return best_row(self.report)

    @cached_property
    def automated(self) -> Any:
        """What can be filed without a person, if anything."""
        return automated(self.report)

    @cached_property
    def paced(self) -> bool:
        """Whether any entry's speed was measured."""
        return any(row.images_per_second for row in self.report.which.rows)

    @cached_property
    def tuning(self) -> str:
        """What tuning the network changed; empty for a network as it was."""
        return tuning(self.report, self.text) if self.document.tuned else ""

    @cached_property
    def plots(self) -> dict[str, Markup | None]:
        """Every plot as SVG; None if there is nothing to draw."""
        drawn = {name: svg_of(name, self.document) for name in PLOTS}
        return {name: None if svg is None else Markup(svg) for name, svg in drawn.items()}

    @cached_property
    def classifiers_are_bars(self) -> bool:
        """Whether the first plot shows accuracy alone."""
        return classifiers_are_bars(self.document)

    @cached_property
    def differences(self) -> list[str]:
        """A sentence for each pair of entries that was compared."""
        return differences(self.report, self.text)

    @cached_property
    def changes(self) -> str:
        """What fell or rose since an earlier report."""
        return changes_since(self.report, self.text)

    @cached_property
    def doubling(self) -> str:
        """What twice the photos would bring."""
        return doubling(self.report, self.text)

    @cached_property
    def too_few(self) -> str:
        """Why no threshold can be trusted."""
        reason = too_few(self.report, self.text)
        return type(reason)(reason[:1].upper() + reason[1:] + ".")

    @cached_property
    def unscored(self) -> str:
        """How many categories had no photo to score."""
        return self.text.by_count(
            self.report.fails.n_unscored,
            one="One category had no photo to score.",
            many="{n:count} categories had no photo to score.",
        )

    @cached_property
    def unexplained(self) -> str:
        """How many of the surest mistakes are not shown, and why."""
        explained = self.report.fails.explained
        other = explained.n_other and self.text.by_count(
            explained.n_other,
            one="One is not shown: the saved classifier answers otherwise.",
            many="{n:count} are not shown: the saved classifier answers otherwise.",
        )
        gone = explained.n_unreadable and self.text.by_count(
            explained.n_unreadable,
            one="One photo could not be read again.",
            many="{n:count} photos could not be read again.",
        )
        return Markup(" ").join(filter(None, (other, gone)))

    @cached_property
    def search(self) -> dict[str, Located]:
        """The figures of the search that were measured."""
        figures = {metric: search_figure(self.report, metric) for metric in SEARCH_METRICS}
        return {metric: figure for metric, figure in figures.items() if figure is not None}

    @cached_property
    def hardest(self) -> list[Any]:
        """The categories whose look-alikes are least often right."""
        measured = self.report.similar.measured
        known = [row for row in measured.categories or () if row.recall_at_1 is not None] if measured else []
        return sorted(known, key=lambda row: (row.recall_at_1, row.map or 0.0, row.label))[:HARDEST]

    def times(self, pair: Located) -> str:
        """How often a mix-up happened."""
        return times(pair, self.text)

    def check_words(self, check: Located) -> str:
        """What a check looked at."""
        return CHECKS.get(check.code, "")

    def neighbour(self, photo: Located) -> str:
        """The caption of a neighbour."""
        return self.text.sentence(
            "{mark} {photo.similarity:decimal} {label}",
            mark="✓ same" if photo.right else "✗ other",
            photo=photo,
            label=photo.label or "–",
        )

    @staticmethod
    def alt(photo: Any) -> str:
        """A photo in words."""
        name, label = (photo["id"], photo["label"])
        return f"Photo {name}, category {label}" if label else f"Photo {name}, no category"

    @cached_property
    def blocks(self) -> list[dict[str, Any]]:
        """The parts of the confusion matrix that are shown as tables."""
        return list(_blocks(self.document, self.report))

    @cached_property
    def matrix_image(self) -> str | None:
        """The whole matrix as a picture, where it is too large for a table."""
        confusion = self.document.fails.confusion if self.document.fails else None
        if confusion is None or len(confusion.classes) <= WHOLE:
            return None
        return data_uri(matrix_png(confusion), "png")

    @cached_property
    def commands(self) -> list[str]:
        """What to type to make it all again."""
        return commands(self.report)

    @cached_property
    def machine(self) -> list[tuple[str, str]]:
        """What the comparison ran on, how long it took and how much memory."""
        made = self.document.made
        if not made.machine:
            return []
        return facts(made.machine) + facts({"seconds": made.seconds, "peak_memory": made.peak_memory})

    @staticmethod
    def facts(part: Located) -> list[tuple[str, str]]:
        """Names and values of a part of the document."""
        return facts(plain(part))


def commands(r: Located) -> list[str]:
    """What to type to make it all again."""
    return list(r.made.commands) or [" ".join(r.made.command)]


def _json(value: object) -> Markup:
    """JSON for a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)


def _short_text(text: str) -> str:
    """As much of what stands on a photo as there is room for below its picture."""
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def _short_name(item_id: str) -> str:
    """The end of an id that is a path; the whole of it is in the photo's description."""
    name = item_id.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or item_id
    stem, dot, ending = name.rpartition(".")
    if dot and stem and ending.lower() in ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif"):
        name = stem
    return name if len(name) <= 24 else f"{name[:9]}…{name[-6:]}"


def _breakable(text: str) -> Markup:
    """A caption that may break after the characters that join the words of a name."""
    pieces = re.split(r"(<[^>]*>)", str(escape(text)))
    return Markup("".join(p if p.startswith("<") else re.sub(r"([_/-])(?=\w)", r"\1<wbr>", p) for p in pieces))


def _blocks(document: ReportDocument, r: Located) -> Iterator[dict[str, Any]]:
    confusion = document.fails.confusion if document.fails else None
    if confusion is None:
        return
    names, matrix = confusion.classes, matrix_of(confusion)
    counts = {(i, j): r.fails.confusion.cells[k][2] for k, (i, j, _) in enumerate(confusion.cells)}
    for block in confusion.blocks:
        lines = []
        for i in block:
            total = max(int(matrix[i].sum()), 1)
            cells = []
            for j in block:
                count = counts.get((i, j))
                kind = "" if count is None else "ok" if i == j else "off"
                cells.append({"count": count, "kind": kind, "strength": round(0.15 + 0.5 * matrix[i, j] / total, 2)})
            lines.append({"name": names[i], "cells": cells})
        yield {"names": [names[i] for i in block], "lines": lines}


def facts(record: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Names and values of a record as rows of a list; records inside it one by one, each under its name."""
    rows: list[tuple[str, str]] = []
    for key, value in record.items():
        if isinstance(value, Mapping):
            rows += facts(value, f"{before}{key} · ")
        elif value not in (None, "", []) and key != "name":
            shown = ", ".join(map(str, value)) if isinstance(value, list) else _fact(key, value)
            name = FACT_NAMES.get(key, f"{before}{key}".replace("_", " "))
            rows.append((name, shown if len(shown) <= 400 else shown[:400] + " …"))
    # Duplicates, such as the width of a store and of its fingerprint, are shown once.
    return list(dict.fromkeys(rows))


def _fact(key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if key in ("bytes", "memory", "peak_memory"):
        return size(value)
    if key == "seconds":
        return duration(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _foot(document: ReportDocument, budget: PageBudget, limit: int) -> str:
    pictures = document.pictures or Pictures(0, 0)
    more = f" ({pictures.left_out} more are left out to keep it small)" if pictures.left_out else ""
    sentences = [f"This page holds {pictures.made} thumbnails{more} and loads nothing from the network."]
    if pictures.n_missing:
        sentences.append(f"{pictures.n_missing:,} photos could not be read again when it was written.")
    if budget.steps:
        sentences.append(
            f"To stay within {limit / 1e6:g} MB it leaves out: {'; '.join(left_out(budget))}. "
            "All of it is in report.json and thumbnails/, next to this page."
        )
    return " ".join(sentences)
