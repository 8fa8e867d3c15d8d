"""Names and labels inside Markdown: they are text there, whatever is in them."""

from __future__ import annotations


def plain(value: object) -> str:
    """Text for Markdown: what would be markup there is shown as it stands."""
    text = " ".join(str(value).split())
    for mark in "\\`*_[]<>|#&@":
        text = text.replace(mark, "&#64;" if mark == "@" else "\\" + mark)
    return text


def code(value: object) -> str:
    """Text between the marks of code, which cannot end it."""
    return "`" + " ".join(str(value).replace("`", "'").split()) + "`"
