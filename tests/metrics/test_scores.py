"""Scores agree with scikit-learn and with what can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from featx.metrics.confusion import confusion_counts, most_frequent_mistakes
from featx.metrics.scores import METRICS, bootstrap, per_class, reliability, scores, wilson
from featx.metrics.selective import coverage_curve


def answers(n: int = 120, classes: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, n)
    raw = random.normal(size=(n, classes))
    raw[np.arange(n), truth] += 1.2
    shares = np.exp(raw)
    return truth, shares / shares.sum(axis=1, keepdims=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(6, 60), st.integers(2, 8), st.integers(0, 10**6), st.booleans())
def test_every_score_is_scikit_learns(n, classes, seed, weighted):
    truth, shares = answers(n, classes, seed)
    weights = np.random.default_rng(seed).integers(1, 4, n) if weighted else None
    scored, says = scores(truth, shares, weights), shares.argmax(axis=1)
    given_weights = {"sample_weight": weights}
    expected = {"accuracy": reference.accuracy_score(truth, says, **given_weights)}
    expected["balanced_accuracy"] = np.mean(
        [np.average(says[truth == c] == c, weights=None if weights is None else weights[truth == c]) for c in {*truth}]
    )
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = reference.precision_recall_fscore_support(
            truth, says, labels=sorted({*truth}), average=average, zero_division=0, **given_weights
        )
        expected |= {f"{average}_precision": precision, f"{average}_recall": recall, f"{average}_f1": f1}
    for k in (3, 5):
        if classes > k:
            expected[f"top{k}"] = reference.top_k_accuracy_score(
                truth, shares, k=k, labels=range(classes), **given_weights
            )
    expected["log_loss"] = reference.log_loss(truth, shares, labels=range(classes), **given_weights)
    for name, value in expected.items():
        assert scored[name] == pytest.approx(value, abs=1e-9), name
    assert set(scored) == set(METRICS)


def test_a_category_without_a_picture_is_left_out_of_what_counts_every_category_alike():
    truth, says = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    scored = scores(truth, np.eye(5)[says])
    assert scored["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert scored["macro_precision"] == 1 and scored["macro_recall"] == scored["balanced_accuracy"] == 0.75


def test_the_calibration_error_is_the_one_counted_by_hand():
    confidence, right = np.array([0.95, 0.95, 0.55, 0.55]), np.array([True, False, True, True])
    shares = np.column_stack([confidence, 1 - confidence])
    assert scores(np.where(right, 0, 1), shares)["ece"] == pytest.approx(0.5 * 0.45 + 0.5 * 0.45)
    bins = [row for row in reliability(confidence, right, 10) if row["n"]]
    assert [(row["n"], row["accuracy"]) for row in bins] == [(2, 1.0), (2, 0.5)]
    truth, shares = answers()
    says = shares.argmax(axis=1)
    table = reliability(shares.max(axis=1), says == truth)
    by_bin = sum(row["n"] / len(truth) * abs(row["confidence"] - row["accuracy"]) for row in table)
    assert scores(truth, shares)["ece"] == pytest.approx(by_bin)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.data())
def test_the_interval_of_a_share_is_wilsons(n, data):
    from scipy.stats import binomtest

    right = data.draw(st.integers(0, n))
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right, n).low == pytest.approx(expected.low, abs=1e-9)
    assert wilson(right, n).high == pytest.approx(expected.high, abs=1e-9)


def test_the_bootstrap_interval_agrees_with_drawing_one_sample_after_the_other():
    truth, shares = answers(200, 4)
    ours = bootstrap(truth, shares, draws=1500)["macro_f1"]
    random, drawn = np.random.default_rng(5), []
    for _ in range(300):
        rows = random.integers(0, 200, 200)
        drawn.append(reference.f1_score(truth[rows], shares[rows].argmax(axis=1), average="macro"))
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert ours.low == pytest.approx(low, abs=0.02) and ours.high == pytest.approx(high, abs=0.02)
    assert ours.low < ours.value < ours.high


def test_pictures_of_one_product_are_drawn_together_so_the_interval_is_wider():
    truth, shares = answers(60, 3)
    truth, shares, groups = np.repeat(truth, 6), np.repeat(shares, 6, axis=0), np.repeat(np.arange(60), 6)
    alone, together = bootstrap(truth, shares)["accuracy"], bootstrap(truth, shares, groups)["accuracy"]
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert together.value == alone.value


def test_a_category_never_learned_is_always_wrong_and_breaks_nothing():
    truth, shares = answers(50, 3)
    truth[:10] = -1
    scored = scores(truth, shares)
    assert scored["accuracy"] == pytest.approx((shares.argmax(axis=1) == truth).mean())
    assert np.isfinite(list(scored.values())).all()
    assert scored["log_loss"] == pytest.approx(reference.log_loss(truth[10:], shares[10:], labels=range(3)))


def test_confusions_are_counted_once_and_a_category_never_learned_is_left_out():
    counts = confusion_counts([0, 1, 1, -1], [0, 0, 1, 1], 3)
    assert counts.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert most_frequent_mistakes(counts) == [None, (0, 1), None]


def test_the_coverage_curve_ends_at_all_pictures_with_the_accuracy():
    truth, shares = answers(300)
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == truth
    curve = coverage_curve(confidence, right)
    assert len(curve) <= 100 and curve[-1]["coverage"] == 1
    assert curve[-1]["precision"] == pytest.approx(right.mean())
    for point in curve:
        kept = confidence >= point["threshold"]
        assert point["coverage"] == pytest.approx(kept.mean())
        assert point["precision"] == pytest.approx(right[kept].mean())


def test_the_table_by_class_is_scikit_learns():
    truth, shares = answers()
    says = shares.argmax(axis=1)
    precision, recall, f1, support = reference.precision_recall_fscore_support(truth, says, zero_division=0)
    for row, *expected in zip(per_class(truth, says, list("abcdefg")), precision, recall, f1, support, strict=True):
        assert [row["precision"], row["recall"], row["f1"], row["n"]] == pytest.approx(expected)
