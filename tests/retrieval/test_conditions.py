"""Conditions on columns: what they mean, and what is said when they cannot be read."""

from __future__ import annotations

import math
import operator
import re
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.errors import FeatxError
from featx.retrieval.condition_tree import (
    Among,
    And,
    Column,
    Comparison,
    IsNull,
    Literal,
    Match,
    Node,
    Not,
    Operand,
    Or,
    to_sql,
)
from featx.retrieval.conditions import Condition, read_condition

COLUMNS = {
    "label": ["mugs", "boots", None, "Mugs & cups", "mugs"],
    "price": [12.5, 80.0, 3.0, None, 20.0],
    "stock": [0, 4, 7, 1, None],
    "on sale": [True, False, None, True, False],
    "note": ["it's new", "50%", "", None, "a_b"],
}


def meeting(text: str) -> list[int]:
    met = read_condition(text, COLUMNS, {"category": "label"}).rows(COLUMNS, 5)
    return [i for i, meets in enumerate(met) if meets]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("label = 'mugs'", [0, 4]),
        ("category = 'mugs' and price < 20", [0]),
        ("category == 'mugs' AND price <= 20", [0, 4]),
        ("label != 'mugs'", [1, 3]),
        ("label <> 'mugs'", [1, 3]),
        ("price > 3 and price < 80", [0, 4]),
        ("3 < price", [0, 1, 4]),
        ("stock > price", [2]),
        ("label in ('boots', 'mugs')", [0, 1, 4]),
        ("label not in ('boots', 'mugs')", [3]),
        ("label like 'MUG%'", [0, 3, 4]),
        ("label contains 'cups'", [3]),
        ("note like 'a_b'", [4]),
        ("note contains '50%'", [1]),
        ("note = 'it''s new'", [0]),
        ("price is null", [3]),
        ("price is not null and stock is not null", [0, 1, 2]),
        ("not price < 20", [1, 4]),
        ("not (label = 'mugs' or price > 50)", []),
        ("label = 'boots' or label = 'mugs' and price < 15", [0, 1]),
        ("(label = 'boots' or label = 'mugs') and price < 15", [0]),
        ('"on sale" = true', [0, 3]),
        ("`on sale` = false", [1, 4]),
        ("price = 1.25e1", [0]),
        ("price > -1", [0, 1, 2, 4]),
        ("1 < 2", [0, 1, 2, 3, 4]),
    ],
)
def test_a_condition_chooses_the_rows_it_says(text, rows):
    assert meeting(text) == rows


