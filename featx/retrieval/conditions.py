"""Conditions on a catalogue's columns, as people write them: `category = 'mugs' and price < 20 and stock > 0`.

    condition  = part {("and" | "or") part}, "not" condition, "(" condition ")"
    part       = value ("=" | "!=" | "<" | "<=" | ">" | ">=") value
               | value ["not"] "in" "(" value {"," value} ")"
               | value ["not"] ("like" | "contains") text
               | value "~" text
               | value "is" ["not"] "null"
    value      = column | "column with spaces" | 'text' | number | true | false

An item without a value matches no comparison, and no `not` of one; only `is null` finds it. `like` knows `%` (anything)
and `_` (one character); `like` and `contains` do not mind capitals. `~` finds words: each of them, accents and capitals
aside, also where a reader took a letter for another. Nothing is ever evaluated as code.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError, did_you_mean
from featx.retrieval.condition_tree import (
    SIGNS,
    Among,
    And,
    Column,
    Columns,
    Comparison,
    HasWords,
    IsNull,
    Literal,
    Match,
    Node,
    Not,
    Operand,
    Or,
    Value,
    column_names,
    compared_literals,
    evaluate,
    to_sql,
)
from featx.text.plain import words_of

DEEPEST = 100
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<text>'(?:[^']|'')*')
    |(?P<column>"(?:[^"]|"")*"|`[^`]*`)
    |(?P<sign><=|>=|<>|!=|==|[=<>(),~])
    |(?P<word>[^\W\d][\w.-]*)
    )""",
    re.VERBOSE,
)
# Other ways to write a sign.
_SAME = {"==": "=", "<>": "!="}
_WORDS = {"and", "or", "not", "in", "like", "contains", "is", "null", "true", "false"}


