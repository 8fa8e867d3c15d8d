"""Sentences and numbers for a page, Markdown and a terminal; on a page, a number names its path in the JSON."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from featx.files.markdown import escape_markdown
from featx.metrics.selective import format_threshold
from featx.views import quantities

DASH = "–"


class Located:
    """A part of the document that knows its path, as in `/which/rows/0/accuracy`.

    `r.which.rows[0].accuracy.value` is a LocatedNumber; names, yes-or-no and null are themselves.
    """

    __slots__ = ("_path", "_value")

    def __init__(self, value: Any, path: str = "") -> None:
        self._value = value
        self._path = path

    def __getattr__(self, name: str) -> Any:
        try:
            return _located(self._value[name], f"{self._path}/{name}")
        except (KeyError, TypeError) as error:
            raise AttributeError(f"{self._path or 'the report'} has no {name}") from error

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            return getattr(self, key)
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(len(self)))]
        return _located(self._value[key], f"{self._path}/{key % len(self)}")

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        return len(self._value)


class LocatedNumber(float):
    """A number of the document and its path."""

    __slots__ = ("number", "path")

    def __new__(cls, number: float, path: str) -> LocatedNumber:
        """Keep the number as in the JSON, so that a count stays a whole number."""
        located = super().__new__(cls, number)
        located.number = number
        located.path = path
        return located

    number: float
    path: str

    def __str__(self) -> str:
        return str(self.number)


def _located(value: Any, path: str) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    return LocatedNumber(value, path) if isinstance(value, int | float) else Located(value, path)


def plain(part: Any) -> Any:
    """A part of the document as in the JSON."""
    return part._value if isinstance(part, Located) else part


def value_at(document: Any, path: str) -> Any:
    """The value at a path such as `/which/rows/0/accuracy/value`; None if there is none."""
    value = document
    for part in path.strip("/").split("/"):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, Mapping):
            value = value.get(part)
        else:
            return None
    return value


def points(value: float) -> str:
    """A difference of two shares, 0.041, in percentage points: 4.1."""
    return f"{100 * value:.1f}".replace("-", "−")


def change(value: float) -> str:
    """The same with its sign: +4.1."""
    return f"{100 * value:+.1f}".replace("-", "−")


def hours(value: float) -> str:
    """Hours, with one decimal below ten."""
    return f"{value:.1f} h" if value < 10 else f"{value:,.0f} h"


NUMBER_FORMATS: Mapping[str, Callable[[float], str]] = {
    "percent": quantities.percent,
    "points": points,
    "change": change,
    "count": "{:,.0f}".format,
    "decimal": "{:.3f}".format,
    "duration": quantities.duration,
    "hours": hours,
    "size": quantities.size,
    # Without a currency: the price came without one.
    "money": "{:,.2f}".format,
    "threshold": format_threshold,
}


class Phrase(str):
    """Text that is ready for its medium: nothing in it is escaped again."""

    __slots__ = ()


class Formatter(string.Formatter):
    """Fills sentences: `{row.clf}` is a name and is escaped, `{row.bytes:size}` a number in one of NUMBER_FORMATS."""

    def sentence(self, sentence: str, **parts: object) -> str:
        """A sentence with its parts filled in; `<b>` in the sentence itself is kept or translated."""
        return self.vformat(sentence, (), parts)

    def number(self, style: str, value: float | None) -> str:
        """A number as people read it; a dash where it was not measured."""
        return DASH if value is None else NUMBER_FORMATS[style](value)

    def text(self, value: object) -> str:
        """A name or label made safe for the medium."""
        raise NotImplementedError

    def format_field(self, value: Any, format_spec: str) -> Any:
        """What str.format calls for each part of a sentence."""
        if format_spec:
            return self.number(format_spec, value)
        return value if isinstance(value, Phrase) else self.text(value)

    def joined(self, phrases: Sequence[str], separator: str = "", end: str = "") -> str:
        """Several phrases as one."""
        return self.sentence(separator.join(f"{{phrases[{i}]}}" for i in range(len(phrases))) + end, phrases=phrases)

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        """Resolve a field of str.format such as `row.accuracy.value`; parts of a missing one are missing too."""
        name, *steps = re.split(r"[.\[]", field_name.replace("]", ""))
        value = kwargs[name]
        for step in steps:
            if value is None:
                break
            value = value[int(step)] if step.isdigit() else getattr(value, step)
        return value, name

    def by_count(self, n: int, *, none: str = "", one: str, many: str, **parts: object) -> str:
        """The sentence for none, for one, or for `{n:count}` of a thing."""
        sentence = {0: none or many, 1: one}.get(n, many)
        return self.sentence(sentence, n=n, **parts)


class HtmlFormatter(Formatter):
    """Sentences for the page."""

    def sentence(self, sentence: str, **parts: object) -> Markup:
        """A sentence as HTML."""
        return Markup(super().sentence(sentence, **parts))

    def number(self, style: str, value: float | None) -> str:
        """A number that names its path in the document and its format."""
        shown = super().number(style, value)
        if not isinstance(value, LocatedNumber):
            return shown
        return Markup('<data value="{}" data-path="{}" data-format="{}">{}</data>').format(
            repr(value.number), value.path, style, shown
        )

    def text(self, value: object) -> Markup:
        """A name or label as text of the page, escaped."""
        return escape(value)


class MarkdownFormatter(Formatter):
    """Sentences for a pull request."""

    def sentence(self, sentence: str, **parts: object) -> Phrase:
        """A sentence as Markdown."""
        return Phrase(super().sentence(sentence.replace("<b>", "**").replace("</b>", "**"), **parts))

    def text(self, value: object) -> str:
        """A name or label with its markup escaped."""
        return escape_markdown(value)


class TerminalFormatter(Formatter):
    """Sentences for a terminal."""

    def sentence(self, sentence: str, **parts: object) -> Phrase:
        """A sentence with nothing set off."""
        return Phrase(super().sentence(sentence.replace("<b>", "").replace("</b>", ""), **parts))

    def text(self, value: object) -> str:
        """A name or label on one line."""
        return " ".join(str(value).split())
