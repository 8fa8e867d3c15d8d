"""A precision that is promised is kept, category by category, on products that had no say in it."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert, structs, to_builtins

from featx.classifiers.calibration import probabilities
from featx.classifiers.card import ThresholdRow, Yield
from featx.classifiers.fit import fit
from featx.classifiers.model import save
from featx.classifiers.thresholds import (
    PRIOR,
    choose,
    cross_validated_yield,
    table_of,
    thresholds_for,
    yield_on,
)
from featx.errors import FeatxError
from featx.extraction import extract
from featx.metrics.scores import share_by_group, wilson
from featx.metrics.selective import TARGETS, automation_at, format_threshold, min_products_for
from featx.prediction.predict import shown_sure
from featx.prediction.review import DecisionRule
from tests.conftest import Run, card_of, photo


def answers(seed: int, n: int = 4000):
    """Answers of four categories: one easy, one ordinary, one over-confident, one rare; four photos a product."""
    random = np.random.default_rng(seed)
    groups = np.arange(n) // 4
    says = random.choice(4, n // 4, p=[0.5, 0.29, 0.2, 0.01])[groups]
    sure = np.repeat(random.uniform(0.2, 1, n // 4), 4) * random.uniform(0.9, 1, n)
    chance = np.choose(says, [np.minimum(1, sure + 0.3), sure, sure**2, sure])
    return sure, says, random.uniform(size=n) < chance, groups


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95])
def test_a_promise_holds_within_its_interval_on_products_it_was_not_chosen_on(target):
    broken = {"each": 0.0, "common": 0.0}
    for seed in range(5):
        sure, says, right, groups = answers(seed, 8000)
        learn = groups % 2 == 0
        row = choose(target, sure[learn], says[learn], right[learn], list("abcd"))
        limits = np.array([row.of(label) for label in "abcd"])
        stands = ~learn & (sure >= limits[says])
        assert share_by_group(right[stands], groups[stands]).high >= target
        for name, answered in (("each", stands), ("common", ~learn & (sure >= row.everywhere))):
            for category in range(4):
                mine = answered & (says == category)
                broken[name] += max(0.0, target * mine.sum() - right[mine].sum()) / answered.sum()
    assert broken["each"] < broken["common"] / 3


def test_one_threshold_for_all_breaks_the_promise_where_one_for_each_keeps_it():
    sure, says, right, _ = answers(0, 20_000)
    common = automation_at(sure, right, 0.9).threshold
    row = choose(0.9, sure, says, right, list("abcd"))
    doubtful = says == 2
    assert right[doubtful & (sure >= common)].mean() < 0.85
    assert right[doubtful & (sure >= row.of("c"))].mean() >= 0.89
    assert row.of("a") < common < row.of("c")


def test_a_category_without_evidence_borrows_the_common_threshold():
    sure, says, right, _ = answers(1)
    row = choose(0.9, sure, says, right, [*"abcd", "never said"])
    assert row.of("never said") == row.everywhere == row.of("of another classifier")
    assert choose(0.9, sure, says, np.zeros(len(sure), bool), list("abcd")).of("a") > 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2), st.booleans()), min_size=1, max_size=80))
def test_what_stands_is_right_at_the_target_once_drawn_towards_all(rows):
    sure, says, right = (np.array(column) for column in zip(*rows, strict=True))
    row = choose(0.9, sure, says, right, list("abc"))
    for number, label in enumerate("abc"):
        limit = row.of(label)
        mine = (says == number) & (sure >= limit)
        if limit <= 1:
            common = right[sure >= limit].mean()
            assert (right[mine].sum() + PRIOR * common) / (mine.sum() + PRIOR) >= 0.9 - 1e-9


def never(threshold):
    return 2.0 if threshold is None else threshold


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.7, 0.9, 0.99]), st.integers(0, 2), st.booleans()), min_size=1),
    st.integers(0, 2**32 - 1),
)
def test_who_asks_for_more_never_gets_a_lower_threshold_nor_more_answers(rows, seed):
    sure, says, right = (np.array(column) for column in zip(*rows, strict=True))
    sure = sure + np.random.default_rng(seed).uniform(0, 0.01, len(sure)).round(3)
    rows = [choose(target, sure, says, right, list("abc")) for target in TARGETS]
    for lower, higher in pairwise(rows):
        assert never(lower.everywhere) <= never(higher.everywhere)
        assert all(lower.of(label) <= higher.of(label) for label in "abc")
    groups = np.arange(len(sure))
    answered = [cross_validated_yield(target, sure, says, right, list("abc"), groups)[0] for target in TARGETS]
    assert answered == sorted(answered, reverse=True)


def test_thresholds_from_the_folds_do_not_lie_below_those_from_held_out_pictures():
    sure, says, right, groups = answers(2)
    first = table_of(sure[:400], says[:400], np.zeros(400, bool), list("abcd"), groups[:400])
    rows = [*first, *table_of(sure, says, right, list("abcd"), groups, first)]
    assert [row["target"] for row in rows] == list(TARGETS)
    for lower, higher in pairwise(rows):
        for label in "abcd":
            assert never(lower["categories"][label]) <= never(higher["categories"][label])


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1))
def test_a_limit_is_shown_so_that_typing_it_lets_in_nothing_more_and_1_means_1(threshold):
    shown = float(format_threshold(threshold))
    assert shown >= threshold - 1e-7 and (shown < 1 or threshold > 1 - 1e-11)
    assert format_threshold(0.9983) == "0.999" and format_threshold(0.29) == "0.29" and format_threshold(1.0) == "1.00"
    assert (
        float(shown_sure(threshold)) <= threshold + 1e-9 and shown_sure(0.998) == "0.99" and shown_sure(0.29) == "0.29"
    )


def test_what_the_card_says_was_bought_is_measured_on_other_products():
    # Each product is right or wrong as a whole and has a confidence of its own: chance, which choosing would flatter.
    random = np.random.default_rng(0)
    groups = np.arange(1200) // 4
    sure = random.uniform(0.5, 1, 300)[groups]
    right = (random.uniform(size=300) < 0.6)[groups]
    for row in table_of(sure, np.zeros(1200, int), right, ["a"], groups):
        assert row["n"] == 0 or row["low"] <= 0.62


def test_the_order_of_pictures_and_products_makes_no_difference_to_the_interval():
    random = np.random.default_rng(3)
    groups, right = random.integers(0, 40, 200), random.uniform(size=200) < 0.7
    rows, names = random.permutation(200), random.permutation(40)
    assert share_by_group(right, groups) == share_by_group(right[rows], names[groups[rows]])


def test_intervals_of_products_are_never_narrower_than_of_pictures():
    right = np.repeat([True, False, True, True, False], 20)
    alone, together = wilson(60, 100), share_by_group(right, np.arange(100) // 20)
    assert together.low < alone.low and together.high > alone.high and together.value == alone.value
    assert share_by_group(right, np.arange(100)) == alone


def test_the_next_target_above_the_asked_precision_is_used():
    bought = {"answered": 1.0, "precision": 1.0, "low": 0.9, "high": 1.0, "n": 9, "measured_on": "held-out photos"}
    rows = [{"target": target, "everywhere": target, "categories": {"a": None}} | bought for target in TARGETS]
    automation = {"target": 0.98, "coverage": None, "threshold": None, "measured_on": "", "n": 12}
    full = card_of(["a", "b"], 3, thresholds=rows)
    row, _ = thresholds_for(full, 0.93)
    assert row.target == 0.95 and row.of("a") > 1 and row.of("b") == 0.95
    limits = DecisionRule(thresholds=row)
    assert limits.unsure("a", 1.0) and limits.unsure("b", 0.94) and not limits.unsure("b", 0.95)
    for card, note in (
        (card_of(["a", "b"], 3, automation=automation), "from 12 products"),
        (full, "a precision of 0.999"),
    ):
        with pytest.raises(FeatxError, match=note):
            thresholds_for(card, 0.999)


def test_predict_answers_by_category_and_says_what_that_buys(featx: Run, tmp_path):
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for item in range(110):
            photo(tmp_path / "photos" / category / f"{category}{item}.jpg", seed=1000 * c + item % 40, size=(16, 12))
    store = extract(tmp_path / "photos", backbone="colour", store=tmp_path / "store.h5")
    made = fit(store, "centroid", folds=2)
    rows = table_of(np.linspace(0, 1, 400), np.zeros(400, int), np.ones(400, bool), made.classes, np.arange(400))
    chosen = {"categories": {"boots": None, "hats": 0.0, "mugs": None}, "measured_on": "cross-validation"}
    made.card = structs.replace(made.card, thresholds=convert([row | chosen for row in rows], list[ThresholdRow]))
    save(made, tmp_path / "artifacts" / "models" / "centroid.safetensors")
    assert "Thresholds by category" in (tmp_path / "artifacts/models/centroid.md").read_text()
    ran = featx("predict", "photos", "--min-precision", "0.9", "--any", "--json", FEATX_STORE=str(store.path))
    assert ran.returncode == 0, ran.stderr
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert all(row["review"] == (row["category"] != "hats") for row in rows)
    assert "chosen for 90% right; on other" in ran.stderr and "2 categories are never confident enough" in ran.stderr
    both = featx("predict", "photos", "--min-precision", "0.9", "--sure", "0.5", FEATX_STORE=str(store.path))
    assert both.returncode == 2 and "both set the threshold" in both.stderr


def test_a_promise_needs_as_many_pictures_as_could_show_it_broken():
    assert [min_products_for(target) for target in TARGETS] == [50, 50, 60, 150, 300]
    for target in TARGETS:
        assert target ** min_products_for(target) <= 0.08, "all right by luck"
    sure, says, right, groups = answers(0, 640)
    assert [row["target"] for row in table_of(sure, says, right, list("abcd"), groups)] == [0.8, 0.9, 0.95, 0.98]
    assert not table_of(sure[:196], says[:196], right[:196], list("abcd"), groups[:196])


@pytest.mark.parametrize("n", [60, pytest.param(150, marks=pytest.mark.long)])
def test_what_few_pictures_promise_holds_within_its_interval_on_others(n):
    held = tried = 0
    for seed in range(40):
        sure, says, right, groups = answers(seed, 4000)
        mine = groups < n
        for row in table_of(sure[mine], says[mine], right[mine], list("abcd"), groups[mine]):
            measured = yield_on(row, sure[~mine], says[~mine], right[~mine], list("abcd"))
            if row["n"] and measured.n:
                tried += 1
                held += measured.high >= row["low"] and measured.low <= row["high"]
    assert tried > 100 and held / tried >= 0.9


@pytest.fixture(scope="module")
def partly(tmp_path_factory: pytest.TempPathFactory):
    """Three categories, 180 photos to learn from and 60 held out; a third of the photos looks like another category."""
    root = tmp_path_factory.mktemp("partly")
    lines = ["path,label,split"]
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for item in range(80):
            looks = (c + 1) % 3 if item % 9 == 0 else c
            photo(root / f"{category}{item}.jpg", seed=10_000 * (looks + 1), size=(16, 12))
            # The same colour, other bytes.
            photo(root / f"{category}{item}.jpg", seed=10_000 * (looks + 1) + 10 * item, size=(16, 12))
            lines.append(f"{category}{item}.jpg,{category},{'test' if item >= 60 else 'train'}")
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    return extract(root / "list.csv", backbone="colour", store=root / "store.h5")


def test_held_out_pictures_choose_what_they_are_enough_for_and_check_the_rest(partly, featx: Run, tmp_path):
    made = fit(partly, "knn", folds=3)
    rows = {row.target: row for row in made.card.thresholds}
    assert made.card.test.n == 60 and set(rows) == {0.8, 0.9, 0.95, 0.98}
    assert {rows[target].measured_on for target in (0.8, 0.9, 0.95)} == {"held-out photos"}
    assert rows[0.98].measured_on == "cross-validation" and rows[0.98].held_out.n == 60
    assert made.card.automation.measured_on == "cross-validation"
    held = [i for i, split in enumerate(partly.splits) if split == "test"]
    shares = made.predict_proba(partly.features[held])
    truth = np.array(partly.labels)[held] == np.array(made.classes)[shares.argmax(axis=1)]
    measured = yield_on(to_builtins(rows[0.98]), shares.max(axis=1), shares.argmax(axis=1), truth, made.classes)
    assert rows[0.98].held_out == Yield(n=60, answered=measured.n, right=round(measured.value, 4))
    save(made, tmp_path / "artifacts" / "models" / "knn.safetensors")
    target = str(partly.root / partly.paths[0]) if hasattr(partly, "root") else partly.paths[0]
    ran = featx("predict", target, "--min-precision", "0.98", FEATX_STORE=str(partly.path), cwd=tmp_path)
    assert "60 held-out photos are too few to choose on" in ran.stderr, ran.stderr
    ran = featx("predict", target, "--min-precision", "0.99", FEATX_STORE=str(partly.path), cwd=tmp_path)
    assert ran.returncode == 2 and "takes 300 products" in ran.stderr and "use 0.98 at most" in ran.stderr


def test_fit_tells_what_few_held_out_pictures_think_of_the_threshold(partly, featx: Run):
    ran = featx("fit", "--clf", "knn", "--folds", "3", "-q", FEATX_STORE=str(partly.path))
    assert "measured on cross-validation" in ran.stdout
    assert "60 held-out photos are too few to choose on" in ran.stdout


def test_scores_that_are_no_numbers_are_no_confidence():
    shares = probabilities(np.array([[np.nan, 0.0, 1.0], [np.inf, 0.0, 1.0], [0.0, 5.0, 0.0]]), 1.0)
    np.testing.assert_allclose(shares[:2], 1 / 3)
    assert shares[2].argmax() == 1 and DecisionRule(0.5).unsure("boots", float("nan"))