@pytest.mark.parametrize(
    ("text", "code", "position", "message"),
    [
        ("prise < 20", "bad-column", 1, "did you mean `price`"),
        ("label = mugs", "bad-column", 9, "quotes: 'mugs'"),
        ("price < ", "bad-flag", 8, "it ends"),
        ("price < 20 and", "bad-flag", 15, "it ends"),
        ("price < 20 stock > 1", "bad-flag", 12, "`and` or `or`"),
        ("(price < 20", "bad-flag", 12, "`)`"),
        ("label = 'mugs", "bad-flag", 9, "never closed"),
        ("price ^ 3", "bad-flag", 7, "`^`"),
        ("price ~ 3", "bad-flag", 9, "a text in quotes"),
        ("price", "bad-flag", 6, "a comparison"),
        ("price = null", "bad-flag", 9, "is null"),
        ("price < '20'", "bad-flag", 9, "contains numbers"),
        ("label = 3", "bad-flag", 9, "contains text"),
        ("label ~ mugs", "bad-flag", 9, "write 'mugs'"),
        ("label like 3", "bad-flag", 12, "a text in quotes"),
        ("__import__('os').system('x')", "bad-flag", 17, "`.` means nothing"),
        ("", "bad-flag", 1, "it ends"),
        ("not " * 3000 + "1 = 1", "bad-flag", 401, "nested"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text, code, position, message):
    with pytest.raises(FeatxError) as caught:
        meeting(text)
    assert caught.value.code == code
    assert caught.value.details["position"] == position
    assert message in caught.value.message + caught.value.hint


def test_the_pointer_stands_under_the_mistake():
    with pytest.raises(FeatxError) as caught:
        meeting("label = 'mugs' and stock > 2 and label contains 'a very long text of some length' and prise < 2")
    _, shown, pointer = caught.value.message.split("\n")
    assert shown[pointer.index("^") :].startswith("prise")


numbers = st.one_of(st.none(), st.integers(-3, 3), st.floats(-3, 3, allow_nan=False))
signs = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@given(st.lists(st.tuples(numbers, numbers), max_size=12), st.sampled_from(list(signs)), st.integers(-3, 3))
def test_comparisons_are_those_of_python_and_nothing_matches_a_missing_value(rows, sign, limit):
    columns = {"a": [row[0] for row in rows], "b": [row[1] for row in rows]}
    met = read_condition(f"a {sign} {limit} and not b {sign} a", columns).rows(columns, len(rows))
    meant = [a is not None and b is not None and signs[sign](a, limit) and not signs[sign](b, a) for a, b in rows]
    assert met.tolist() == meant


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text):
    try:
        read_condition(text, COLUMNS).rows(COLUMNS, 5)
    except FeatxError as error:
        assert error.code in ("bad-flag", "bad-column")


# --- a tree of conditions, evaluated three ways ----------------------------------------------------------------------

letters = st.text("abAB'% _\\\\", max_size=3)
whole = st.integers(-2, 3)
KINDS = {"name": letters, "title": letters, "price": st.one_of(whole, st.sampled_from([0.5, -2.0])), "stock": whole,
         "sale": st.booleans()}  # fmt: skip
MIXED = st.one_of(letters, whole, st.booleans(), st.sampled_from([0.5, math.nan, 2**53, 2**53 + 1]))


def tables(kinds):
    rows = st.lists(st.tuples(*(st.none() | kind for kind in kinds.values())), max_size=8)
    return rows.map(lambda rows: {name: [row[i] for row in rows] for i, name in enumerate(kinds)})


@st.composite
def parts(draw, names):
    """A condition without `and`, `or`, `not`: the operands of a comparison are of one kind."""
    name = draw(st.sampled_from(names))
    column = Column(name, 0)
    like = [other for other in names if name == "mixed" or {name, other} <= {"name", "title"} or
            {name, other} <= {"price", "stock", "sale"}]  # fmt: skip
    literals = (MIXED if name == "mixed" else KINDS[name]).filter(lambda value: value == value)
    operand = st.one_of(
        literals.map(lambda value: Literal(value, 0)), st.sampled_from(like).map(lambda n: Column(n, 0))
    )
    kind = draw(st.sampled_from(["compare", "turned", "in", "null", "match"]))
    if kind == "null":
        return IsNull(column)
    if kind == "match":
        texts = [other for other in names if other in ("name", "title", "stock", "mixed")]
        return Match(Column(draw(st.sampled_from(texts)), 0), draw(letters), draw(st.booleans()))
    if kind == "in":
        return Among(column, tuple(draw(st.lists(operand, min_size=1, max_size=3))))
    both = (column, draw(operand))
    return Comparison(draw(st.sampled_from(list(signs))), *(both if kind == "compare" else both[::-1]))


def trees(names):
    several = lambda inner: st.lists(inner, min_size=2, max_size=3).map(tuple)  # noqa: E731
    return st.recursive(
        parts(names), lambda inner: st.one_of(inner.map(Not), several(inner).map(And), several(inner).map(Or)),
        max_leaves=6,
    )  # fmt: skip


def plainly(node: Node, row: dict) -> bool | None:
    """What a condition says of one row, rule by rule."""

    def value(operand: Operand):
        return row[operand.name] if isinstance(operand, Column) else operand.value

    def compared(sign: str, left, right) -> bool | None:
        if any(side is None or side != side for side in (left, right)):
            return None
        if isinstance(left, str) != isinstance(right, str):
            return sign == "!="
        return signs[sign](left, right)

    def any_of(truth: list[bool | None]) -> bool | None:
        return True if True in truth else None if None in truth else False

    def opposite(truth: bool | None) -> bool | None:
        return None if truth is None else not truth

    match node:
        case Comparison(sign, left, right):
            return compared(sign, value(left), value(right))
        case Among(operand, choices):
            return any_of([compared("=", value(operand), value(choice)) for choice in choices])
        case IsNull(operand):
            return value(operand) is None
        case Match(operand, text, contains):
            if value(operand) is None:
                return None
            held = str(value(operand)).lower()
            if contains:
                return text.lower() in held
            pieces = {"%": ".*", "_": "."}
            pattern = "".join(pieces.get(letter, re.escape(letter)) for letter in text.lower())
            return re.fullmatch(pattern, held, re.DOTALL) is not None
        case Not(part):
            return opposite(plainly(part, row))
        case Or(several):
            return any_of([plainly(part, row) for part in several])
        case And(several):
            return opposite(any_of([opposite(plainly(part, row)) for part in several]))


def written(node: Node) -> str:
    """A condition as a person would write it, every part in parentheses."""

    def operand(value: Operand) -> str:
        if isinstance(value, Column):
            return f'"{value.name}"'
        if isinstance(value.value, str):
            return "'" + value.value.replace("'", "''") + "'"
        return str(value.value).lower()

    match node:
        case Comparison(sign, left, right):
            return f"({operand(left)} {sign} {operand(right)})"
        case Among(value, choices):
            return f"({operand(value)} in ({', '.join(map(operand, choices))}))"
        case IsNull(value):
            return f"({operand(value)} is null)"
        case Match(value, text, contains):
            return f"({operand(value)} {'contains' if contains else 'like'} {operand(Literal(text, 0))})"
        case Not(part):
            return f"(not {written(part)})"
        case And(several):
            return "(" + " and ".join(map(written, several)) + ")"
        case Or(several):
            return "(" + " or ".join(map(written, several)) + ")"


def rows_of(columns: dict) -> list[dict]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@given(tables({**KINDS, "mixed": MIXED}), trees([*KINDS, "mixed"]))
def test_columns_at_once_answer_as_the_rules_read_row_by_row(columns, tree):
    rows = rows_of(columns)
    meant = [plainly(tree, row) is True for row in rows]
    condition = Condition("", tree)
    try:
        assert condition.rows(columns, len(rows)).tolist() == meant
    except FeatxError as error:
        # A column that happens to hold one kind only is not compared with the other.
        assert "is compared with" in error.message
        return
    assert read_condition(written(tree), columns).rows(columns, len(rows)).tolist() == meant


@given(tables(KINDS), trees(list(KINDS)))
def test_a_database_answers_the_same_condition_with_the_same_rows(columns, tree):
    rows = rows_of(columns)
    database = sqlite3.connect(":memory:")
    database.execute(f"create table items ({', '.join(columns)})")
    database.executemany("insert into items values (?, ?, ?, ?, ?)", [tuple(row.values()) for row in rows])
    sql, parameters = to_sql(tree)
    rows_met = [
        row for (row,) in database.execute(f"select rowid - 1 from items where {sql} order by rowid", parameters)
    ]
    assert rows_met == [i for i, row in enumerate(rows) if plainly(tree, row) is True]


def test_no_value_and_no_column_can_leave_its_place_in_the_sql():
    columns = {'x"; drop table items; --': ["a"]}
    text = "\"x\"\"; drop table items; --\" = '''; drop table items; --' or 1 < 2"
    sql, parameters = read_condition(text, columns).to_sql()
    assert sql == '(("x""; drop table items; --" = ?) OR (1 = 1))' and parameters == ["'; drop table items; --"]
