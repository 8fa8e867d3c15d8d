"""A condition as a tree of small records: evaluated over columns with NumPy, or handed to a database as SQL.

The logic has three values, as in SQL: a comparison with a missing value is neither true nor false, and so is its `not`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.text.word_search import Words

Value = str | int | float | bool | None
Columns = Mapping[str, Sequence[Value]]

# Up to here every whole number is exact in double precision.
EXACT = 2**53
SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


# --- the records ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """The values of a column; `position` is where it stands in the text."""

    name: str
    position: int


@dataclass(frozen=True)
class Literal:
    """A value written out."""

    value: str | int | float | bool
    position: int


Operand = Column | Literal


@dataclass(frozen=True)
class Comparison:
    """`price < 20`; the sign is one of `SIGNS`."""

    sign: str
    left: Operand
    right: Operand


@dataclass(frozen=True)
class Among:
    """`label in ('mugs', 'cups')`."""

    operand: Operand
    choices: tuple[Operand, ...]


@dataclass(frozen=True)
class Match:
    """`title like '%mug_'`, or `contains`; neither minds capitals."""

    operand: Operand
    text: str
    contains: bool


@dataclass(frozen=True)
class HasWords:
    """`text ~ 'oat milk'`: every word, whatever its accents and capitals, and misread ones too."""

    operand: Operand
    text: str


@dataclass(frozen=True)
class IsNull:
    """`price is null`."""

    operand: Operand


@dataclass(frozen=True)
class Not:
    """`not` a condition."""

    part: Node


@dataclass(frozen=True)
class And:
    """All of several conditions."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """Any of several conditions."""

    parts: tuple[Node, ...]


Node = Comparison | Among | Match | HasWords | IsNull | Not | And | Or


def operands(node: Node) -> Iterator[Operand]:
    """Every operand of a condition, in the order of the text."""
    match node:
        case Comparison(_, left, right):
            yield from (left, right)
        case Among(operand, choices):
            yield from (operand, *choices)
        case Match(operand) | HasWords(operand) | IsNull(operand):
            yield operand
        case Not(part):
            yield from operands(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from operands(part)


def column_names(node: Node) -> tuple[str, ...]:
    """The columns a condition needs, each once, in the order of the text."""
    return tuple(dict.fromkeys(operand.name for operand in operands(node) if isinstance(operand, Column)))


def compared_literals(node: Node) -> Iterator[tuple[Column, Literal]]:
    """Every column that is compared with a literal, in the order of the text."""
    match node:
        case Comparison(_, left, right):
            pairs = [(left, right), (right, left)]
        case Among(operand, choices):
            pairs = [pair for choice in choices for pair in ((operand, choice), (choice, operand))]
        case Not(part):
            yield from compared_literals(part)
            return
        case And(parts) | Or(parts):
            for part in parts:
                yield from compared_literals(part)
            return
        case _:
            return
    for first, second in pairs:
        if isinstance(first, Column) and isinstance(second, Literal):
            yield first, second


# --- evaluated with NumPy ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Truth:
    """For each row whether a condition holds, and whether it does not; neither where a value is missing."""

    true: NDArray[np.bool_]
    false: NDArray[np.bool_]


@dataclass(frozen=True)
class _Values:
    """The values of an operand: which are null, which cannot be compared, which are text; one for all of a literal."""

    items: NDArray[Any]
    null: NDArray[np.bool_]
    missing: NDArray[np.bool_]
    text: NDArray[np.bool_]

    @classmethod
    def of(cls, values: Sequence[Value]) -> _Values:
        n, kinds = len(values), set(map(type, values))
        if kinds <= {int, float, bool, type(None)} and (numbers := _exact_numbers(values)) is not None:
            null = _flags((value is None for value in values), n) if type(None) in kinds else np.zeros(n, dtype=bool)
            # NaN equals nothing, not even itself.
            return cls(numbers, null, np.isnan(numbers), np.zeros(n, dtype=bool))
        null = _flags((value is None for value in values), n)
        missing = null | _flags((isinstance(value, float) and isnan(value) for value in values), n)
        text = _flags((isinstance(value, str) for value in values), n)
        return cls(np.fromiter(values, object, n), null, missing, text)

    @classmethod
    def constant(cls, value: Value) -> _Values:
        single = cls.of([value])
        return cls(single.items[0:1].reshape(()), single.null[0], single.missing[0], single.text[0])


def _flags(answers: Iterable[bool], n: int) -> NDArray[np.bool_]:
    return np.fromiter(answers, bool, n)


def _exact_numbers(values: Sequence[Value]) -> NDArray[np.float64] | None:
    """Numbers in double precision, NaN for missing ones; None if a number would change."""
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    return None if (np.abs(numbers) >= EXACT).any() else numbers


def evaluate(node: Node, columns: Columns, n: int) -> NDArray[np.bool_]:
    """For each of n rows, whether it meets a condition; TypeError where values cannot be compared."""
    return _Evaluation(columns, n).truth(node).true


class _Evaluation:
    """One pass over a tree; each column is prepared once."""

    def __init__(self, columns: Columns, n: int) -> None:
        self.columns, self.n = columns, n
        self._prepared: dict[str, _Values] = {}

    def truth(self, node: Node) -> _Truth:
        match node:
            case Comparison(sign, left, right):
                return self._compare(sign, left, right)
            case Among(operand, choices):
                return self._any([self._compare("=", operand, choice) for choice in choices])
            case Match():
                look = pattern(node)
                return self._search(node.operand, lambda text: look(text) is not None)
            case HasWords(operand, text):
                return self._search(operand, Words(text).stand_in)
            case IsNull(operand):
                null = np.broadcast_to(self._values(operand).null, self.n)
                return _Truth(null, ~null)
            case Not(part):
                inner = self.truth(part)
                return _Truth(inner.false, inner.true)
            case Or(parts):
                return self._any([self.truth(part) for part in parts])
            case And(parts):
                inner = self._any([_Truth(part.false, part.true) for part in map(self.truth, parts)])
                return _Truth(inner.false, inner.true)

    def _any(self, parts: list[_Truth]) -> _Truth:
        return _Truth(
            np.logical_or.reduce([part.true for part in parts]), np.logical_and.reduce([part.false for part in parts])
        )

    def _values(self, operand: Operand) -> _Values:
        if isinstance(operand, Literal):
            return _Values.constant(operand.value)
        if operand.name not in self._prepared:
            self._prepared[operand.name] = _Values.of(self.columns[operand.name])
        return self._prepared[operand.name]

    def _compare(self, sign: str, left: Operand, right: Operand) -> _Truth:
        left_values, right_values = self._values(left), self._values(right)
        known = np.broadcast_to(~(left_values.missing | right_values.missing), self.n)
        # Words and numbers in one column are different, and neither is the smaller.
        mixed = np.broadcast_to(left_values.text != right_values.text, self.n)
        true = known & mixed if sign == "!=" else np.zeros(self.n, dtype=bool)
        rows = np.flatnonzero(known & ~mixed)
        items = [side.items if side.items.ndim == 0 else side.items[rows] for side in (left_values, right_values)]
        true[rows] = SIGNS[sign](*items)
        return _Truth(true, known & ~true)

    def _search(self, operand: Operand, holds: Callable[[str], bool]) -> _Truth:
        values = self._values(operand)
        given = [operand.value] if isinstance(operand, Literal) else self.columns[operand.name]
        texts = ["" if value is None else str(value) for value in given]
        hits = {text: holds(text) for text in set(texts)}
        known = np.broadcast_to(~values.null, self.n)
        hit = np.broadcast_to(_flags((hits[text] for text in texts), len(texts)), self.n)
        return _Truth(known & hit, known & ~hit)


def pattern(node: Match) -> Callable[[str], re.Match[str] | None]:
    """The search that a text must answer."""
    if node.contains:
        return re.compile(re.escape(node.text), re.IGNORECASE).search
    pieces = [".*" if c == "%" else "." if c == "_" else re.escape(c) for c in re.sub("%+", "%", node.text)]
    return re.compile("".join(pieces) + r"\Z", re.IGNORECASE | re.DOTALL).match


# --- as SQL -----------------------------------------------------------------------------------------------------------


# The function for `~` that a database has to be given: `connection.create_function(HAS_WORDS, 2, has_words)`.
HAS_WORDS = "featx_has_words"


def has_words(text: str | None, wanted: str) -> bool | None:
    """Whether a text has every wanted word, or one like it; None where there is no text."""
    return None if text is None else _words(wanted).stand_in(text)


_words = lru_cache(maxsize=64)(Words)


def to_sql(node: Node) -> tuple[str, list[Value]]:
    """The same condition as SQL, every value a parameter; for tables whose columns hold one type each, as SQL's do.

    A condition with `~` calls `HAS_WORDS`, the function `has_words` here.
    """
    parameters: list[Value] = []
    return _sql(node, parameters), parameters


def _sql(node: Node, parameters: list[Value]) -> str:
    if not column_names(node):
        # What depends on no row is known already, and databases differ about words that are compared with numbers.
        return "(1 = 1)" if evaluate(node, {}, 1)[0] else "(1 = 0)"
    match node:
        case Comparison(sign, left, right):
            first = _operand_sql(left, parameters)
            return f"({first} {'<>' if sign == '!=' else sign} {_operand_sql(right, parameters)})"
        case Among(Column() as column, choices) if all(isinstance(choice, Literal) for choice in choices):
            first = _operand_sql(column, parameters)
            return f"({first} IN ({', '.join(_operand_sql(choice, parameters) for choice in choices)}))"
        case Among(operand, choices):
            return _sql(Or(tuple(Comparison("=", operand, choice) for choice in choices)), parameters)
        case Match(operand, text, contains):
            first = _operand_sql(operand, parameters)
            escaped = text.replace("\\", "\\\\")
            if contains:
                escaped = "%" + escaped.replace("%", "\\%").replace("_", "\\_") + "%"
            parameters.append(escaped)
            return f"(LOWER(CAST({first} AS TEXT)) LIKE LOWER(?) ESCAPE '\\')"
        case HasWords(operand, text):
            first = _operand_sql(operand, parameters)
            parameters.append(text)
            return f"({HAS_WORDS}(CAST({first} AS TEXT), ?))"
        case IsNull(operand):
            return f"({_operand_sql(operand, parameters)} IS NULL)"
        case Not(part):
            return f"(NOT {_sql(part, parameters)})"
        case And(parts) | Or(parts):
            word = " AND " if isinstance(node, And) else " OR "
            return f"({word.join(_sql(part, parameters) for part in parts)})"


def _operand_sql(operand: Operand, parameters: list[Value]) -> str:
    if isinstance(operand, Column):
        return '"' + operand.name.replace('"', '""') + '"'
    parameters.append(operand.value)
    return "?"
