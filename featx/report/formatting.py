"""Numbers as people read them, each with the place in the JSON document that it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from featx.files.markdown import escape_markdown

DASH = "–"


def at(document: Any, path: str) -> Any:
    """The value at a place like `/which/rows/0/accuracy/value`; None where there is none."""
    value = document
    for part in path.strip("/").split("/"):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, Mapping):
            value = value.get(part)
        else:
            return None
    return value


def share(value: float | None, digits: int = 1) -> str:
    """0.8812 as 88.1%."""
    return DASH if value is None else f"{100 * value:.{digits}f}%".replace("-", "−")


def points(value: float | None) -> str:
    """A difference of shares, 0.041, as 4.1."""
    return DASH if value is None else f"{100 * value:.1f}".replace("-", "−")


def change(value: float | None) -> str:
    """The same with its sign: +4.1."""
    return DASH if value is None else f"{100 * value:+.1f}".replace("-", "−")


def count(value: float | None) -> str:
    """12345 as 12,345."""
    return DASH if value is None else f"{value:,.0f}"


def decimal(value: float | None) -> str:
    """0.91234 as 0.912."""
    return DASH if value is None else f"{value:.3f}"


def seconds(value: float | None) -> str:
    """A time as a person says it."""
    if value is None:
        return DASH
    if value < 0.1:
        return f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def hours(value: float | None) -> str:
    """Hours, exact to one place below ten."""
    return DASH if value is None else f"{value:.1f} h" if value < 10 else f"{value:,.0f} h"


def size(value: float | None) -> str:
    """Bytes in decimal units, as file managers show them."""
    if value is None:
        return DASH
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}" if value < 10 * limit else f"{value / limit:.0f} {unit}"
    return f"{value:.0f} B"


def money(value: float | None) -> str:
    """An amount without a currency: the price came without one."""
    return DASH if value is None else f"{value:,.2f}"


WAYS = {
    "share": share,
    "points": points,
    "change": change,
    "count": count,
    "decimal": decimal,
    "seconds": seconds,
    "hours": hours,
    "size": size,
    "money": money,
}


class Formatter:
    """Shows the numbers of one document: as HTML that names where each is from, or as plain text."""

    def __init__(self, document: Mapping[str, Any], *, html: bool) -> None:
        self.document = document
        self.html = html

    def number(self, way: str, path: str) -> str:
        """The number at `path`, shown in one of the WAYS."""
        value = at(self.document, path)
        shown = WAYS[way](value)
        if not self.html or value is None:
            return shown
        return Markup('<data value="{}" data-path="{}" data-way="{}">{}</data>').format(repr(value), path, way, shown)

    def text(self, value: object) -> str:
        """A name or label, made safe for where it is shown."""
        if self.html:
            return escape(str(value))
        return escape_markdown(value)

    def say(self, sentence: str, **parts: object) -> str:
        """A sentence of the words with its numbers and names filled in; names in code marks."""
        if self.html:
            return Markup(sentence).format(**{key: escape(part) for key, part in parts.items()})
        return sentence.replace("<b>", "**").replace("</b>", "**").format(**parts)


class TerminalFormatter(Formatter):
    """Tells the same sentences on a terminal: neither HTML nor Markdown."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document, html=False)

    def text(self, value: object) -> str:
        """A name or label on one line."""
        return " ".join(str(value).split())

    def say(self, sentence: str, **parts: object) -> str:
        """A sentence with its numbers and names filled in, nothing set off."""
        return sentence.replace("<b>", "").replace("</b>", "").format(**parts)
