"""Percents, sizes, times and counts as people read them."""

from __future__ import annotations

import pytest

from featx.views.quantities import clock, duration, percent, pluralise, size


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
