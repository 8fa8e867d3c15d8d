"""Thumbnails in a truecolor terminal: three per row, two pixels per cell."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featx.retrieval import Matches

ACROSS, DOWN, IN_A_ROW = 24, 12, 3


def show_pictures(answers: list[Matches], *, always: bool = False) -> None:
    """Print the query and its best answers as thumbnails, where the terminal can show them."""
    size = shutil.get_terminal_size()
    if not has_room(always=always) or len(answers) != 1:
        return
    from featx.images.thumbnails import thumbnail

    matches = answers[0]
    fits = 6 if size.columns >= 76 and size.lines >= 30 else min(IN_A_ROW, size.columns // (ACROSS + 2))
    shown = [(path, "your photo") for path in matches.query.paths[:1]]
    shown += [
        (match.path, f"{rank}  {match.similarity:.2f}  {match.product}") for rank, match in enumerate(matches, start=1)
    ]
    show_images([(thumbnail(path, 4 * ACROSS), title) for path, title in shown[:fits]])


def has_room(*, always: bool = False) -> bool:
    """Whether the terminal can show a few thumbnails side by side; `always` trusts it with the colours."""
    return (always or _can_show()) and shutil.get_terminal_size().columns >= 52


def show_images(pictures: Sequence[tuple[Any, str]]) -> None:
    """Print Pillow images with their titles, three in a row; None leaves its room empty."""
    from featx.cli.output import _encodable, _printable
    from featx.views.gallery import half_blocks

    if not any(image for image, _ in pictures):
        return
    for start in range(0, len(pictures), IN_A_ROW):
        row = pictures[start : start + IN_A_ROW]
        blocks = [half_blocks(image, ACROSS, DOWN) if image else None for image, _ in row]
        for y in range(DOWN):
            print("  ".join(_line(block[y]) if block else " " * ACROSS for block in blocks))
        titles = (_encodable(_printable(title.replace("\n", " ")), sys.stdout) for _, title in row)
        print("  ".join((t if len(t) <= ACROSS else t[: ACROSS - 1] + "…").ljust(ACROSS) for t in titles).rstrip())
    print()


def _line(cells: list[tuple[tuple[int, int, int], tuple[int, int, int]]]) -> str:
    line = "".join(f"\x1b[38;2;{a};{b};{c};48;2;{d};{e};{f}m▀" for (a, b, c), (d, e, f) in cells)
    return line + "\x1b[0m"


def _can_show() -> bool:
    blocked = os.environ.get("CI") or os.environ.get("NO_COLOR") or os.environ.get("TERM") in (None, "", "dumb")
    colours = os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return sys.stdout.isatty() and not blocked and colours and encoding == "utf8"
