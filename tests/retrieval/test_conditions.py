"""Conditions on columns: what they mean, and what is said when they cannot be read."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.errors import FeatxError
from featx.retrieval.conditions import read_condition

COLUMNS = {
    "label": ["mugs", "boots", None, "Mugs & cups", "mugs"],
    "price": [12.5, 80.0, 3.0, None, 20.0],
    "stock": [0, 4, 7, 1, None],
    "on sale": [True, False, None, True, False],
    "note": ["it's new", "50%", "", None, "a_b"],
}


def meeting(text: str) -> list[int]:
    found = read_condition(text, COLUMNS, {"category": "label"}).rows(COLUMNS, 5)
    return [i for i, one in enumerate(found) if one]


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
    ("text", "code", "position", "said"),
    [
        ("prise < 20", "bad-column", 1, "did you mean `price`"),
        ("label = mugs", "bad-column", 9, "quotes: 'mugs'"),
        ("price < ", "bad-flag", 8, "it ends"),
        ("price < 20 and", "bad-flag", 15, "it ends"),
        ("price < 20 stock > 1", "bad-flag", 12, "`and` or `or`"),
        ("(price < 20", "bad-flag", 12, "`)`"),
        ("label = 'mugs", "bad-flag", 9, "never closed"),
        ("price ~ 3", "bad-flag", 7, "`~`"),
        ("price", "bad-flag", 6, "a comparison"),
        ("price = null", "bad-flag", 9, "is null"),
        ("price < '20'", "bad-flag", 9, "holds numbers"),
        ("label = 3", "bad-flag", 9, "holds text"),
        ("label like 3", "bad-flag", 12, "a text in quotes"),
        ("__import__('os').system('x')", "bad-flag", 17, "`.` means nothing"),
        ("", "bad-flag", 1, "it ends"),
        ("not " * 3000 + "1 = 1", "bad-flag", 401, "nested"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text, code, position, said):
    with pytest.raises(FeatxError) as caught:
        meeting(text)
    assert caught.value.code == code
    assert caught.value.details["position"] == position
    assert said in caught.value.message + caught.value.hint


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
    found = read_condition(f"a {sign} {limit} and not b {sign} a", columns).rows(columns, len(rows))
    meant = [a is not None and b is not None and signs[sign](a, limit) and not signs[sign](b, a) for a, b in rows]
    assert found.tolist() == meant


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text):
    try:
        read_condition(text, COLUMNS).rows(COLUMNS, 5)
    except FeatxError as error:
        assert error.code in ("bad-flag", "bad-column")
