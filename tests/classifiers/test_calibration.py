"""Confidence that means what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.classifiers.calibration import cross_calibrate, fit_temperature, held_out_temperature, probabilities


def test_confidence_divided_by_the_temperature_is_honest():
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, 4000)
    logits = random.normal(size=(4000, 5))
    logits[np.arange(4000), truth] += 2
    shares = probabilities(logits * 7, fit_temperature(logits * 7, truth))
    right = shares.argmax(axis=1) == truth
    assert abs(shares.max(axis=1).mean() - right.mean()) < 0.02
    wild = probabilities(logits * 7, 1.0)
    assert abs(wild.max(axis=1).mean() - right.mean()) > 0.1


def test_pictures_from_where_it_will_be_used_set_the_confidence_when_there_are_enough():
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, 600)
    scores = random.normal(size=(600, 5))
    scores[np.arange(600), truth] += 1
    wanted = fit_temperature(scores, truth)
    assert held_out_temperature(scores, truth, 0.2) == pytest.approx(wanted)
    assert held_out_temperature(scores[:99], truth[:99], 0.2) == 0.2
    unknown = np.where(np.arange(600) < 550, -1, truth)
    assert held_out_temperature(scores, unknown, 0.2) == 0.2
    groups = np.arange(600) // 3
    shares = cross_calibrate(scores, truth, groups, 0.2)
    loss, before = (-np.log(row[np.arange(600), truth]).mean() for row in (shares, probabilities(scores, 0.2)))
    assert loss < before
    np.testing.assert_array_equal(
        cross_calibrate(scores[:150], truth[:150], groups, 0.2), probabilities(scores[:150], 0.2)
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99))
def test_no_held_out_picture_has_a_say_in_its_own_confidence_nor_has_its_product(product):
    random = np.random.default_rng(1)
    truth, scores, groups = random.integers(0, 4, 300), random.normal(size=(300, 4)), np.arange(300) // 3
    other = np.where(groups == product, (truth + 1) % 4, truth)
    mine = groups == product
    before, after = (cross_calibrate(scores, labels, groups, 1.0)[mine] for labels in (truth, other))
    np.testing.assert_array_equal(before, after)
