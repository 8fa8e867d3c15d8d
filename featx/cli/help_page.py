"""The commands, and the page that `featx --help` shows.

The page is drawn from this table alone: asking what featx can do must not wait for the libraries that do it.
"""

from __future__ import annotations

import os
import shutil
import sys
from textwrap import wrap

TAGLINE = "Product photos in, categories and look-alikes out."
START = "Start here:  featx extract data/train && featx fit && featx similar sku123.jpg"

# (command, panel, summary: the first line of its own help)
COMMANDS = (
    ("extract", "Train", "Turn photos into features, once; later runs compute only what is new."),
    ("list", "Train", "List every photo of a folder, bucket or archive in a table, once."),
    ("plan", "Train", "Work out the hours, machines, price, memory and network of a very large extraction."),
    ("read", "Train", "Read the text on photos, once; later runs read only what is new."),
    ("fit", "Train", "Train a category classifier and measure how good it is."),
    ("tune", "Train", "Train the last blocks of a network on your categories, and keep it where that pays."),
    ("compare", "Measure", "Compare classifiers and backbones, and say whether the difference is real."),
    ("evaluate", "Measure", "Score a saved classifier on photos it never learned from."),
    ("predict", "Use", "Predict the category of photos, with confidence."),
    ("explain", "Use", "Explain why a photo is of its category and not of the next."),
    ("inspect", "Use", "Find photos that do not show the product as good photos do, and where."),
    ("similar", "Use", "List the products that look most like this one."),
    (
        "suggest",
        "Maintain the catalogue",
        "List the unlabelled photos whose label would teach the classifier most.",
    ),
    ("update", "Maintain the catalogue", "Extract, train again, predict what is new: the nightly run."),
    ("duplicates", "Maintain the catalogue", "List photos that are identical or nearly so."),
    ("issues", "Maintain the catalogue", "List photos whose category is probably wrong; apply decisions."),
    ("report", "Share", "Write the report of the last comparison again, without recomputing."),
    ("serve", "Share", "Serve the catalogue to browsers and programs: search, categories, review."),
    ("export", "Share", "Write features, labels and columns for other tools."),
    ("deploy", "Share", "Write a classifier as a folder that runs without featx and torch."),
    ("use", "Help", "Choose the store that commands use when none is named, or list the stores."),
    ("info", "Help", "Show what the store holds, which classifiers exist and whether this machine is ready."),
    ("backbones", "Help", "List the networks that turn photos into features."),
    ("demo", "Help", "Draw a small sample catalogue and run everything on it, offline."),
)
GROUPS = (
    ("index", "Maintain the catalogue", "Build a search index for a very large catalogue, here or on a server."),
    ("weights", "Help", "List, download or add the weights of backbones."),
)
# Names of these commands in other tools.
ALIASES = {"label-issues": "issues", "bench": "compare"}
OPTIONS = (
    ("--version", "", "Print the version."),
    ("--install-completion", "", "Install completion for the current shell."),
    ("--show-completion", "", "Show completion for the current shell, to copy it or customize the installation."),
    ("--help", "-h", "Show this message and exit."),
)
NARROWEST, WIDEST = 40, 100


def front_page() -> str:
    """The page of `featx --help`, as wide as the terminal, in colour where the terminal has colours."""
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
        for i, text in enumerate(wrap(summary, room) or [""]):
            label = name if i == 0 else ""
            lines.append(f"{dim}│{off} {bold}{label:{column}}{off}  {text:{room}} {dim}│{off}")
    return [*lines, f"{dim}╰{'─' * (width - 2)}╯{off}"]
