"""One answer to how much can be filed without a person, counted by products, wherever it is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.classifiers.fit import fit
from featx.comparison import compare
from featx.comparison.evaluate import evaluate
from featx.metrics.assessment import assess
from featx.metrics.scores import ScoredAnswers
from featx.metrics.selective import (
    TARGETS,
    automation_at,
    automation_of,
    coverage_curve,
    coverage_table,
    min_products_for,
)
from featx.reporting import build_document, in_short
from featx.store import Store
from tests.audit.test_duplicates import store_of


def catalogue(path: Path, products: int, shots: int = 3, held_out: int = 0) -> Store:
    """Three categories whose features overlap; each product has several photos that hardly differ."""
    random = np.random.default_rng(0)
    centres = random.uniform(0, 1, (3, 12))
    rows = []
    for product in range(products):
        features = centres[product % 3] + random.normal(0, 0.35, 12)
        for shot in range(shots):
            row = {"id": f"i{product}-{shot}", "label": "abc"[product % 3], "product": f"p{product}"}
            split = "test" if product >= products - held_out else None
            rows.append({**row, "split": split, "features": features + random.normal(0, 0.02, 12)})
    return store_of(path, rows)


def answers(n: int, products: int, *, measured_on: str = "here", seed: int = 0) -> ScoredAnswers:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, n)
    raw = random.normal(size=(n, 3)) + 3 * np.eye(3)[truth]
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    return ScoredAnswers(truth, shares, np.arange(n) * products // n, measured_on)


@pytest.mark.parametrize(
    ("products", "held_out"),
    [(84, 0), (240, 60), *(pytest.param(*sizes, marks=pytest.mark.long) for sizes in ((210, 0), (330, 160)))],
)
def test_fit_compare_the_report_and_the_card_give_one_answer_for_the_same_folds(tmp_path, products, held_out):
    store = catalogue(tmp_path / "s.h5", products, held_out=held_out)
    card = fit(store, "knn").card.to_dict()["automation"]
    compared = compare(store, "knn", colour=False, retrieval=False)
    (details,) = compared.to_dict()["details"].values()
    assert details["automation"] == card
    report = build_document(compared.to_dict(), tmp_path / "report")
    trust, sentence = report.to_dict()["trust"], in_short(report)["trust"]
    assert trust["enough"] == (card["coverage"] is not None)
    if card["coverage"] is None:
        assert (trust["products"], trust["needed"]) == (products - held_out, 150)
        assert (
            f"too few products ({products - held_out} of 150) to say how much can be filed without a person" in sentence
        )
        assert all(row["target"] < 0.98 for row in trust["thresholds"])
    else:
        (row,) = (row for row in trust["thresholds"] if row["target"] == 0.98)
        assert row["coverage"] == pytest.approx(card["coverage"], abs=5e-5) and row["threshold"] == card["threshold"]
        assert f"{row['coverage']:.1%} can be filed without a person" in sentence


def test_evaluate_gives_the_answer_of_the_card_where_the_held_out_products_are_enough(tmp_path):
    store = catalogue(tmp_path / "s.h5", 330, held_out=160)
    model = fit(store, "knn")
    card = model.card.to_dict()["automation"]
    assert card["measured_on"] == "held-out photos" and card["n"] == 160
    assert evaluate(model, store).to_dict()["details"]["automation"] == card


def test_photos_of_few_products_are_too_few_however_many_they_are():
    few, many = answers(900, 85), answers(900, 300)
    assert automation_of([few]).coverage is None and automation_of([few]).n == 85
    assert automation_of([many]).coverage is not None
    assert [row.target for row in assess(few, "abc").thresholds] == [0.8, 0.9, 0.95]


def test_the_first_answers_with_enough_products_for_a_target_decide_on_it():
    held_out, folds = answers(120, 60, measured_on="held-out"), answers(600, 200, measured_on="folds", seed=1)
    table = {row.target: row.measured_on for row in assess(held_out, "abc", [folds]).thresholds}
    assert table == {0.8: "held-out", 0.9: "held-out", 0.95: "held-out", 0.98: "folds"}
    record = assess(held_out, "abc", [folds]).automation_record()
    assert record["held_out"]["n"] == 120 and record["n"] == 200


def test_a_promise_takes_as_many_products_as_could_break_it_by_luck():
    assert [min_products_for(target) for target in TARGETS] == [50, 50, 60, 150, 300]


def test_what_reaches_a_threshold_reaches_it_when_it_is_read_again():
    few = answers(300, 300)
    cut = automation_at(few.confidence, few.correct, 0.9)
    again = round(cut.threshold, 6)
    assert (few.exact_confidence >= again).mean() == (few.confidence >= again).mean() == cut.coverage


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=1, max_size=60))
def test_a_threshold_files_the_most_that_is_right_often_enough(pairs):
    correct, confidence = np.array([r for r, _ in pairs]), np.array([s / 10 for _, s in pairs])
    for target in TARGETS:
        cut = automation_at(confidence, correct, target)
        possible = [
            float(np.mean(confidence >= t)) for t in set(confidence) if correct[confidence >= t].mean() >= target
        ]
        assert cut.coverage == pytest.approx(max(possible, default=0.0))
    curve = coverage_curve(confidence, correct)
    assert curve[-1]["coverage"] == 1 and curve[-1]["precision"] == pytest.approx(correct.mean())
    for point in curve:
        kept = confidence >= point["threshold"]
        assert (point["coverage"], point["precision"]) == pytest.approx((kept.mean(), correct[kept].mean()))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=80))
def test_what_is_filed_without_a_person_keeps_the_promised_precision(rows):
    sure, right = np.array([s for s, _ in rows]), np.array([r for _, r in rows])
    filed = automation_at(sure, right, target=0.9)
    if filed.threshold is not None:
        kept = sure >= filed.threshold
        assert right[kept].mean() >= 0.9
        assert kept.mean() == pytest.approx(filed.coverage)
    for row in coverage_table(sure, right, np.arange(len(sure))):
        assert (sure >= row["threshold"] - 1e-4).mean() >= row["coverage"] - 0.5 / len(sure) - 1e-9
