"""The plots of a report, as SVG that follows the page's colours and as PNG for slides and pull requests."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Document = Mapping[str, Any]

# Each stands for a colour of the page: in the SVG it becomes a CSS variable, so that dark mode and print can change it.
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


def classifiers(document: Document) -> Callable[[Any, Any], None] | None:
    """Accuracy against pace and size; without pace, accuracy alone."""
    rows = [row for row in document["which"]["rows"] if row["accuracy"]]
    if not rows:
        return None
    if classifiers_are_bars(document):
        return lambda figure, axes: _bars(axes, rows)
    # What always says the commonest category would squeeze all others into the upper edge.
    paced = [row for row in rows if row["images_per_second"] and row["clf"] != "most-frequent"]
    return lambda figure, axes: _pareto(axes, paced)


def classifiers_are_bars(document: Document) -> bool:
    """Whether the paces differ too little to draw accuracy against them."""
    rows = [row for row in document["which"]["rows"] if row["accuracy"] and row["clf"] != "most-frequent"]
    paces = [row["images_per_second"] for row in rows if row["images_per_second"]]
    return not paces or max(paces) < APART * min(paces)


def _colour(row: Mapping[str, Any]) -> str:
    return GREEN if row["best"] else GREY if row["baseline"] else BLUE


def _bars(axes: Any, rows: list[Mapping[str, Any]]) -> None:
    many_stores = len({row["store"] for row in rows}) > 1
    for i, row in enumerate(rows[:16]):
        score = row["accuracy"]
        if score["low"] is not None:
            axes.plot(
                [score["low"], score["high"]], [-i, -i], color=_colour(row), linewidth=2.2, solid_capstyle="round"
            )
        axes.plot(score["value"], -i, "s" if row["baseline"] else "o", color=_colour(row), markersize=7)
    names = [f"{row['clf']} · {row['backbone']}" if many_stores else row["clf"] for row in rows[:16]]
    axes.set_yticks([-i for i in range(len(names))], [_short(name, 30) for name in names])
    axes.tick_params(axis="y", colors=INK)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    _percent_ticks(axes.xaxis)
    axes.set_ylim(-len(names) + 0.5, 0.5)
    axes.set_xlabel("accuracy")


def _pareto(axes: Any, rows: list[Mapping[str, Any]]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    biggest = max((row["bytes"] or 1) for row in rows)
    front = sorted((row["images_per_second"], row["accuracy"]["value"]) for row in rows if row["unbeaten"])
    axes.plot(*zip(*front, strict=True), color=RULE, linewidth=1.4, zorder=1)
    for row in rows:
        score, rate = row["accuracy"], row["images_per_second"]
        if score["low"] is not None:
            axes.plot([rate, rate], [score["low"], score["high"]], color=_colour(row), linewidth=1.3, alpha=0.65)
        area = 28 + 170 * ((row["bytes"] or 0) / biggest) ** 0.5
        marker = "s" if row["baseline"] else "o"
        axes.scatter(rate, score["value"], area, color=_colour(row), marker=marker, edgecolor=PAPER, zorder=3)
    rates = [row["images_per_second"] for row in rows]
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.5, max(rates) * 2.2)
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _name_columns(axes, rows)
    for store in dict.fromkeys(row["store"] for row in rows):
        own = [row for row in rows if row["store"] == store]
        place = math.exp(sum(math.log(row["images_per_second"]) for row in own) / len(own))
        axes.annotate(
            _short(str(own[0]["backbone"]), 20),
            (place, 1.0),
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


def _name_columns(axes: Any, rows: list[Mapping[str, Any]]) -> None:
    """Names beside the dots, pushed apart where dots of one pace lie close together."""
    low, high = axes.get_ylim()
    step = (high - low) / 19
    taken: dict[int, float] = {}
    for row in sorted(rows, key=lambda row: -row["accuracy"]["value"]):
        rate, value = row["images_per_second"], row["accuracy"]["value"]
        column = round(math.log(rate) / math.log(NAMED_APART))
        place = min(value, taken.get(column, float("inf")) - step)
        taken[column] = place
        axes.annotate(
            _short(row["clf"], 14),
            (rate, place),
            (9, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=GREEN if row["best"] else MUTED,
            fontweight="bold" if row["best"] else "normal",
        )


def reliability(document: Document) -> Callable[[Any, Any], None] | None:
    """How sure against how often right, with the number of photos in each step."""
    bins = [one for one in (document.get("trust") or {}).get("reliability", ()) if one["n"]]
    if not bins:
        return None

    def draw(figure: Any, axes: Any) -> None:
        most = max(one["n"] for one in bins)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, dashes=(4, 3))
        for one in bins:
            width = one["high"] - one["low"]
            axes.bar(one["low"] + width / 2, 0.16 * one["n"] / most, width * 0.86, color=RULE, zorder=1)
        # A step of one or two photos is right or wrong altogether, and would draw the line to the edge.
        many = [one for one in bins if one["n"] >= FEW]
        axes.plot(*_ends(many), "o-", color=BLUE, linewidth=1.8, markersize=5.5, zorder=3)
        few = [one for one in bins if one["n"] < FEW]
        axes.plot(*_ends(few), "o", color=BLUE, markersize=5, markerfacecolor="none", zorder=3)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.04)
        _percent_ticks(axes.xaxis)
        _percent_ticks(axes.yaxis)
        axes.set_xlabel("confidence")
        axes.set_ylabel("right")

    return draw


def _ends(bins: list[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    return [one["confidence"] for one in bins], [one["accuracy"] for one in bins]


def automation(document: Document) -> Callable[[Any, Any], None] | None:
    """What share is filed without a person, and how many of those are right."""
    points = (document.get("trust") or {}).get("coverage", ())
    if len(points) < 2:
        return None

    def draw(figure: Any, axes: Any) -> None:
        filed, right = [one["coverage"] for one in points], [one["precision"] for one in points]
        axes.plot(filed, right, color=BLUE, linewidth=2)
        low = min(0.9, *right)
        for target in (0.95, 0.98, 0.99):
            axes.axhline(target, color=GREY, linewidth=0.8, dashes=(2, 3))
        for one in (document.get("trust") or {}).get("thresholds", ()):
            if one["coverage"] and one["target"] in (0.95, 0.98, 0.99):
                axes.plot(one["coverage"], one["precision"], "o", color=ORANGE, markersize=6, zorder=3)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(low - 0.03 * (1 - low) - 0.01, 1.005)
        _percent_ticks(axes.xaxis)
        _percent_ticks(axes.yaxis)
        axes.set_xlabel("filed without a person")
        axes.set_ylabel("of those, right")

    return draw


def learning(document: Document) -> Callable[[Any, Any], None] | None:
    """Accuracy against labelled photos a category."""
    points = [one for one in document["honest"].get("learning_curve") or () if one.get("accuracy")]
    if len(points) < 2:
        return None

    def draw(figure: Any, axes: Any) -> None:
        from matplotlib.ticker import NullLocator

        sizes = [float(one["per_class"]) for one in points]
        middle = [float(one["accuracy"]["mean"]) for one in points]
        spread = [float(one["accuracy"].get("sd") or 0) for one in points]
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


PLOTS: Mapping[str, Callable[[Document], Callable[[Any, Any], None] | None]] = {
    "classifiers": classifiers,
    "reliability": reliability,
    "automation": automation,
    "learning": learning,
}


def _short(name: str, most: int) -> str:
    # Matplotlib takes text between dollar signs for mathematics.
    shown = name if len(name) <= most else name[: most - 1] + "…"
    return shown.replace("$", r"\$")


def svg_of(name: str, document: Document) -> str | None:
    """A plot as SVG to put into the page; None where there is nothing to draw."""
    draw = PLOTS[name](document)
    if draw is None:
        return None
    with _drawing() as (figure, axes):
        draw(figure, axes)
        held = io.StringIO()
        figure.savefig(held, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(held.getvalue(), name)


def png_of(name: str, document: Document) -> bytes | None:
    """A plot as PNG, twice the size of a screen's dots, on white."""
    draw = PLOTS[name](document)
    if draw is None:
        return None
    with _drawing() as (figure, axes):
        draw(figure, axes)
        held = io.BytesIO()
        figure.savefig(held, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    return held.getvalue()


def _for_page(svg: str, name: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = re.sub(r"font: (\w+ )?([\d.]+)px [^;\"]*", lambda m: f"font: {m[1] or ''}{m[2]}px var(--sans)", svg)
    # Several plots stand in one page: their ids must not meet.
    svg = re.sub(r'(id="|url\(#|href="#)', lambda m: f"{m[1]}{name}-", svg)
    return re.sub(r'<svg [^>]*?(viewBox="[^"]+")[^>]*>', r'<svg \1 aria-hidden="true" focusable="false">', svg, count=1)
