"""Which commands there are, and the page that `featx --help` shows.

The page is drawn from this table alone: a look at what there is must not wait for what it takes to run it.
"""

from __future__ import annotations

import os
import shutil
import sys
from textwrap import wrap

TAGLINE = "Product pictures in, categories and look-alikes out."
START = "Start here:  featx extract data/train && featx fit && featx similar sku123.jpg"

# (module and function, panel, what it does: the first line of its own help).
COMMANDS = (
    ("extract", "Make a model", "Turn images into features, once; later runs only do what is new."),
    ("fit", "Make a model", "Train a category classifier and say how good it is."),
    ("compare", "Know how good it is", "Compare classifiers and backbones, and say whether the difference is real."),
    ("evaluate", "Know how good it is", "Score a saved classifier on pictures it never learned from."),
    ("predict", "Use it", "Say the category of photos, and how sure that is."),
    ("similar", "Use it", "List the products that look most like this one."),
    (
        "suggest",
        "Look after the catalogue",
        "Name the photos without a category whose label would teach the classifier most.",
    ),
    ("duplicates", "Look after the catalogue", "List pictures that are the same or nearly so."),
    ("issues", "Look after the catalogue", "List pictures whose category is probably wrong; apply fixes."),
    ("report", "Share", "Write or open the last comparison again, without recomputing."),
    ("export", "Share", "Write features, labels and columns for other programs."),
    ("info", "Help", "Show what the store holds, which classifiers exist and whether this machine is ready."),
    ("backbones", "Help", "List the networks that turn images into features."),
    ("demo", "Help", "Run everything on a small made-up catalogue, offline."),
)
GROUPS = (("weights", "Help", "List, download or bring in backbone weights."),)
# The names these commands have in other tools.
ALIASES = {"label-issues": "issues", "bench": "compare"}
OPTIONS = (
    ("--version", "", "Print the version."),
    ("--install-completion", "", "Install completion for the current shell."),
    ("--show-completion", "", "Show completion for the current shell, to copy it or customize the installation."),
    ("--help", "-h", "Show this message and exit."),
)
NARROWEST, WIDEST = 40, 100


def front_page() -> str:
    """What `featx --help` prints, as wide as the terminal and in its colours where it has any."""
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    panels: dict[str, list[tuple[str, str]]] = {}
    for name, panel, summary in (*COMMANDS, *GROUPS):
        panels.setdefault(panel, []).append((name, summary))
    options = [(f"{long:22}{short:2}".rstrip(), summary) for long, short, summary in OPTIONS]
    parts = [*_wrapped("Usage: featx [OPTIONS] COMMAND [ARGS]...", width), "", *_wrapped(TAGLINE, width), ""]
    parts += _panel("Options", options, 24, width, coloured)
    for panel, rows in panels.items():
        parts += _panel(panel, rows, 10, width, coloured)
    return "\n".join(["", *parts, "", *_wrapped(START, width), ""])


def _wrapped(text: str, width: int) -> list[str]:
    return [f" {line}" for line in wrap(text, width - 2)]


def _panel(title: str, rows: list[tuple[str, str]], column: int, width: int, coloured: bool) -> list[str]:
    dim, bold, off = ("\x1b[2m", "\x1b[1;36m", "\x1b[0m") if coloured else ("", "", "")
    lines = [f"{dim}╭─ {title} {'─' * (width - len(title) - 5)}╮{off}"]
    room = width - column - 6
    for name, summary in rows:
        for place, text in enumerate(wrap(summary, room) or [""]):
            said = name if place == 0 else ""
            lines.append(f"{dim}│{off} {bold}{said:{column}}{off}  {text:{room}} {dim}│{off}")
    return [*lines, f"{dim}╰{'─' * (width - 2)}╯{off}"]
