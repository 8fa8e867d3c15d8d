"""Folds keep together what belongs together."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.compute.vectors import unit_rows
from featx.labels.folds import (
    NEAR_CERTAIN,
    grouped_folds,
    groups_of,
    near_duplicate_rate,
    near_duplicates_in,
    plain_folds,
    union_groups,
)
from tests.counting import counted_calls

ROWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12), st.integers(0, 3)), min_size=2, max_size=60)


def rows_of(drawn, seed=0):
    """Products, digests, labels and features in which every fifth row nearly copies the one before."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(len(drawn), 16))
    features[4::5] = features[3:-1:5][: len(features[4::5])] + 0.01
    products = [f"p{product}" for product, _, _ in drawn]
    digests = [f"d{digest}" for _, digest, _ in drawn]
    # The same bytes have the same features.
    first = {digest: i for i, digest in reversed(list(enumerate(digests)))}
    features = np.stack([features[first[digest]] for digest in digests])
    return products, digests, [f"c{label}" for _, _, label in drawn], features


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(2, 5), st.integers(0, 5))
def test_a_fold_never_holds_a_product_or_a_copy_of_another_fold(drawn, folds, seed):
    products, digests, labels, features = rows_of(drawn, seed)
    groups = groups_of(products, digests, features)
    unit = unit_rows(features)
    for learn, score in grouped_folds(labels, groups, folds, seed):
        assert len(learn) and len(score) and sorted([*learn, *score]) == list(range(len(drawn)))
        for names in (products, digests):
            assert not {names[i] for i in learn} & {names[i] for i in score}
        assert (unit[learn] @ unit[score].T).max() < NEAR_CERTAIN


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(2, 5), st.integers(0, 5))
def test_the_same_seed_cuts_the_same_folds_and_every_picture_is_scored_once(drawn, folds, seed):
    products, digests, labels, features = rows_of(drawn)
    groups = groups_of(products, digests, features)
    for cut in (lambda: grouped_folds(labels, groups, folds, seed), lambda: plain_folds(labels, folds, seed)):
        first, second = cut(), cut()
        for (learn, score), (learn_again, score_again) in zip(first, second, strict=True):
            np.testing.assert_array_equal(learn, learn_again)
            np.testing.assert_array_equal(score, score_again)
        if first:
            assert sorted(np.concatenate([score for _, score in first])) == list(range(len(drawn)))


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_groups_are_what_walking_from_copy_to_copy_finds(drawn):
    products, digests, _, features = rows_of(drawn)
    unit = unit_rows(features)
    seen = np.full(len(drawn), -1)
    for start in range(len(drawn)):
        reach = [start] if seen[start] < 0 else []
        while reach:
            i = reach.pop()
            if seen[i] < 0:
                seen[i] = start
                reach += [
                    j
                    for j in range(len(drawn))
                    if products[i] == products[j] or digests[i] == digests[j] or unit[i] @ unit[j] >= NEAR_CERTAIN
                ]
    np.testing.assert_array_equal(groups_of(products, digests, features), seen)


def test_two_groupings_are_joined():
    np.testing.assert_array_equal(union_groups(np.array([0, 0, 2, 3]), np.array([5, 6, 6, 7])), [0, 0, 0, 3])


def test_thousands_of_pictures_that_are_all_copies_are_one_group_at_once():
    n = 3000
    features = np.ones((n, 32)) + np.random.default_rng(0).normal(scale=1e-3, size=(n, 32))
    groups_of(["a", "b"], ["x", "y"], np.ones((2, 3)))  # imports what it needs, which is not counted
    with counted_calls() as calls:
        groups = groups_of([f"p{i}" for i in range(n)], [f"d{i}" for i in range(n)], features)
    assert len(set(groups.tolist())) == 1
    assert calls.made < n  # 4.5 million pairs are never walked one by one


def test_pictures_that_are_all_alike_take_little_memory_beyond_their_cosines():
    n = 3000
    names, features = [str(i) for i in range(n)], np.ones((n, 4), dtype=np.float32)
    tracemalloc.start()
    try:
        groups_of(names, names, features)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6  # 4.5 million pairs at once, and what is made of them, take over 600 MB


def test_nothing_to_cut_gives_no_folds():
    assert grouped_folds(["a", "b"], np.zeros(2), 5, 0) == []
    assert plain_folds(["a", "b"], 5, 0) == []
    assert groups_of([], [], np.zeros((0, 3))).shape == (0,)


def test_the_share_of_twins_counts_pictures_with_a_look_alike_in_what_was_learned():
    learned = np.eye(4)
    assert near_duplicate_rate(np.array([[1, 0.01, 0, 0], [0.7, 0.7, 0, 0]]), learned) == 0.5
    assert near_duplicate_rate(np.zeros((0, 4)), learned) == 0


def test_the_share_of_twins_in_folds_counts_each_picture_where_it_is_scored():
    rows = np.array([[1, 0], [1, 0.01], [0, 1], [0.7, 0.7]])
    together, apart = (np.array([2, 3]), np.array([0, 1])), (np.array([0, 1]), np.array([2, 3]))
    assert near_duplicates_in([together, apart], rows) == 0
    assert near_duplicates_in([(np.array([0, 2]), np.array([1, 3])), (np.array([1, 3]), np.array([0, 2]))], rows) == 0.5
    assert near_duplicates_in([], np.zeros((0, 4))) == 0


def test_pairs_joined_in_many_small_steps_give_the_same_groups_as_all_at_once(monkeypatch):
    products, digests, _, features = rows_of([(i, i % 50, 0) for i in range(60)])
    at_once = groups_of(products, digests, features)
    monkeypatch.setattr("featx.labels.folds.MOST_WAITING", 0)
    np.testing.assert_array_equal(groups_of(products, digests, features), at_once)


def test_photos_with_the_same_bytes_or_nearly_the_same_features_stay_together():
    features = np.eye(4, 8)
    features[3] = features[2] + 0.01
    groups = groups_of(["a", "b", "c", "d"], ["x", "x", "y", "z"], features)
    assert groups[0] == groups[1] and groups[2] == groups[3] and groups[0] != groups[2]
