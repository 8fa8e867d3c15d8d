"""Escape names and labels for Markdown, so that they always show as text."""

from __future__ import annotations

import re

# What turns the direction of writing could make a name look like another.
_ONE_WAY = re.compile("[\u202a-\u202e\u2066-\u2069]")


def escape_markdown(value: object) -> str:
    """Text for Markdown, its markup characters escaped."""
    text = " ".join(_ONE_WAY.sub("", str(value)).split())
    for mark in "\\`*_[]<>|#&@":
        text = text.replace(mark, "&#64;" if mark == "@" else "\\" + mark)
    return text


def inline_code(value: object) -> str:
    """Text as inline code, whatever backticks it contains."""
    return "`" + " ".join(_ONE_WAY.sub("", str(value)).replace("`", "'").split()) + "`"
