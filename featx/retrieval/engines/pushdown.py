"""`--where` for engines: the columns that a search index keeps beside its vectors, and conditions on them as SQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal as OneOf
from typing import cast, get_args

from featx.errors import FeatxError
from featx.retrieval.condition_tree import (
    EXACT,
    Among,
    And,
    Column,
    Columns,
    Comparison,
    IsNull,
    Literal,
    Node,
    Not,
    Operand,
    Or,
    Value,
    to_sql,
)

Kind = OneOf["text", "whole", "number", "flag"]
# Long, and seldom in a condition: such conditions are met by filtering afterwards.
LEFT_OUT = ("path", "digest")
_SIMPLE = re.compile(r"[a-z_][a-z0-9_]{0,40}")
OPPOSITES = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
RESERVED = frozenset({"key", "vector", "stamp"})


@dataclass(frozen=True)
class KeptColumn:
    """A column of the catalogue in a search index: its name there, and the one kind of its values."""

    name: str
    alias: str
    kind: Kind

    @classmethod
    def of_record(cls, record: Sequence[str]) -> KeptColumn:
        """A column as it was written down."""
        name, alias, kind = record
        if kind not in get_args(Kind) or not _SIMPLE.fullmatch(alias):
            raise ValueError("not a column of an index")
        return cls(name, alias, cast(Kind, kind))


def kept_columns(columns: Columns) -> list[KeptColumn]:
    """The columns that an engine can compare as featx does: those with values of one kind."""
    kept, taken = [], set(RESERVED)
    for number, (name, values) in enumerate(columns.items()):
        kind = None if name in LEFT_OUT else _kind(values)
        if kind is None:
            continue
        alias = name if _SIMPLE.fullmatch(name) and name not in taken else f"column_{number}"
        taken.add(alias)
        kept.append(KeptColumn(name, alias, kind))
    return kept


def _kind(values: Sequence[Value]) -> Kind | None:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {str}:
        return "text" if all(value is None or _writable(str(value)) for value in values) else None
    if kinds == {bool}:
        return "flag"
    if kinds and kinds <= {int, float} and all(value is None or _plain_number(value) for value in values):
        return "whole" if kinds == {int} else "number"
    return None


def _plain_number(value: Value) -> bool:
    """Whether databases keep and compare a number as Python does."""
    if isinstance(value, str | bool) or value is None:
        return False
    return isfinite(value) if isinstance(value, float) else abs(value) < EXACT


def _writable(text: str) -> bool:
    """Whether every database takes a text: names of files may be no Unicode."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text))


def understood(node: Node, columns: Mapping[str, KeptColumn]) -> Node | None:
    """As much of a condition as engines decide exactly as featx does."""
    return decided_by(node, lambda part: _decided(part, columns))


def decided_by(node: Node, decides: Callable[[Node], bool]) -> Node | None:
    """As much of a condition as can be decided: whole, or some of the parts that all must hold."""
    if isinstance(node, And):
        parts = [part for part in (decided_by(part, decides) for part in node.parts) if part is not None]
        return And(tuple(parts)) if len(parts) > 1 else parts[0] if parts else None
    if isinstance(node, Or):
        return node if all(decided_by(part, decides) == part for part in node.parts) else None
    return node if decides(node) else None


def without_not(node: Node) -> Node:
    """The same condition, every `not` moved to the leaves: the answers stay, also where values are missing."""
    match node:
        case And(parts):
            return And(tuple(without_not(part) for part in parts))
        case Or(parts):
            return Or(tuple(without_not(part) for part in parts))
        case Not(part):
            return _negated(part)
    return node


def _negated(node: Node) -> Node:
    match node:
        case Comparison(sign, left, right):
            return Comparison(OPPOSITES[sign], left, right)
        case Among(operand, choices):
            return And(tuple(Comparison("!=", operand, choice) for choice in choices))
        case Not(part):
            return without_not(part)
        case And(parts):
            return Or(tuple(_negated(part) for part in parts))
        case Or(parts):
            return And(tuple(_negated(part) for part in parts))
    return Not(node)


def _decided(node: Node, columns: Mapping[str, KeptColumn]) -> bool:
    match node:
        case Comparison(sign, left, right):
            return _comparable(sign, left, right, columns)
        case Among(Column() as column, choices):
            return all(_comparable("=", column, choice, columns) for choice in choices)
        case IsNull(Column(name)):
            return name in columns
        case Not(part):
            return _decided(part, columns)
        case And(parts) | Or(parts):
            return all(_decided(part, columns) for part in parts)
    return False


def _comparable(sign: str, left: Operand, right: Operand, columns: Mapping[str, KeptColumn]) -> bool:
    """Whether this is a column beside a literal of its own kind."""
    if isinstance(left, Literal) and isinstance(right, Column):
        left, right = right, left
    if not (isinstance(left, Column) and isinstance(right, Literal) and left.name in columns):
        return False
    value = right.value
    match columns[left.name].kind:
        case "text":
            return isinstance(value, str) and _writable(value)
        case "flag":
            return isinstance(value, bool) and sign in ("=", "!=")
        case _:
            return _plain_number(value)


def sql_of(node: Node, columns: Mapping[str, KeptColumn], mark: str) -> tuple[str, list[Value]]:
    """A condition that is understood as SQL over the columns of an index, with a mark for each parameter."""
    text, parameters = to_sql(_renamed(node, columns))
    return text.replace("?", mark), parameters


def sql_with_values(node: Node, columns: Mapping[str, KeptColumn]) -> str:
    """The same, every value written out, for engines without parameters."""
    text, parameters = to_sql(_renamed(node, columns))
    first, *rest = text.replace('"', "").split("?")
    return first + "".join(written(value) + part for value, part in zip(parameters, rest, strict=True))


def written(value: Value) -> str:
    """A value as SQL writes it."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if value is None:
        raise FeatxError("bad-flag", "`null` cannot be compared", "write `is null`")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _renamed(node: Node, columns: Mapping[str, KeptColumn]) -> Node:
    def operand(given: Operand) -> Operand:
        return Column(columns[given.name].alias, given.position) if isinstance(given, Column) else given

    match node:
        case Comparison(sign, left, right):
            return Comparison(sign, operand(left), operand(right))
        case Among(given, choices):
            return Among(operand(given), tuple(operand(choice) for choice in choices))
        case IsNull(given):
            return IsNull(operand(given))
        case Not(part):
            return Not(_renamed(part, columns))
        case And(parts):
            return And(tuple(_renamed(part, columns) for part in parts))
        case Or(parts):
            return Or(tuple(_renamed(part, columns) for part in parts))
    raise TypeError(f"{type(node).__name__} is left to featx")
