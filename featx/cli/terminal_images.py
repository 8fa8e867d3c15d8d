"""Thumbnails of the answers in a terminal with true colours: three in a row, two pixels a cell."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featx.retrieval import Matches

ACROSS, DOWN, IN_A_ROW = 24, 12, 3


def show_pictures(answers: list[Matches], *, always: bool = False) -> None:
    """Print the query and its best answers as pictures, where the terminal can show them."""
    size = shutil.get_terminal_size()
    if not (always or _can_show()) or size.columns < 52 or len(answers) != 1:
        return
    from featx.cli.output import _encodable, _printable
    from featx.views.gallery import half_blocks, thumbnail

    found = answers[0]
    fits = 6 if size.columns >= 76 and size.lines >= 30 else min(IN_A_ROW, size.columns // (ACROSS + 2))
    shown = [(path, "your picture") for path in found.query.paths[:1]]
    shown += [(one.path, f"{rank}  {one.similarity:.2f}  {one.product}") for rank, one in enumerate(found, start=1)]
    pictures = [(thumbnail(path, 4 * ACROSS), title) for path, title in shown[:fits]]
    if not any(image for image, _ in pictures):
        return
    for start in range(0, len(pictures), IN_A_ROW):
        row = pictures[start : start + IN_A_ROW]
        blocks = [half_blocks(image, ACROSS, DOWN) if image else None for image, _ in row]
        for y in range(DOWN):
            print("  ".join(_line(one[y]) if one else " " * ACROSS for one in blocks))
        titles = (_encodable(_printable(title.replace("\n", " ")), sys.stdout) for _, title in row)
        print("  ".join((t if len(t) <= ACROSS else t[: ACROSS - 1] + "…").ljust(ACROSS) for t in titles).rstrip())
    print()


def _line(cells: list[tuple[tuple[int, int, int], tuple[int, int, int]]]) -> str:
    said = "".join(f"\x1b[38;2;{a};{b};{c};48;2;{d};{e};{f}m▀" for (a, b, c), (d, e, f) in cells)
    return said + "\x1b[0m"


def _can_show() -> bool:
    blocked = os.environ.get("CI") or os.environ.get("NO_COLOR") or os.environ.get("TERM") in (None, "", "dumb")
    colours = os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return sys.stdout.isatty() and not blocked and colours and encoding == "utf8"
