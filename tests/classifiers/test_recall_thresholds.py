"""`fit --min-recall`: what may be of a category that must not be missed is flagged, and its cost is told."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.catalogue.items import Item
from featx.classifiers.card import training_command
from featx.classifiers.fit import fit, fit_again
from featx.classifiers.model import Classifier, load_classifier, save
from featx.classifiers.recall_thresholds import parse_min_recall
from featx.errors import FeatxError
from featx.extraction import extract
from featx.prediction.predict import Prediction, predict
from featx.prediction.review import DecisionRule, decision_rule
from featx.prediction.sheets import predictions_sheet
from featx.reporting.document import build_document
from featx.reporting.markdown import markdown
from featx.reporting.page import page
from featx.store import Store
from tests.conftest import Run, card_of
from tests.reporting.documents import catalogue, comparison


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Knives, mostly red, and spoons, mostly not: 60 products each."""
    root = tmp_path_factory.mktemp("kitchen")
    random = np.random.default_rng(7)
    for category, red in (("knives", 190), ("spoons", 90)):
        (root / "photos" / category).mkdir(parents=True)
        for item in range(60):
            colour = np.array([np.clip(random.normal(red, 35), 0, 255), *random.integers(0, 256, 2)])
            pixels = np.clip(colour + random.normal(0, 20, (12, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / "photos" / category / f"{category}{item}.png")
    return extract(root / "photos", backbone="colour", store=root / "store.h5")


@pytest.fixture(scope="module")
def made(store: Store) -> Classifier:
    return fit(store, "lda", folds=3, min_recall={"knives": 0.9})


def test_the_card_tells_what_is_caught_and_what_it_costs(made, store, tmp_path):
    (row,) = made.card.min_recall
    assert (row.category, row.target, row.measured_on) == ("knives", 0.9, "cross-validation")
    assert 50 <= row.n <= 60 and 50 <= row.others <= 60
    assert 0 < row.threshold < 1 and row.low <= row.recall <= row.high
    assert row.false_alarms_low <= row.false_alarms <= row.false_alarms_high
    path = tmp_path / "lda.safetensors"
    save(made, path)
    assert load_classifier(path).card.min_recall == [row]
    assert "Categories that must not be missed" in path.with_suffix(".md").read_text()
    assert "--min-recall knives=0.9" in training_command(made.card)
    assert [again.target for again in fit_again(made.card, store).card.min_recall] == [0.9]


def test_the_report_has_what_saved_classifiers_flag(made, store, tmp_path):
    made.save(tmp_path / "models/knives.safetensors")
    shop = catalogue(tmp_path / "photos", ["knives", "spoons"], 4, photos=8)
    compared = comparison(shop)
    report = build_document(compared, tmp_path / "report", store=store, models=tmp_path / "models")
    (row,), (kept,) = report.must_not_miss, made.card.min_recall
    assert (row.classifier, row.category) == ("knives", "knives")
    assert (row.threshold, row.recall, row.n) == (kept.threshold, kept.recall, kept.n)
    short = markdown(report)
    assert "| knives | knives | " in short and f"| 90.0% | {100 * kept.recall:.1f}% |" in short
    assert "Categories that must not be missed" in page(report, tmp_path / "report")
    other = build_document(compared, tmp_path / "report", store=store, models=tmp_path / "no-models")
    assert other.must_not_miss == [] and "must not be missed" not in markdown(other)


def test_what_may_be_of_the_category_is_flagged_whatever_the_confidence_of_another(made, store):
    answers = predict(_paths(store), made, store=store, sure=0, unlike=False)
    (row,) = made.card.min_recall
    shares = made.predict_proba(store.features)[:, made.classes.index("knives")]
    flagged = [answer.flags == ("knives",) for answer in answers]
    np.testing.assert_array_equal(flagged, shares >= row.threshold)
    assert any(flagged) and not all(flagged)
    assert all(answer.review and answer.doubt == "may be knives" for answer in answers if answer.flags)
    assert not any(answer.review for answer in answers if not answer.flags)
    assert f"{sum(flagged)} of 120 photos need a look: may be knives" in answers.summary
    assert answers[flagged.index(True)].to_dict()["flags"] == ["knives"]
    assert list(answers.to_pandas()["flags"].str.len()) == [int(flag) for flag in flagged]


def _paths(store: Store) -> list[str]:
    known = store.known()
    return [known[name].path for name in store.ids]


def test_without_the_option_answers_have_the_fields_they_had(store):
    plain = fit(store, "lda", folds=3)
    assert plain.card.min_recall == [] and "--min-recall" not in training_command(plain.card)
    (answer,) = predict(_paths(store)[:1], plain, store=store)
    assert answer.flags is None and "flags" not in answer.to_dict()


def test_several_categories_that_must_not_be_missed_are_named_together():
    rule = DecisionRule(flagged_from={"knives": 0.2, "guns": 0.1})
    flags = rule.flags({"knives": 0.2, "guns": 0.3, "spoons": 0.5})
    assert flags == ("knives", "guns") and rule.doubt("spoons", 0.5, 1, 0.5, flags) == "may be knives or guns"
    assert rule.flags({"knives": 0.19, "guns": 0.09, "spoons": 0.7}) == ()
    assert rule.flags({"knives": float("nan"), "guns": 0.09, "spoons": 0.7}) == ("knives",)


def test_what_must_not_be_missed_comes_first_on_the_page_to_decide_on():
    unsure = Prediction(Item("a", "a.jpg"), (("spoons", 0.3),), doubt="unsure", flags=())
    flagged = Prediction(Item("b", "b.jpg"), (("spoons", 0.6),), doubt="may be knives", flags=("knives",))
    sheet = predictions_sheet([unsure, flagged], ["knives", "spoons"])
    assert [photo.path for photo in sheet.photos] == ["b.jpg", "a.jpg"]
    assert sheet.photos[0].why == "needs a look: may be knives"


def test_the_nightly_run_names_what_must_not_be_missed():
    assert DecisionRule(0.9, flagged_from={"knives": 0.2}).reasons == "below 0.90 or may be knives"


def test_a_card_from_before_flags_nothing():
    assert decision_rule(card_of(["a", "b"], 3)).flagged_from == {}


@pytest.mark.parametrize(
    ("wanted", "code", "words"),
    [
        ({"knives": 0.99}, "class-too-small", "products to measure on, and a recall of 0.99 takes 300"),
        ({"knifes": 0.9}, "bad-flag", "did you mean `knives`"),
        ({"knives": 1.0}, "bad-flag", "a recall of 1 cannot be promised"),
        ({"knives": float("nan")}, "bad-flag", "a recall of nan cannot be promised"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_training(store, wanted, code, words):
    with pytest.raises(FeatxError) as refused:
        fit(store, "lda", folds=3, min_recall=wanted, progress=lambda done, total: pytest.fail("trained"))
    assert refused.value.code == code and words in str(refused.value)


def test_categories_and_shares_are_read_and_what_is_neither_is_refused():
    assert parse_min_recall(["a=b=0.9", "c=.99"]) == {"a=b": 0.9, "c": 0.99}
    for word in ("knives", "knives=", "=0.9", "knives=much", "0.9"):
        with pytest.raises(FeatxError, match="write it as"):
            parse_min_recall([word])
    with pytest.raises(FeatxError, match="names `a` more than once"):
        parse_min_recall(["a=0.9", "a=0.99"])


def test_fit_prints_the_cost_and_predict_flags(featx: Run, store, tmp_path):
    ran = featx("fit", "--clf", "lda", "--folds", "3", "--min-recall", "knives=0.9", FEATX_STORE=str(store.path))
    assert ran.returncode == 0, ran.stderr
    assert "caught of `knives`" in ran.stdout and "other products" in ran.stdout
    photos = str(store.path.parent / "photos" / "knives")
    ran = featx("predict", photos, "--json", "--sure", "0", FEATX_STORE=str(store.path))
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0 and sum(row["flags"] == ["knives"] for row in rows) >= 50
    assert "may be knives" in ran.stderr
    featx("predict", photos, "-o", "answers.csv", FEATX_STORE=str(store.path))
    with (Path(tmp_path) / "answers.csv").open(newline="") as file:
        assert {row["flags"] for row in csv.DictReader(file)} <= {"knives", ""}
    ran = featx("fit", "--clf", "lda", "--folds", "3", FEATX_STORE=str(store.path))
    assert "before flagged what may be knives" in ran.stderr and "featx fit --min-recall knives=0.9" in ran.stderr
