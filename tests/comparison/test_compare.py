"""A comparison tells who really wins: same folds, same held-out photos, tests that respect their overlap."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.classifiers.fit import fit
from featx.classifiers.model import save
from featx.comparison import Comparison, compare
from featx.comparison.document import (
    Entry,
    HeldOutScores,
    LearningPoint,
    MeanAndSpread,
    PairTest,
    Score,
    read_comparison,
)
from featx.comparison.evaluate import evaluate
from featx.comparison.learning_curve import doubling
from featx.comparison.scoring import recommend
from featx.errors import FeatxError
from featx.extraction import extract
from featx.metrics.significance import (
    LIMIT,
    MARGIN,
    corrected_t,
    holm,
    levels,
    sign_flips,
    spread_of,
    verdict,
    widen_to_resolution,
)
from featx.store import Store
from tests.conftest import Run, photo


def shop(root: Path, held: bool = True, products: int = 5) -> Path:
    """Three categories of products with two shots each; the last product of each is held out."""
    lines = ["path,label,product,split,family"]
    for c, category in enumerate(["feet/boots", "feet/shoes", "table/mugs"]):
        for product in range(products):
            for shot in range(2):
                name = f"{category.replace('/', '-')}{product}-{shot}.jpg"
                photo(root / name, seed=100 * c + 10 * product + shot)
                split = "test" if held and product == products - 1 else "train"
                lines.append(f"{name},{category},{category}{product},{split},{category.split('/')[0]}")
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    return root / "list.csv"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def stores(table: Path) -> list[Store]:
    """The same photos through two backbones."""
    return [extract(table, backbone=name, store=table.parent / f"{name}.h5") for name in ("colour", "builtin")]


@pytest.fixture(scope="module")
def comparison(stores: list[Store]) -> Comparison:
    return compare(stores, "svm,knn", folds=2, curve=True)


def test_every_classifier_on_every_store_beside_its_baselines(comparison):
    entries = {entry.name: entry for entry in comparison.entries}
    assert {(store, clf) for store in ("colour", "builtin") for clf in ("svm", "knn", "centroid")} < set(entries)
    assert ("colour", "most-frequent") in entries
    assert {clf for (_, clf), entry in entries.items() if entry.baseline} == {"centroid", "most-frequent"}
    for entry in entries.values():
        assert entry.test.n == 6 and len(entry.cv.accuracy.folds) == 2
        assert entry.test.accuracy.low <= entry.test.accuracy.value <= entry.test.accuracy.high


def test_the_document_is_plain_json_of_the_agreed_shape(comparison, tmp_path):
    document = json.loads(comparison.save(tmp_path / "deep" / "comparison.json").read_text())
    assert document["schema"] == "featx-comparison/1"
    wanted = {"settings", "stores", "entries", "tests", "best", "details", "learning_curve", "seconds", "machine"}
    assert wanted <= set(document)
    assert {"FX101"} <= {check["code"] for check in document["stores"][0]["checks"]}
    details = document["details"][f"{document['best']['store']}/{document['best']['clf']}"]
    assert details["measured_on"] == "test" and len(details["ids"]) == len(details["truth"]) == 6
    assert {"per_class", "confusions", "reliability", "coverage"} <= set(details)


def test_fit_compare_and_evaluate_give_one_score_the_same_interval(stores, comparison):
    model = fit(stores[0], "svm", folds=2)
    entry = next(entry for entry in comparison.entries if entry.name == ("colour", "svm"))
    alone = compare(stores[0], "svm", folds=2, colour=False).entries[0]
    scored = evaluate(model, stores[0]).scores["accuracy"]
    recorded = model.card.test
    for score in (entry.test.accuracy, alone.test.accuracy, scored):
        assert score.value == pytest.approx(recorded.accuracy, abs=1e-4)
        assert [score.low, score.high] == pytest.approx(recorded.ci95, abs=1e-4)
    folds, recorded = alone.cv.accuracy, model.card.cv
    assert folds.mean == pytest.approx(recorded.accuracy, abs=1e-4)
    assert [folds.low, folds.high] == pytest.approx(recorded.ci95, abs=1e-4)


def test_the_same_seed_gives_the_same_comparison(stores, comparison):
    again = compare(stores, "svm,knn", folds=2)
    for entry, other in zip(comparison.entries, again.entries, strict=True):
        assert (entry.cv, entry.test) == (other.cv, other.test)


def test_a_comparison_becomes_a_table(comparison, tmp_path):
    frame = comparison.to_pandas()
    assert len(frame) == len(comparison.entries) and frame["best"].sum() == 1
    assert comparison.best.why in repr(comparison)
    assert comparison._repr_html_().count("<tr>") == len(comparison.entries) + 1
    renamed = json.loads(json.dumps(comparison.to_dict()).replace('"knn"', '"<script>"'))
    shown = Comparison(read_comparison(renamed))._repr_html_()
    assert "<table>" in shown and "<script>" not in shown and "&lt;script&gt;" in shown
    with comparison.save(tmp_path / "table.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(comparison.entries)
    with pytest.raises(FeatxError, match="cannot write"):
        comparison.save(tmp_path / "table.docx")


def test_nested_folders_and_columns_are_a_coarser_level(stores, comparison):
    entry = comparison.entries[0]
    assert entry.coarse.level == "the folder above" and entry.coarse.classes == 2
    assert entry.coarse.test.value >= entry.test.accuracy.value
    by_column = compare(stores[0], "centroid", folds=2, coarse="family", colour=False).entries[0]
    assert by_column.coarse.level == "family"
    with pytest.raises(FeatxError, match="no column `famly`"):
        compare(stores[0], "centroid", coarse="famly")


def test_the_learning_curve_grows_in_pictures_and_ends_with_all(comparison):
    curve = comparison.document.learning_curve
    assert all(point.n < following.n for point, following in pairwise(curve))
    assert curve[-1].n == 24 and comparison.document.doubling.why


def test_doubling_follows_a_power_law_and_promises_nothing_else():
    def curve(accuracies):
        return [LearningPoint(i, MeanAndSpread(a), 10 * 2**i) for i, a in enumerate(accuracies)]

    expected = doubling(curve([1 - 0.5 * 0.8**i for i in range(5)]))
    assert expected.accuracy == pytest.approx(1 - 0.5 * 0.8**5)
    assert doubling(curve([0.5, 0.6, 0.7, 0.7, 0.7])).accuracy is None
    assert doubling(curve([0.5, 0.6])).accuracy is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-0.3, 0.3), min_size=3, max_size=20), st.floats(0.05, 1))
def test_the_corrected_t_test_is_nadeau_and_bengios(differences, ratio):
    from scipy.stats import t

    values = np.array(differences)
    if values.std(ddof=1) < 1e-6:
        return
    error = np.sqrt(values.var(ddof=1) * (1 / len(values) + ratio))
    reference = t(df=len(values) - 1, loc=0, scale=error)
    difference = corrected_t(values, ratio)
    assert difference.p == pytest.approx(2 * reference.sf(abs(values.mean())), abs=1e-9)
    low, high = t.interval(0.95, df=len(values) - 1, loc=values.mean(), scale=error)
    assert (difference.low, difference.high) == (pytest.approx(low), pytest.approx(high))


def test_without_overlap_the_corrected_t_test_is_the_paired_one():
    from scipy.stats import ttest_1samp

    values = np.random.default_rng(0).normal(0.02, 0.03, 10)
    assert corrected_t(values, 0).p == pytest.approx(ttest_1samp(values, 0).pvalue)
    spread = spread_of(values, 0.25)
    assert spread["mean"] == pytest.approx(values.mean()) and spread["sd"] == pytest.approx(values.std(ddof=1))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_many_tests_are_corrected_as_holm_does(p_values):
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, index in enumerate(order):
        expected = max(min(1, (len(p_values) - i) * p_values[order[i]]) for i in range(rank + 1))
        assert holm(p_values)[index] == pytest.approx(expected)


def test_sign_flips_agree_with_the_exact_binomial_test():
    from scipy.stats import binomtest

    right, others = np.ones(40, bool), np.ones(40, bool)
    right[:4], others[4:20] = False, False
    difference = sign_flips(right, others, np.arange(40))
    assert difference.p == pytest.approx(binomtest(4, 20).pvalue, abs=0.006)
    assert difference.difference == pytest.approx(12 / 40)
    assert difference.low < difference.difference < difference.high
    assert sign_flips(right, right, np.arange(40)).p == 1


def test_pictures_of_one_product_count_as_one_in_the_test():
    right, others = np.ones(40, bool), np.ones(40, bool)
    others[:10] = False
    together = sign_flips(right, others, np.arange(40) // 10)
    assert together.p > 0.3 > sign_flips(right, others, np.arange(40)).p
    assert verdict(together) == "tie" and verdict(sign_flips(right, others, np.arange(40))) == "a"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 60), st.integers(1, 4), st.sampled_from([0.05, 0.01, 0.002]))
def test_the_interval_on_held_out_pictures_leaves_zero_out_just_when_the_test_says_so(seed, products, shots, level):
    random = np.random.default_rng(seed)
    groups = np.arange(products * shots) // shots
    right, others = (random.uniform(size=len(groups)) < chance for chance in (0.8, random.uniform(0.2, 0.9)))
    difference = widen_to_resolution(sign_flips(right, others, groups, level=level), products, level)
    assert difference.low <= difference.difference <= difference.high
    assert (difference.p <= level) == (difference.low > 0 or difference.high < 0)
    turned = sign_flips(others, right, groups, level=level)
    assert turned.difference == -difference.difference


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(-0.1, 0.12), min_size=5, max_size=5), min_size=1, max_size=8))
def test_over_folds_interval_p_and_verdict_agree_however_many_pairs_are_tested(rows):
    first = [corrected_t(row, 0.25, sizes=[20] * 5) for row in rows]
    chances = [difference.p for difference in first]
    for row, p, level in zip(rows, holm(chances), levels(chances), strict=True):
        widened = widen_to_resolution(corrected_t(row, 0.25, sizes=[20] * 5, level=level), 50, level)
        assert level <= LIMIT and widened.low <= widened.difference <= widened.high
        assert (p <= LIMIT) == (widened.low > 0 or widened.high < 0) == (verdict(widened) != "tie")


def test_a_few_products_show_nobody_to_be_as_good():
    for products, shown in ((20, False), (1000, True)):
        right = np.ones(products, bool)
        difference = widen_to_resolution(sign_flips(right, right, np.arange(products)), products)
        assert (difference.high <= MARGIN) is shown and difference.p == 1
    same = corrected_t([0.1, 0.1], 1.0, sizes=[10, 10])
    assert same.p > 0.05 and same.low < 0 < same.high


def test_who_lies_far_behind_is_not_called_as_good_and_nor_is_who_loses_to_a_baseline():
    def entry(clf, value, baseline=False):
        accuracy = Score(value, value - 0.1, value + 0.1)
        return Entry("s", clf, baseline, test=HeldOutScores(accuracy=accuracy, n=85))

    def pair(other, low, high):
        winner = "a" if low > 0 else "tie"
        return PairTest(a=("s", "svm"), b=("s", other), difference=0.0, low=low, high=high, verdict=winner)

    class Aligned:
        names, grouped_by = ("s",), "product"

    entries = [entry("svm", 0.9), entry("knn", 0.743), entry("lda", 0.9), entry("rf", 0.6), entry("logreg", 0.88)]
    entries.append(entry("centroid", 0.7, True))
    tests = [pair("knn", -0.05, 0.36), pair("lda", -0.01, 0.01), pair("rf", -0.1, 0.4), pair("logreg", 0.005, 0.018)]
    best = recommend(entries, range(5), tests, SimpleNamespace(aligned=Aligned))
    assert best.alike == [("s", "lda"), ("s", "logreg")]
    assert (best.ties, best.below) == ([("s", "knn")], [("s", "rf")])
    assert "lda and logreg are as good (at most 2 points behind); knn may be as good" in best.why
    entries[-1] = entry("centroid", 0.95, True)
    assert (
        "`centroid` is right as often or more (95.0%)"
        in recommend(entries, range(5), tests, SimpleNamespace(aligned=Aligned)).why
    )


def test_one_product_per_category_is_said_and_not_scored(tmp_path):
    store = extract(shop(tmp_path, held=False, products=1), backbone="colour", store=tmp_path / "s.h5")
    with pytest.raises(FeatxError, match="each category has a single product") as caught:
        compare(store, "knn", folds=3)
    assert caught.value.code == "class-too-small"


def test_fewer_products_than_folds_says_how_many_folds_there_can_be(tmp_path):
    store = extract(shop(tmp_path, held=False, products=2), backbone="colour", store=tmp_path / "s.h5")
    with pytest.raises(FeatxError, match="fewer than two categories have 5 products") as caught:
        compare(store, "knn", folds=5)
    assert "--folds 2" in caught.value.hint
    assert compare(store, "knn", folds=2).best.clf == "knn"


@pytest.mark.long
def test_photos_that_are_gone_leave_the_colour_baseline_out_and_say_so(tmp_path):
    store = extract(shop(tmp_path), backbone="builtin", store=tmp_path / "s.h5")
    with_colour = compare(store, "knn", folds=2, cache=tmp_path / "cache" / "colour.npz")
    assert "colour" in {entry.store for entry in with_colour.entries}
    for path in tmp_path.glob("*.jpg"):
        path.unlink()
    assert "colour" in {
        entry.store for entry in compare(store, "knn", folds=2, cache=tmp_path / "cache/colour.npz").entries
    }
    gone = compare(store, "knn", folds=2)
    assert any("colour baseline was left out" in note for note in gone.document.notes)


def test_stores_of_other_photos_cannot_be_compared(stores, tmp_path):
    photo(tmp_path / "p/a/x.jpg")
    photo(tmp_path / "p/b/y.jpg", seed=1)
    other = extract(tmp_path / "p", backbone="colour", store=tmp_path / "other.h5")
    with pytest.raises(FeatxError, match="no labelled photo in common"):
        compare([stores[0], other], "knn")


def test_a_saved_classifier_is_scored_on_what_it_never_learned(stores):
    model = fit(stores[0], "svm", folds=2)
    evaluation = evaluate(model, stores[0])
    assert evaluation.n == 6 and evaluation.left_out == 0
    assert evaluation.scores["accuracy"].value == pytest.approx(model.card.test.accuracy, abs=1e-4)
    assert evaluation.matrix.sum() == 6
    assert np.trace(evaluation.matrix) == round(evaluation.scores["accuracy"].value * 6)
    assert evaluation.unscored == []
    with pytest.raises(FeatxError, match="were used for training"):
        evaluate(model, stores[0], ["train"])
    with pytest.raises(FeatxError, match="was trained on features of backbone"):
        evaluate(model, stores[1])
    assert "<table>" in evaluation._repr_html_() and len(evaluation.to_pandas()) == 3


def test_categories_without_a_picture_to_score_are_named_and_left_out(featx: Run, stores, table, tmp_path):
    lines = table.read_text().splitlines()
    few = [lines[0], *(line for line in lines[1:] if "mugs" not in line or line.split(",")[3] == "train")]
    (table.parent / "few.csv").write_text("\n".join(few) + "\n")
    store = extract(table.parent / "few.csv", backbone="colour", store=tmp_path / "few.h5")
    save(fit(store, "svm", folds=2), tmp_path / "artifacts" / "models" / "svm.safetensors")
    ran = featx("evaluate", "--json", FEATX_STORE=str(store.path))
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["categories_without_a_picture"] == ["table/mugs"] and "1 category has no photo here" in ran.stderr
    assert document["scores"]["macro_recall"] == document["scores"]["balanced_accuracy"]


def test_compare_extracts_saves_and_tells_the_twins(featx: Run, table, tmp_path):
    words = ["--clf", "knn", "--folds", "2", "--json", "-o", "table.csv"]
    ran = featx("compare", str(table), "-b", "colour", *words)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == json.loads((tmp_path / "artifacts/reports/comparison.json").read_text())
    assert "near-duplicate" in ran.stderr and (tmp_path / "table.csv").exists()


def test_evaluate_prints_every_category_and_writes_the_matrix(featx: Run, stores, tmp_path):
    save(fit(stores[0], "centroid", folds=2), tmp_path / "artifacts/models/centroid.safetensors")
    ran = featx("evaluate", "-o", "matrix.csv", FEATX_STORE=str(stores[0].path))
    assert ran.returncode == 0, ran.stderr
    assert [line.split("\t")[0] for line in ran.stdout.splitlines()] == ["feet/boots", "feet/shoes", "table/mugs"]
    with (tmp_path / "matrix.csv").open(encoding="utf-8-sig") as file:
        assert len(list(csv.reader(file))) == 4


def test_a_store_from_elsewhere_is_compared_where_there_is_none_yet(featx: Run, stores):
    ran = featx("compare", "-s", str(stores[0].path), "--clf", "centroid", "--folds", "2", "--fast")
    assert ran.returncode == 0 and "error" not in ran.stderr, ran.stderr


def test_bench_is_another_name_of_compare(featx: Run):
    assert "whether the difference is real" in " ".join(featx("bench", "--help").stdout.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare", "--clf", "svn"], "no classifier called"),
        (["compare", "-o", "x.docx"], "cannot write"),
        (["compare", "-b", "colour"], "needs photos"),
        (["compare", "--test", "tset"], "belongs to split `tset`"),
        (["evaluate", "-o", "x.xlsx"], "cannot write"),
    ],
)
def test_a_wrong_value_is_an_error_with_a_hint(featx: Run, stores, words, message):
    ran = featx(*words, FEATX_STORE=str(stores[0].path))
    assert ran.returncode == 2 and message in " ".join(ran.stderr.split()) and "hint:" in ran.stderr and not ran.stdout


def test_what_people_decided_about_labels_counts_in_a_comparison_as_in_training(tmp_path, workplace):
    from featx.labels.decisions import record, where

    store = extract(shop(tmp_path / "shop"), backbone="colour", store=tmp_path / "s.h5")
    assert "table/mugs" in compare(store, "knn", folds=2, colour=False).document.stores[0].categories
    model = fit(store, "knn", folds=2)
    mugs = [item_id for item_id, label in zip(store.ids, store.labels, strict=True) if label == "table/mugs"]
    lines = ["id,decision,new_label", *(f"{item_id},change,feet/boots" for item_id in mugs)]
    (tmp_path / "answers.csv").write_text("\n".join(lines) + "\n")
    record(tmp_path / "answers.csv", store, where())
    again = compare(store, "knn", folds=2, colour=False).document
    assert again.stores[0].categories == ["feet/boots", "feet/shoes"]
    assert evaluate(model, tmp_path / "s.h5").scores["accuracy"].value <= 4 / 6


def test_a_saved_comparison_is_read_as_it_was_written_and_damage_is_named_with_its_place(comparison, tmp_path):
    plain = json.loads(comparison.save(tmp_path / "comparison.json").read_text())
    assert plain == comparison.to_dict() and read_comparison(plain) == comparison.document
    damaged = [
        ({**plain, "entries": 5}, r"Expected `array`, got `int` - at `\$\.entries`"),
        ({**plain, "best": {"store": "colour"}}, r"missing required field `clf` - at `\$\.best`"),
        ({**plain, "seconds": float("nan")}, "`seconds` is not a number"),
        ({key: value for key, value in plain.items() if key != "stores"}, "missing required field `stores`"),
    ]
    for broken, message in damaged:
        with pytest.raises(ValueError, match=message):
            read_comparison(broken)
