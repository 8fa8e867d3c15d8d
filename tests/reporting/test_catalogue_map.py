"""The figure of the map: how often the nearest photo is of the same category."""

from __future__ import annotations

import numpy as np
import pytest

from featx.reporting.catalogue_map import UNLABELLED, share_of_own_category


def places(*rows: tuple[int, int]) -> np.ndarray:
    return np.array(rows, dtype="<u2")


def test_a_photo_counts_when_its_nearest_is_of_its_category():
    row = places((0, 0), (10, 0), (25, 0), (45, 0))
    assert share_of_own_category(row, np.array([0, 0, 1, 1])) == pytest.approx(3 / 4)


def test_photos_that_are_equally_near_share_the_count():
    # The middle one has a neighbour on either side, one of its own category; the outer two have one neighbour each.
    row = places((0, 0), (10, 0), (20, 0))
    assert share_of_own_category(row, np.array([0, 0, 1])) == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_photos_in_one_place_are_the_nearest_of_each_other():
    row = places((5, 5), (5, 5), (5, 5), (60_000, 60_000))
    assert share_of_own_category(row, np.array([0, 0, 1, 0])) == pytest.approx((1 / 2 + 1 / 2 + 0 + 2 / 3) / 4)


def test_photos_without_a_category_are_neither_counted_nor_neighbours():
    row = places((0, 0), (1, 0), (10, 0))
    assert share_of_own_category(row, np.array([0, UNLABELLED, 0])) == 1
    assert share_of_own_category(row[:2], np.array([0, UNLABELLED])) is None


def test_the_order_of_the_rows_leaves_the_figure_equal():
    random = np.random.default_rng(3)
    # A coarse grid: most photos share their place, and the others have many ties.
    row = random.integers(0, 12, (90, 2)).astype("<u2")
    category = random.integers(0, 4, 90)
    figure = share_of_own_category(row, category)
    for _ in range(20):
        order = random.permutation(90)
        assert share_of_own_category(row[order], category[order]) == figure


def test_the_figure_is_what_every_pair_of_photos_gives():
    random = np.random.default_rng(5)
    row, category = random.integers(0, 200, (150, 2)).astype("<u2"), random.integers(0, 3, 150)
    distances = ((row[:, None].astype(int) - row[None]) ** 2).sum(axis=2).astype(float)
    np.fill_diagonal(distances, np.inf)
    nearest = distances == distances.min(axis=1, keepdims=True)
    same = category[:, None] == category[None]
    expected = np.mean((nearest & same).sum(axis=1) / nearest.sum(axis=1))
    assert share_of_own_category(row, category) == pytest.approx(expected, abs=1e-12)
