"""Percents, sizes, times and counts as people read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.views.quantities import clock, duration, percent, pluralise, size
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "40 ms"), (0.41, "0.4 s"), (42, "42 s"), (204, "3 min 24 s"), (7260, "2 h 1 min")]
)
def test_time_spent_is_told_as_people_tell_it(seconds, words):
    assert duration(seconds) == words


def test_time_left_sizes_counts_and_percents():
    assert (clock(73), clock(3700)) == ("1:13", "1:01:40")
    assert (size(97_000_000), size(1_500), size(12)) == ("97 MB", "1.5 kB", "12 B")
    assert (pluralise(1, "image"), pluralise(1200, "category", "categories")) == ("1 image", "1,200 categories")
    assert (percent(0.8812), percent(-0.05, 0)) == ("88.1%", "−5%")


@given(st.floats(0, 1))
def test_a_share_is_shown_alike_whether_it_was_computed_or_read_from_a_card(share):
    for digits in (0, 1):
        assert percent(share, digits) == percent(round(share, 4), digits)


def test_halves_go_up_and_what_is_no_number_is_no_crash():
    assert (percent(0.79748), percent(0.7975), percent(0.125, 0)) == ("79.8%", "79.8%", "13%")
    assert percent(float("nan")) == "nan%"


def test_no_other_place_rounds_a_share():
    other = re.compile(r":[<>]?\d*\.\d%")
    assert [str(path) for path in (ROOT / "featx").rglob("*.py") if other.search(path.read_text("utf-8"))] == []
