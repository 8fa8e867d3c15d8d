"""Centres: where rows gather, always the same."""

from __future__ import annotations

import numpy as np

from featx.compute.centres import _shares, centres_of
from featx.compute.vectors import unit_rows


def gathered() -> np.ndarray:
    """Rows around six directions."""
    random = np.random.default_rng(0)
    return unit_rows(np.repeat(np.eye(6, 8), 50, axis=0) + 0.05 * random.normal(size=(300, 8)))


def test_centres_lie_where_the_rows_gather_and_are_the_same_each_time(monkeypatch) -> None:
    rows = gathered()
    centres = centres_of(rows, 12)
    assert ((np.eye(6, 8) @ centres.T).max(axis=1) > 0.98).all()
    assert np.array_equal(centres, centres_of(rows, 12))
    monkeypatch.setattr("featx.compute.centres.AT_ONCE", 10)
    stepwise = centres_of(rows, 36)
    assert stepwise.shape == (36, 8) and ((rows @ stepwise.T).max(axis=1) > 0.95).all()
    assert np.array_equal(stepwise, centres_of(rows, 36))


def test_centres_are_shared_out_in_proportion() -> None:
    assert _shares(np.array([10, 0, 30, 60]), 10) == [1, 0, 3, 6]
    assert sum(_shares(np.array([7, 11, 13]), 8)) == 8


def test_there_are_no_more_centres_than_rows() -> None:
    assert len(centres_of(gathered()[:3], 5)) == 3
