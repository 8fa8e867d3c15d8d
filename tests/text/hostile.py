"""Texts on packs that would steer a terminal, a spreadsheet or a page, and how to see that they do not."""

from __future__ import annotations

import csv
import io
import re

HOSTILE = [
    '=HYPERLINK("http://evil","x")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1\t-1\r=1",
    "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "</script><!--]]>{{7*7}}${7*7}",
    "gpj.\u202eexe \u2066\u200f\ufeff",
    "NUL\x00 \x7f\x08\x08 \ud800",
    "| a | [x](javascript:alert(3)) `b` **c** |\n# d",
    "'; DROP TABLE photo; --",
    " ".join(f"word{i}" for i in range(10_000)),
]
STEERING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
LIVE = re.compile(r"<script>alert|<img src=x|</script><!--|href=.?javascript:", re.IGNORECASE)


def assert_plain(shown: str) -> None:
    """Nothing in it steers a terminal, or turns the direction of writing."""
    assert (found := STEERING.search(shown.removeprefix("\ufeff"))) is None, repr(
        shown[max(0, found.start() - 60) :][:90]
    )


def assert_dead(page: str) -> None:
    """No markup of a stranger is live in a page."""
    assert_plain(page)
    assert (found := LIVE.search(page)) is None, page[max(0, found.start() - 60) :][:120]


def assert_no_formula(table: str) -> None:
    """No cell of a table is a formula, and none is longer than the text of a photo may be."""
    assert_plain(table)
    for cells in csv.reader(io.StringIO(table.removeprefix("\ufeff"), newline="")):
        assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(cell)]


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", cell) is not None
