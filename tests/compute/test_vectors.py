"""Directions, cosines and the nearest rows: the same answers as the plain definition, whatever the block."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featx.compute import vectors
from featx.compute.vectors import HIDDEN, max_cosines, nearest, pairs_above, top_k, unit_rows


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks, so small that every answer crosses several."""
    for name, value in (
        ("BLOCK", 7),
        ("AT_ONCE", 7),
        ("COSINES", 100),
        ("QUERIES", 3),
        ("TILE", 5),
        ("WIDE", 8),
        ("PAIRS", 20),
    ):
        monkeypatch.setattr(vectors, name, value)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_every_row_with_a_direction_has_length_one_and_every_other_is_zero(kind, small_blocks):
    rows = np.random.default_rng(0).normal(size=(30, 6)).astype(kind)
    rows[3], rows[4, 2], rows[5, 1] = 0, np.inf, np.nan
    unit = unit_rows(rows)
    lengths = np.linalg.norm(unit.astype(np.float64), axis=1)
    assert unit.dtype == np.float32 and (unit[3:6] == 0).all()
    assert np.allclose(np.delete(lengths, [3, 4, 5]), 1, atol=1e-6)


def test_chosen_rows_at_length_one_are_those_of_all_rows(small_blocks):
    rows, chosen = np.random.default_rng(3).normal(size=(30, 6)).astype(np.float32), np.array([29, 3, 4, *range(20)])
    rows[4] = 0
    assert (unit_rows(rows, chosen) == unit_rows(rows)[chosen]).all()


def test_rows_too_long_or_too_short_for_single_precision_keep_their_direction():
    row = np.array([3, 4, 0], dtype=np.float32)
    unit = unit_rows(np.stack([row * np.float32(scale) for scale in (1e-37, 1e-20, 1, 1e20, 1e37)]))
    assert np.allclose(unit, [0.6, 0.8, 0], atol=1e-6)


@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 5), st.integers(1, 90)), elements=st.integers(0, 3)), st.data())
def test_the_largest_come_first_and_of_equal_ones_the_earlier(numbers, data):
    k = data.draw(st.integers(0, numbers.shape[1] + 2))
    expected = np.argsort(-numbers, axis=1, kind="stable")[:, :k]
    with (
        patch.object(vectors, "PARTED", data.draw(st.sampled_from([1, 20, 1000]))),
        patch.object(vectors, "WIDE_FOR", data.draw(st.sampled_from([4, 1000]))),
    ):
        assert (top_k(numbers.astype(np.float32), k) == expected).all()


def test_the_nearest_rows_are_those_of_a_plain_comparison_of_all_and_none_of_the_own_group(small_blocks):
    random = np.random.default_rng(1)
    unit = unit_rows(random.integers(-2, 3, (25, 3)))
    groups = random.integers(0, 3, 25)
    neighbours, similar = nearest(unit, unit, 20, (groups, groups))
    for query in range(25):
        cosines = unit[query : query + 1] @ unit.T
        allowed = [row for row in np.argsort(-cosines[0], kind="stable") if groups[row] != groups[query]][:20]
        assert sorted(neighbours[query, : len(allowed)]) == sorted(allowed) or np.allclose(
            cosines[0, neighbours[query, : len(allowed)]], cosines[0, allowed], atol=1e-6
        )
        assert np.allclose(similar[query, : len(allowed)], cosines[0, allowed], atol=1e-6)
        assert (neighbours[query, len(allowed) :] == -1).all() and (similar[query, len(allowed) :] == HIDDEN).all()
    assert np.allclose(max_cosines(unit, unit[:4]), (unit @ unit[:4].T).max(axis=1), atol=1e-6)


def test_pairs_above_a_limit_are_found_once_each_and_progress_ends_with_the_last_row(small_blocks):
    unit, seen = unit_rows(np.random.default_rng(2).normal(size=(40, 3))), []
    pairs = [pair for i, j in pairs_above(unit, 0.5, seen.append) for pair in zip(i.tolist(), j.tolist(), strict=True)]
    i, j = np.nonzero(np.triu(unit @ unit.T >= 0.5, 1))
    assert sorted(pairs) == sorted(zip(i.tolist(), j.tolist(), strict=True)) and seen[-1] == 40