@dataclass(frozen=True)
class Condition:
    """A condition that was read: its text, and the tree that `condition_tree` evaluates or writes as SQL."""

    text: str
    tree: Node

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it needs."""
        return column_names(self.tree)

    def rows(self, columns: Columns, n: int) -> NDArray[np.bool_]:
        """For each of n rows, whether it meets the condition."""
        for column, literal in compared_literals(self.tree):
            _require_comparable(self.text, column.name, columns[column.name], literal)
        try:
            return evaluate(self.tree, columns, n)
        except TypeError as error:
            # A store that somebody else wrote may hold lists.
            what = f"a column has values that cannot be compared like this ({error})"
            raise _wrong(self.text, 0, what, "leave that column out") from error

    def to_sql(self) -> tuple[str, list[Value]]:
        """The condition for a database, and its parameters."""
        return to_sql(self.tree)


def read_condition(text: str, known: Collection[str], aliases: Mapping[str, str] | None = None) -> Condition:
    """Read a condition over known columns; `aliases` are other names for some of them."""
    return _Reader(text, known, aliases or {}).whole()


def _require_comparable(text: str, name: str, values: Sequence[Value], literal: Literal) -> None:
    """Refuse a comparison of words with numbers: it could never hold, and would answer with nothing."""
    kinds = {type(value) for value in values if value is not None}
    words, number = kinds == {str}, kinds and kinds <= {int, float}
    if (words and not isinstance(literal.value, str)) or (number and isinstance(literal.value, str)):
        holds, wanted = ("text", "quote it: '…'") if words else ("numbers", "leave the quotes away")
        what = f"`{name}` contains {holds}, but is compared with {_shown(literal.value)}"
        raise _wrong(text, literal.position, what, wanted)


def _shown(literal: Value) -> str:
    return f"'{literal}'" if isinstance(literal, str) else f"{literal}"


def _wrong(text: str, position: int, what: str, hint: str, code: str = "bad-flag") -> FeatxError:
    flat = text.replace("\n", " ").replace("\t", " ").replace("\r", " ")
    start, end = max(0, position - 40), position + 30
    lead = "…" if start else ""
    pointer = " " * (len(lead) + position - start) + "^"
    return FeatxError(
        code,
        f"cannot read the condition at character {position + 1}: {what}\n{lead}{flat[start:end]}\n{pointer}",
        hint,
        {"position": position + 1},
    )


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


class _Reader:
    """One pass over the tokens, a method for each rule of the language."""

    def __init__(self, text: str, known: Collection[str], aliases: Mapping[str, str]) -> None:
        self.text, self.known, self.aliases = text, known, aliases
        self.tokens = self._split()
        self.i = 0
        self.depth = 0

    def whole(self) -> Condition:
        tree = self._either()
        if self._now.kind != "end":
            raise self._unexpected("`and` or `or`")
        return Condition(self.text, tree)

    def _split(self) -> list[_Token]:
        tokens, position = [], 0
        end = len(self.text.rstrip())
        while position < end:
            match = _TOKEN.match(self.text, position)
            if match is None:
                position += len(self.text[position:]) - len(self.text[position:].lstrip())
                letter = self.text[position]
                if letter in "'\"`":
                    raise _wrong(self.text, position, "a quote is opened and never closed", f"close it with {letter}")
                raise _wrong(
                    self.text, position, f"`{letter}` means nothing here", "see `docs/similar.md` for what does"
                )
            kind = str(match.lastgroup)
            token = match.group(kind)
            if kind == "word" and token.lower() in _WORDS:
                kind, token = "key", token.lower()
            tokens.append(_Token(kind, token, match.start(str(match.lastgroup))))
            position = match.end()
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

    def _unexpected(self, wanted: str, instead: str = "") -> FeatxError:
        token = self._now
        actual = "it ends" if token.kind == "end" else f"`{token.text}` is there"
        return _wrong(
            self.text,
            token.position,
            f"{wanted} is wanted, {actual}",
            f"write {instead}" if instead else "for example: --where \"price < 20 and label = 'mugs'\"",
        )

    def _either(self) -> Node:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> Node:
        parts = [self._negated()]
        while self._take("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negated(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _wrong(self.text, self._now.position, "it is nested too deeply", "write it with fewer parentheses")
        try:
            if self._take("not"):
                return Not(self._negated())
            if self._take("("):
                inner = self._either()
                self._need(")")
                return inner
            return self._part()
        finally:
            self.depth -= 1

    def _part(self) -> Node:
        left = self._operand()
        sign = self._take(*SIGNS, *_SAME)
        if sign is not None:
            return Comparison(_SAME.get(sign, sign), left, self._operand())
        if self._take("~"):
            return self._words(left)
        if self._take("is"):
            negated = self._take("not") is not None
            self._need("null")
            return Not(IsNull(left)) if negated else IsNull(left)
        negated = self._take("not") is not None
        kind = self._take("in", "like", "contains")
        if kind is None:
            raise self._unexpected("a comparison")
        node = Among(left, self._choices()) if kind == "in" else Match(left, self._quoted(), kind == "contains")
        return Not(node) if negated else node

    def _choices(self) -> tuple[Operand, ...]:
        self._need("(")
        choices = [self._operand()]
        while self._take(","):
            choices.append(self._operand())
        self._need(")")
        return tuple(choices)

    def _quoted(self) -> str:
        token = self._now
        if token.kind != "text":
            raise self._unexpected("a text in quotes", f"'{token.text}'" if token.kind == "word" else "")
        self.i += 1
        return token.text[1:-1].replace("''", "'")

    def _words(self, operand: Operand) -> Node:
        token = self._now
        if token.kind == "column":
            # After `~` stands no column, so either quotes mean a text.
            self.i += 1
            text = token.text[1:-1].replace('""', '"')
        else:
            text = self._quoted()
        if not words_of(text):
            raise _wrong(self.text, token.position, "there is no word to look for", "write letters or digits after `~`")
        return HasWords(operand, text)

    def _operand(self) -> Operand:
        token = self._now
        literal: str | int | float | bool
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
            raise _wrong(self.text, token.position, "`null` cannot be compared", "write `is null` or `is not null`")
        else:
            raise self._unexpected("a column, a 'text' or a number")
        self.i += 1
        return Literal(literal, token.position)

    def _column(self, token: _Token) -> Column:
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
            raise _wrong(self.text, token.position, what, near, "bad-column")
        return Column(name, token.position)
