"""What a column is: text, a number, or a choice among a few; and the numbers in its cells."""

from __future__ import annotations

import numpy as np
import pytest

from featx.classifiers.columns.cells import is_missing, number_in
from featx.classifiers.columns.values import Kind, kind_of


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("12,90 kr", 12.9), ("1.299,00 €", 1299.0), ("$1,299.00", 1299.0), ("1.299.000", 1299000.0), ("-5", -5.0),
        (7, 7.0), (True, 1.0), ("cheap", None), ("", None), (float("nan"), None), (float("inf"), None),
    ],
)  # fmt: skip
def test_prices_are_numbers_however_they_are_written(cell, number):
    assert number_in(cell) == number


def test_a_cell_without_a_word_is_missing():
    assert all(map(is_missing, [None, "", "  ", float("nan")]))
    assert not any(map(is_missing, [0, False, "0", "none"]))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5, None, 3] * 5, Kind.NUMBER),
        (["9,90 kr", "12,00 kr", None, "3,50 kr"] * 5, Kind.NUMBER),
        (["Arla", "Oatly", "Arla", None] * 5, Kind.CHOICE),
        ([f"oat drink {i}" for i in range(20)], Kind.TEXT),
        (["500 ml", "1 l", "2 pieces", "70 cl"] * 5, Kind.CHOICE),
        ([None] * 20, Kind.TEXT),
    ],
)
def test_the_kind_of_a_column_follows_from_its_values(values, kind):
    assert kind_of(values, np.arange(20)) is kind


def test_a_title_that_all_shots_of_a_product_share_is_a_text():
    titles = [f"Title of {i // 10}" for i in range(20)]
    assert kind_of(titles, np.arange(20) // 10) is Kind.TEXT
