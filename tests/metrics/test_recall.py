"""A category that must not be missed is caught as often as was asked, on products that had no say in it."""

from __future__ import annotations

import numpy as np
import pytest

from featx.metrics.recall import recall_threshold
from featx.metrics.scores import ScoredAnswers


def answers(n: int, photos: int = 1, seed: int = 0) -> ScoredAnswers:
    """n products of category 0 and n of category 1, with probabilities that overlap."""
    random = np.random.default_rng(seed)
    truth = np.repeat([0, 1], n * photos)
    first = np.concatenate([random.beta(4, 2, n * photos), random.beta(2, 4, n * photos)])
    return ScoredAnswers(truth, np.column_stack([first, 1 - first]), np.arange(2 * n * photos) // photos, "drawn")


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95])
def test_the_wanted_share_of_products_is_caught_and_no_larger_threshold_would_do(target):
    scored = answers(100)
    chosen = recall_threshold([scored], 0, target)
    own = scored.probabilities[scored.truth == 0, 0]
    assert (own >= chosen.threshold).mean() >= target
    # One product more is counted than there are, which is missed.
    assert (own > chosen.threshold + 1e-8).sum() / 101 < target
    others = scored.probabilities[scored.truth == 1, 0]
    assert chosen.false_alarms.value == (others >= chosen.threshold).mean() and chosen.false_alarms.n == 100
    assert chosen.recall.n == 100 and chosen.recall.low <= chosen.recall.value <= chosen.recall.high


def test_a_product_is_caught_only_if_all_its_photos_are_and_a_false_alarm_if_any_is():
    scored = answers(60, photos=3)
    chosen = recall_threshold([scored], 0, 0.9)
    flagged = (scored.probabilities[:, 0] >= chosen.threshold).reshape(120, 3)
    assert flagged[:60].all(axis=1).mean() >= 0.9
    assert chosen.false_alarms.value == flagged[60:].any(axis=1).mean() and chosen.recall.n == 60


def test_thresholds_keep_the_wanted_recall_on_other_products_on_average():
    kept = []
    for seed in range(60):
        chosen = recall_threshold([answers(60, seed=seed)], 0, 0.95)
        others = np.random.default_rng(1000 + seed).beta(4, 2, 2000)
        kept.append((others >= chosen.threshold).mean())
    assert 0.935 <= np.mean(kept) <= 0.975


def test_the_first_answers_with_enough_products_of_the_category_are_used():
    few, many = answers(59), answers(60)
    assert recall_threshold([few, many], 0, 0.95).recall.n == 60
    assert recall_threshold([few], 0, 0.95) is None


def test_the_order_of_photos_makes_no_difference():
    scored = answers(60, photos=2)
    rows = np.random.default_rng(5).permutation(len(scored))
    mixed = ScoredAnswers(scored.truth[rows], scored.probabilities[rows], scored.groups[rows], "drawn")
    assert recall_threshold([mixed], 0, 0.9) == recall_threshold([scored], 0, 0.9)
