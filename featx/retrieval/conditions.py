"""Conditions on a catalogue's columns, as people write them: `category = 'mugs' and price < 20 and stock > 0`.

    condition  = part {("and" | "or") part}, "not" condition, "(" condition ")"
    part       = value ("=" | "!=" | "<" | "<=" | ">" | ">=") value
               | value ["not"] "in" "(" value {"," value} ")"
               | value ["not"] ("like" | "contains") text
               | value "is" ["not"] "null"
    value      = column | "column with spaces" | 'text' | number | true | false

An item without a value matches no comparison, and no `not` of one; only `is null` finds it. `like` knows `%` (anything)
and `_` (one character); `like` and `contains` do not mind capitals. Nothing is ever evaluated as code.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError, did_you_mean

Value = str | int | float | bool | None
Row = tuple[Value, ...]
Test = Callable[[Row], bool | None]
Operand = Callable[[Row], Value]

DEEPEST = 100
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<text>'(?:[^']|'')*')
    |(?P<column>"(?:[^"]|"")*"|`[^`]*`)
    |(?P<sign><=|>=|<>|!=|==|[=<>(),])
    |(?P<word>[^\W\d][\w.-]*)
    )""",
    re.VERBOSE,
)
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = {"and", "or", "not", "in", "like", "contains", "is", "null", "true", "false"}


@dataclass(frozen=True)
class Condition:
    """A condition that was read: which columns it needs, and which rows meet it."""

    text: str
    columns: tuple[str, ...]
    _test: Test
    _compared: tuple[tuple[str, Value, int], ...]

    def rows(self, columns: Mapping[str, Sequence[Value]], n: int) -> NDArray[np.bool_]:
        """For each of n rows, whether it meets the condition."""
        used = [columns[name] for name in self.columns]
        for name, literal, at in self._compared:
            _comparable(self.text, name, columns[name], literal, at)
        if not used:
            return np.full(n, self._test(()) is True)
        try:
            return np.fromiter((self._test(row) is True for row in zip(*used, strict=True)), bool, n)
        except TypeError as error:
            # A store that somebody else wrote may hold lists.
            what = f"a column holds values that cannot be compared so ({error})"
            raise _wrong(self.text, 0, what, "leave that column out") from error


def read_condition(text: str, known: Collection[str], aliases: Mapping[str, str] | None = None) -> Condition:
    """Read a condition over known columns; `aliases` are other names for some of them."""
    return _Reader(text, known, aliases or {}).whole()


def _comparable(text: str, name: str, values: Sequence[Value], literal: Value, at: int) -> None:
    """Refuse a comparison of words with numbers: it could never hold, and would answer with nothing."""
    kinds = {type(value) for value in values if value is not None}
    words, number = kinds == {str}, kinds and kinds <= {int, float}
    if (words and not isinstance(literal, str)) or (number and isinstance(literal, str)):
        holds, wanted = ("text", "quote it: '…'") if words else ("numbers", "leave the quotes away")
        raise _wrong(text, at, f"`{name}` holds {holds}, and is compared with {_shown(literal)}", wanted)


def _shown(literal: Value) -> str:
    return f"'{literal}'" if isinstance(literal, str) else f"{literal}"


def _wrong(text: str, at: int, what: str, hint: str, code: str = "bad-flag") -> FeatxError:
    flat = text.replace("\n", " ").replace("\t", " ").replace("\r", " ")
    start, end = max(0, at - 40), at + 30
    lead = "…" if start else ""
    pointer = " " * (len(lead) + at - start) + "^"
    return FeatxError(
        code,
        f"cannot read the condition at character {at + 1}: {what}\n{lead}{flat[start:end]}\n{pointer}",
        hint,
        {"position": at + 1},
    )


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class _Operand:
    value: Operand
    at: int
    column: str | None = None
    literal: Value = None


