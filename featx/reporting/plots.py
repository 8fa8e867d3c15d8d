"""The plots of a report, as SVG that follows the page's colours and as PNG for slides and pull requests."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featx.comparison.document import ReliabilityBin, Score
from featx.reporting.records import EntryRow, ReportDocument

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Each represents a colour of the page: in the SVG it becomes a CSS variable, which dark mode and print can change.
INK, MUTED, RULE, PAPER = "#1c1d1f", "#62656a", "#dedbd3", "#fefefe"
BLUE, ORANGE, GREEN, GREY = "#0f62a8", "#c8500a", "#00795a", "#9a9ca1"
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAPER: "paper",
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    GREY: "grey",
}
FONTS = ["Inter", "Helvetica Neue", "Liberation Sans", "DejaVu Sans"]
SIZE = (5.0, 3.5)
# Paces nearer to each other than this would be one column of dots.
APART, NAMED_APART = 1.5, 1.3
FEW = 5
BARS = 16


@contextmanager
def _drawing(size: tuple[float, float] = SIZE) -> Iterator[tuple[Figure, Axes]]:
    import logging

    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    style: Any = {
        "svg.hashsalt": "featx",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.sans-serif": FONTS,
        "font.size": 9.5,
        "text.color": INK,
        "axes.edgecolor": RULE,
        "axes.labelcolor": MUTED,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "axes.grid": True,
        "grid.color": RULE,
        "grid.linewidth": 0.6,
        "axes.unicode_minus": False,
    }
    with rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.add_subplot()


def _percent_ticks(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    # Steps of 2.5 points would be shown as 2 or 3.
    axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}%"))


@dataclass(frozen=True)
class Dot:
    """An entry with the accuracy and the pace that are drawn."""

    row: EntryRow
    accuracy: Score
    rate: float = 0.0

    @property
    def colour(self) -> str:
        """Green for the recommended entry, grey for a baseline."""
        return GREEN if self.row.best else GREY if self.row.baseline else BLUE

    @property
    def marker(self) -> str:
        """A square for a baseline."""
        return "s" if self.row.baseline else "o"


def classifiers(report: ReportDocument) -> Callable[[Any, Any], None] | None:
    """Accuracy against pace and size; without pace, accuracy alone."""
    dots = [Dot(row, row.accuracy) for row in report.which.rows if row.accuracy]
    if not dots:
        return None
    if classifiers_are_bars(report):
        return lambda figure, axes: _bars(axes, dots[:BARS])
    return lambda figure, axes: _pareto(axes, _paced(report))


def classifiers_are_bars(report: ReportDocument) -> bool:
    """Whether the paces differ too little to draw accuracy against them."""
    paces = [dot.rate for dot in _paced(report)]
    return not paces or max(paces) < APART * min(paces)


def _paced(report: ReportDocument) -> list[Dot]:
    # What always says the commonest category would squeeze all others into the upper edge.
    rows = [row for row in report.which.rows if row.clf != "most-frequent"]
    return [Dot(row, row.accuracy, row.images_per_second) for row in rows if row.accuracy and row.images_per_second]


def _bars(axes: Any, dots: list[Dot]) -> None:
    stores = {dot.row.store for dot in dots if not dot.row.baseline}
    for i, dot in enumerate(dots):
        score = dot.accuracy
        if score.low is not None:
            axes.plot([score.low, score.high], [-i, -i], color=dot.colour, linewidth=2.2, solid_capstyle="round")
        axes.plot(score.value, -i, dot.marker, color=dot.colour, markersize=7)
    # The backbone is named where it is not the same for all.
    names = [dot.row.clf if stores == {dot.row.store} else f"{dot.row.clf} · {dot.row.backbone}" for dot in dots]
    axes.set_yticks([-i for i in range(len(names))], [_short(name, 30) for name in names])
    axes.tick_params(axis="y", colors=INK)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    _percent_ticks(axes.xaxis)
    axes.set_ylim(-len(names) + 0.5, 0.5)
    axes.set_xlabel("accuracy")


def _pareto(axes: Any, dots: list[Dot]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    biggest = max((dot.row.bytes or 1) for dot in dots)
    front = sorted((dot.rate, dot.accuracy.value) for dot in dots if dot.row.unbeaten)
    axes.plot(*zip(*front, strict=True), color=RULE, linewidth=1.4, zorder=1)
    for dot in dots:
        score = dot.accuracy
        if score.low is not None:
            axes.plot([dot.rate, dot.rate], [score.low, score.high], color=dot.colour, linewidth=1.3, alpha=0.65)
        area = 28 + 170 * ((dot.row.bytes or 0) / biggest) ** 0.5
        axes.scatter(dot.rate, score.value, area, color=dot.colour, marker=dot.marker, edgecolor=PAPER, zorder=3)
    rates = [dot.rate for dot in dots]
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.5, max(rates) * 2.2)
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _name_columns(axes, dots)
    for store in dict.fromkeys(dot.row.store for dot in dots):
        own = [dot for dot in dots if dot.row.store == store]
        middle = math.exp(sum(math.log(dot.rate) for dot in own) / len(own))
        axes.annotate(
            _short(own[0].row.backbone, 20),
            (middle, 1.0),
            (0, 4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8.5,
            color=INK,
        )
    _percent_ticks(axes.yaxis)
    axes.set_xlabel("photos/s")
    axes.set_ylabel("accuracy")


def _name_columns(axes: Any, dots: list[Dot]) -> None:
    """Names beside the dots, pushed apart where dots are close together."""
    low, high = axes.get_ylim()
    step = (high - low) / 19
    taken: dict[int, float] = {}
    for dot in sorted(dots, key=lambda dot: -dot.accuracy.value):
        column = round(math.log(dot.rate) / math.log(NAMED_APART))
        height = min(dot.accuracy.value, taken.get(column, float("inf")) - step)
        taken[column] = height
        axes.annotate(
            _short(dot.row.clf, 14),
            (dot.rate, height),
            (9, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=GREEN if dot.row.best else MUTED,
            fontweight="bold" if dot.row.best else "normal",
        )


def reliability(report: ReportDocument) -> Callable[[Any, Any], None] | None:
    """How sure against how often right, with the number of photos in each step."""
    bins = [step for step in (report.trust.reliability if report.trust else ()) if step.n]
    if not bins:
        return None

    def draw(figure: Any, axes: Any) -> None:
        most = max(step.n for step in bins)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, dashes=(4, 3))
        for step in bins:
            width = step.high - step.low
            axes.bar(step.low + width / 2, 0.16 * step.n / most, width * 0.86, color=RULE, zorder=1)
        # A step of one or two photos is right or wrong altogether, and would draw the line to the edge.
        many = [step for step in bins if step.n >= FEW]
        axes.plot(*_ends(many), "o-", color=BLUE, linewidth=1.8, markersize=5.5, zorder=3)
        few = [step for step in bins if step.n < FEW]
        axes.plot(*_ends(few), "o", color=BLUE, markersize=5, markerfacecolor="none", zorder=3)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.04)
        _percent_ticks(axes.xaxis)
        _percent_ticks(axes.yaxis)
        axes.set_xlabel("confidence")
        axes.set_ylabel("right")

    return draw


def _ends(bins: list[ReliabilityBin]) -> tuple[list[float], list[float]]:
    return [step.confidence for step in bins], [step.accuracy for step in bins]


def automation(report: ReportDocument) -> Callable[[Any, Any], None] | None:
    """What share is filed without a person, and how many of those are right."""
    points = [point for point in (report.trust.coverage if report.trust else []) if point.precision is not None]
    if len(points) < 2:
        return None

    def draw(figure: Any, axes: Any) -> None:
        filed, right = [point.coverage for point in points], [point.precision or 0.0 for point in points]
        axes.plot(filed, right, color=BLUE, linewidth=2)
        low = min(0.9, *right)
        for target in (0.95, 0.98, 0.99):
            axes.axhline(target, color=GREY, linewidth=0.8, dashes=(2, 3))
        for row in report.trust.thresholds if report.trust else []:
            if row.coverage and row.target in (0.95, 0.98, 0.99):
                axes.plot(row.coverage, row.precision, "o", color=ORANGE, markersize=6, zorder=3)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(low - 0.03 * (1 - low) - 0.01, 1.005)
        _percent_ticks(axes.xaxis)
        _percent_ticks(axes.yaxis)
        axes.set_xlabel("filed without a person")
        axes.set_ylabel("of those, right")

    return draw


def learning(report: ReportDocument) -> Callable[[Any, Any], None] | None:
    """Accuracy against labelled photos a category."""
    points = [
        (float(point.per_class), point.accuracy) for point in report.honest.learning_curve or () if point.accuracy
    ]
    if len(points) < 2:
        return None

    def draw(figure: Any, axes: Any) -> None:
        from matplotlib.ticker import NullLocator

        sizes = [size for size, _ in points]
        middle = [accuracy.mean for _, accuracy in points]
        spread = [accuracy.sd or 0.0 for _, accuracy in points]
        low = [m - s for m, s in zip(middle, spread, strict=True)]
        high = [m + s for m, s in zip(middle, spread, strict=True)]
        axes.fill_between(sizes, low, high, color=BLUE, alpha=0.15, linewidth=0)
        axes.plot(sizes, middle, "o-", color=BLUE, linewidth=1.8, markersize=5.5)
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        _percent_ticks(axes.yaxis)
        axes.set_xlabel("labelled photos per category")
        axes.set_ylabel("accuracy")

    return draw


def tuning(report: ReportDocument) -> Callable[[Any, Any], None] | None:
    """The share of judging photos that is right, and the loss, after each pass of a tuning."""
    tuned = report.tuned
    if tuned is None or len(tuned.epochs) < 2:
        return None

    def draw(figure: Any, axes: Any) -> None:
        numbers = [epoch.number for epoch in tuned.epochs]
        losses = axes.twinx()
        losses.plot(numbers, [epoch.loss for epoch in tuned.epochs], color=GREY, linewidth=1.4, dashes=(4, 3))
        losses.set_ylabel("loss (dashed)")
        losses.grid(visible=False)
        axes.plot(numbers, [epoch.judged for epoch in tuned.epochs], "o-", color=BLUE, linewidth=1.8, markersize=4)
        for epoch in tuned.epochs:
            if epoch.number == tuned.best_epoch:
                axes.plot(epoch.number, epoch.judged, "o", color=GREEN, markersize=8, zorder=3)
        axes.xaxis.get_major_locator().set_params(integer=True)
        _percent_ticks(axes.yaxis)
        axes.set_xlabel("passes over the photos")
        axes.set_ylabel("right")

    return draw


PLOTS: Mapping[str, Callable[[ReportDocument], Callable[[Any, Any], None] | None]] = {
    "classifiers": classifiers,
    "reliability": reliability,
    "automation": automation,
    "learning": learning,
    "tuning": tuning,
}


def _short(name: str, most: int) -> str:
    # Matplotlib takes text between dollar signs for mathematics.
    shown = name if len(name) <= most else name[: most - 1] + "…"
    return shown.replace("$", r"\$")


def svg_of(name: str, report: ReportDocument) -> str | None:
    """A plot as SVG for the page; None if there is nothing to draw."""
    data = _rendered(name, report, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return None if data is None else _for_page(data.decode("utf-8"), name)


def png_of(name: str, report: ReportDocument) -> bytes | None:
    """A plot as PNG, twice the size of a screen's dots, on white."""
    return _rendered(name, report, format="png", dpi=200, facecolor="white", metadata={"Software": None})


def _rendered(name: str, report: ReportDocument, **options: Any) -> bytes | None:
    """The file of a plot as Matplotlib writes it; None if there is nothing to draw."""
    draw = PLOTS[name](report)
    if draw is None:
        return None
    with _drawing() as (figure, axes):
        draw(figure, axes)
        file = io.BytesIO()
        figure.savefig(file, **options)
    return file.getvalue()


def _for_page(svg: str, name: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = re.sub(r"font: (\w+ )?([\d.]+)px [^;\"]*", lambda m: f"font: {m[1] or ''}{m[2]}px var(--sans)", svg)
    # Several plots share one page, so their ids must differ.
    svg = re.sub(r'(id="|url\(#|href="#)', lambda m: f"{m[1]}{name}-", svg)
    return re.sub(r'<svg [^>]*?(viewBox="[^"]+")[^>]*>', r'<svg \1 aria-hidden="true" focusable="false">', svg, count=1)