class _Reader:
    """One pass over the tokens, a method for each rule of the language."""

    def __init__(self, text: str, known: Collection[str], aliases: Mapping[str, str]) -> None:
        self.text, self.known, self.aliases = text, known, aliases
        self.tokens = self._split()
        self.i = 0
        self.depth = 0
        self.columns: dict[str, int] = {}
        self.compared: list[tuple[str, Value, int]] = []

    def whole(self) -> Condition:
        test = self._either()
        if self._now.kind != "end":
            raise self._unexpected("`and` or `or`")
        return Condition(self.text, tuple(self.columns), test, tuple(self.compared))

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        end = len(self.text.rstrip())
        while at < end:
            found = _TOKEN.match(self.text, at)
            if found is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                letter = self.text[at]
                if letter in "'\"`":
                    raise _wrong(self.text, at, "a quote is opened and never closed", f"close it with {letter}")
                raise _wrong(self.text, at, f"`{letter}` means nothing here", "see `docs/similar.md` for what does")
            kind = str(found.lastgroup)
            token = found.group(kind)
            if kind == "word" and token.lower() in _WORDS:
                kind, token = "key", token.lower()
            tokens.append(_Token(kind, token, found.start(str(found.lastgroup))))
            at = found.end()
        return [*tokens, _Token("end", "", end)]

    @property
    def _now(self) -> _Token:
        return self.tokens[self.i]

    def _take(self, *texts: str) -> str | None:
        token = self._now
        if token.kind in ("key", "sign") and token.text in texts:
            self.i += 1
            return token.text
        return None

    def _need(self, text: str) -> None:
        if self._take(text) is None:
            raise self._unexpected(f"`{text}`")

    def _unexpected(self, wanted: str) -> FeatxError:
        token = self._now
        found = "it ends" if token.kind == "end" else f"`{token.text}` is there"
        return _wrong(
            self.text,
            token.at,
            f"{wanted} is wanted, {found}",
            "for example: --where \"price < 20 and label = 'mugs'\"",
        )

    def _either(self) -> Test:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda row: _any([part(row) for part in parts])

    def _both(self) -> Test:
        parts = [self._negated()]
        while self._take("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else lambda row: _all([part(row) for part in parts])

    def _negated(self) -> Test:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _wrong(self.text, self._now.at, "it is nested too deeply", "write it with fewer parentheses")
        try:
            if self._take("not"):
                part = self._negated()
                return lambda row: _not(part(row))
            if self._take("("):
                inner = self._either()
                self._need(")")
                return inner
            return self._part()
        finally:
            self.depth -= 1

    def _part(self) -> Test:
        left = self._operand()
        sign = self._take(*_SIGNS)
        if sign is not None:
            right = self._operand()
            self._note(left, right)
            return _compare(_SIGNS[sign], left.value, right.value)
        if self._take("is"):
            wanted = not self._take("not")
            self._need("null")
            return lambda row: (left.value(row) is None) is wanted
        negated = self._take("not") is not None
        kind = self._take("in", "like", "contains")
        if kind is None:
            raise self._unexpected("a comparison")
        test = self._among(left) if kind == "in" else self._matching(left, kind)
        return (lambda row: _not(test(row))) if negated else test

    def _among(self, left: _Operand) -> Test:
        self._need("(")
        choices = [self._operand()]
        while self._take(","):
            choices.append(self._operand())
        self._need(")")
        for one in choices:
            self._note(left, one)
        tests = [_compare(operator.eq, left.value, one.value) for one in choices]
        return lambda row: _any([test(row) for test in tests])

    def _matching(self, left: _Operand, kind: str) -> Test:
        token = self._now
        if token.kind != "text":
            raise self._unexpected("a text in quotes")
        self.i += 1
        text = token.text[1:-1].replace("''", "'")
        if kind == "contains":
            pattern = re.compile(re.escape(text), re.IGNORECASE)
        else:
            pieces = [".*" if c == "%" else "." if c == "_" else re.escape(c) for c in re.sub("%+", "%", text)]
            pattern = re.compile("".join(pieces) + r"\Z", re.IGNORECASE | re.DOTALL)
        look = pattern.search if kind == "contains" else pattern.match

        def test(row: Row) -> bool | None:
            value = left.value(row)
            return None if value is None else look(str(value)) is not None

        return test

    def _operand(self) -> _Operand:
        token = self._now
        literal: Value
        if token.kind == "number":
            literal = float(token.text) if re.search(r"[.eE]", token.text) else int(token.text)
        elif token.kind == "text":
            literal = token.text[1:-1].replace("''", "'")
        elif token.kind == "key" and token.text in ("true", "false"):
            literal = token.text == "true"
        elif token.kind in ("word", "column"):
            self.i += 1
            return self._column(token)
        elif token.kind == "key" and token.text == "null":
            raise _wrong(self.text, token.at, "`null` cannot be compared", "write `is null` or `is not null`")
        else:
            raise self._unexpected("a column, a 'text' or a number")
        self.i += 1
        return _Operand(lambda row: literal, token.at, literal=literal)

    def _column(self, token: _Token) -> _Operand:
        name = token.text
        if token.kind == "column":
            name = name[1:-1].replace('""', '"') if name.startswith('"') else name[1:-1]
        if name not in self.known:
            name = self.aliases.get(name, name)
        if name not in self.known:
            near = did_you_mean(name, [*self.known, *self.aliases], f"it has {', '.join(sorted(self.known))}")
            what = f"no column `{name}`"
            if token.kind == "word" and "did you mean" not in near:
                near += f"; a text needs quotes: '{name}'"
            raise _wrong(self.text, token.at, what, near, "bad-column")
        place = self.columns.setdefault(name, len(self.columns))
        return _Operand(lambda row: row[place], token.at, column=name)

    def _note(self, left: _Operand, right: _Operand) -> None:
        for one, other in ((left, right), (right, left)):
            if one.column is not None and other.column is None:
                self.compared.append((one.column, other.literal, other.at))


def _compare(sign: Callable[[Any, Any], bool], left: Operand, right: Operand) -> Test:
    def test(row: Row) -> bool | None:
        one, other = left(row), right(row)
        if one is None or other is None or _no_number(one) or _no_number(other):
            return None
        if isinstance(one, str) != isinstance(other, str):
            # Words and numbers mixed in one column: different, and neither is the smaller.
            return sign is operator.ne
        return bool(sign(one, other))

    return test


def _no_number(value: Value) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _any(found: list[bool | None]) -> bool | None:
    return True if True in found else None if None in found else False


def _all(found: list[bool | None]) -> bool | None:
    return False if False in found else None if None in found else True


def _not(found: bool | None) -> bool | None:
    return None if found is None else not found
