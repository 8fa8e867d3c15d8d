"""`featx fit --with`: columns count where they help, nothing is lost where they do not, and leaks are named."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from featx.classifiers.card import training_command
from featx.classifiers.columns.category_words import category_words
from featx.classifiers.columns.leaks import CategoryNames, alike_groups, stands_for_category
from featx.classifiers.columns.learning import learn_texts
from featx.classifiers.columns.of_store import columns_of
from featx.classifiers.columns.values import Kind
from featx.classifiers.fit import fit, fit_again
from featx.classifiers.model import Classifier, load_classifier
from featx.errors import FeatxError
from featx.text.records import PhotoText
from tests.conftest import photo


@pytest.fixture(scope="session")
def fused(carton_shop) -> Classifier:
    return fit(carton_shop, "logreg", folds=3, columns=["title", "price", "brand"])


def test_columns_count_where_the_photos_cannot_tell(fused):
    record = fused.card.columns
    assert record.way != "photo" and fused.wants == ["title", "price", "brand"]
    assert [column.kind for column in record.columns] == ["text", "number", "choice"]
    assert record.test.both > record.test.photo + 0.2 and record.cv.p < 0.05
    assert record.decided and record.decided[0].truth == record.decided[0].both != record.decided[0].photo
    # What was tried, the photo alone first.
    assert [trial.name for trial in record.tried][:2] == ["photo", "columns"]


def test_the_words_that_speak_for_a_category_are_counted_by_products(fused):
    words = {label: {word.word for word in words} for label, words in fused.card.columns.words.items()}
    assert {"blue", "berries", "wild"} & words["blueberry"] and words["vanilla"] <= {"bourbon", "pods", "sweet"}
    assert "yoghurt" not in set().union(*words.values())  # on all of them
    columns = {"title": ["oat x", "oat x", *["oat"] * 5, *["rye"] * 8, None]}
    labels, products = ["a"] * 7 + ["b"] * 9, np.array([0, *range(15)])
    (word,) = category_words(columns, {"title": Kind.TEXT}, labels, products)["a"]
    assert (word.word, word.here, word.of, word.elsewhere, word.others) == ("oat", 6, 6, 0, 8)


def test_a_photo_without_columns_gets_the_answer_of_the_photo(fused, carton_shop):
    x = carton_shop.features[:6]
    alone = replace(fused, fusion=None).predict(x)
    np.testing.assert_array_equal(fused.predict(x), alone)
    nothing = {"title": [None] * 6, "price": [""] * 6}
    np.testing.assert_array_equal(fused.predict(x, nothing), alone)
    np.testing.assert_allclose(fused.predict_proba(x, nothing).sum(axis=1), 1)


@pytest.mark.parametrize("way", ["averaged", "joined", "stacked"])
def test_every_way_is_saved_and_answers_the_same_again(carton_shop, tmp_path, monkeypatch, way):
    monkeypatch.setattr(
        "featx.classifiers.columns.trials.Trials.chosen",
        lambda self, trials: (next(trial for trial in trials if trial.name == way), [0.0] * 3),
    )
    model = fit(carton_shop, "logreg", folds=3, columns=["title", "price", "brand"])
    model.save(tmp_path / "m.safetensors")
    again = load_classifier(tmp_path / "m.safetensors")
    columns = columns_of(carton_shop, range(len(carton_shop)), again.wants)
    assert again.card.columns.way == way
    np.testing.assert_array_equal(
        again.predict_proba(carton_shop.features, columns), model.predict_proba(carton_shop.features, columns)
    )


def test_enough_held_out_photos_decide_and_not_the_folds(carton_shop, monkeypatch):
    """Folds of one shop flatter the photo; held-out photos are scored by what the other half of them chose."""
    monkeypatch.setattr("featx.classifiers.columns.held_out.CALIBRATING", 10)
    monkeypatch.setattr("featx.classifiers.columns.held_out.FEWEST", 3)
    record = fit(carton_shop, "logreg", folds=3, columns=["title"]).card.columns
    names = [trial.name for trial in record.tried_on_held_out]
    assert names == ["photo", "columns", "averaged", "joined"] and record.tried_on_held_out[0].n == 12
    best = max((trial for trial in record.tried_on_held_out if trial.name != "columns"), key=lambda t: t.correct)
    assert record.way == (best.name if record.tried_on_held_out[names.index(best.name)].p < 0.05 else "photo")


def test_where_held_out_photos_decide_the_examples_are_theirs(carton_shop, monkeypatch):
    monkeypatch.setattr("featx.classifiers.columns.held_out.CALIBRATING", 10)
    monkeypatch.setattr("featx.classifiers.columns.held_out.clearly_best", lambda right, groups: (1, [0.01, 0.5]))
    decided = fit(carton_shop, "logreg", folds=3, columns=["title"]).card.columns.decided
    splits = dict(zip(carton_shop.ids, carton_shop.splits, strict=True))
    assert decided and {splits[photo.id] for photo in decided} == {"test"}
    assert all(photo.photo != photo.both and photo.text for photo in decided)


def test_where_columns_do_not_help_the_photo_alone_answers(carton_shop):
    model = fit(carton_shop, "logreg", folds=3, columns=["brand"])
    assert model.card.columns.way == "photo" and model.wants == [] and model.fusion is None
    plain = fit(carton_shop, "logreg", folds=3)
    np.testing.assert_array_equal(model.predict_proba(carton_shop.features), plain.predict_proba(carton_shop.features))


def test_with_too_few_products_to_score_nothing_is_tried(carton_shop):
    record = fit(carton_shop, "logreg", folds=40, columns=["title"]).card.columns
    assert record.way == "photo" and record.cv is None


def test_the_card_trains_it_again_with_the_same_columns(fused, carton_shop):
    again = fit_again(fused.card, carton_shop)
    assert again.wants == fused.wants and again.card.columns.way == fused.card.columns.way


def test_a_column_that_is_the_category_by_another_name_is_named(carton_shop):
    model = fit(carton_shop, "logreg", folds=3, columns=["kind"])
    assert model.card.columns.columns[0].stands


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["titel"], "no column `titel`"),
        (["text"], "no text was read"),
        (["notes"], "empty"),
        (["label"], "category itself"),
    ],
)
def test_a_column_that_cannot_be_learned_from_is_refused(carton_shop, names, why):
    with pytest.raises(FeatxError, match=why) as refused:
        fit(carton_shop, "logreg", folds=3, columns=names)
    assert refused.value.code == "bad-column"


def test_read_text_is_among_the_columns_of_a_store(carton_shop, monkeypatch):
    monkeypatch.setattr("featx.classifiers.columns.of_store.photo_texts", lambda store: {"a": PhotoText()})
    with pytest.raises(FeatxError) as refused:
        fit(carton_shop, "logreg", folds=3, columns=["txt"])
    assert "did you mean `text`" in refused.value.hint


def test_the_name_of_a_category_is_seen_in_its_titles_and_left_out():
    names = CategoryNames.of(["Fruit/Golden-Apple", "boots"])
    titles = ["Golden apples 1 kg", "Apple pie", "Warm boot", None]
    assert names.named(titles, ["Fruit/Golden-Apple", "Fruit/Golden-Apple", "boots", "boots"]) == pytest.approx(2 / 3)
    left = names.without({"title": titles}, {"title": Kind.TEXT})
    assert left["title"] == ["1 kg", "pie", "warm", None]


def test_items_with_the_same_title_stay_together_in_the_folds():
    titles = ["Oat drink one litre", "oat DRINK, one litre", "Oat drink two litres", "Oat", "Oat", None]
    groups = alike_groups({"title": titles}, {"title": Kind.TEXT}, ["a"] * 6, np.arange(6))
    assert groups[0] == groups[1] and len(set(groups.tolist())) == 5


def test_a_column_of_departments_stands_for_the_category():
    labels, groups = ["a"] * 6 + ["b"] * 6, np.arange(12)
    assert stands_for_category(["x"] * 6 + ["y"] * 6, labels, groups)
    assert not stands_for_category(["x", "y"] * 6, labels, groups)
    assert not stands_for_category([f"title {i}" for i in range(12)], labels, groups)


def test_the_command_says_what_the_columns_did(featx, carton_shop, tmp_path):
    ran = featx("fit", "--clf", "logreg", "--folds", "3", "--with", "title,kind", "--store", str(carton_shop.path))
    assert ran.returncode == 0, ran.stderr
    assert "tried in the same folds: photo alone" in ran.stdout and "on held-out photos:" in ran.stdout
    assert "FX108" in ran.stderr
    card = json.loads((tmp_path / "artifacts/models/logreg.json").read_text())
    assert card["columns"]["way"] in ("averaged", "joined", "stacked")


def test_texts_count_by_their_meaning_too_and_are_trained_so_again(carton_shop, tmp_path, monkeypatch):
    rows = dict(zip("bvmspw", np.eye(6, 384, dtype=np.float32), strict=True))
    monkeypatch.setattr(
        "featx.classifiers.columns.learning.meaning_rows",
        lambda texts: np.array([rows.get(text[0], rows["b"]) for text in texts]),
    )
    monkeypatch.setattr("featx.classifiers.columns.use.open_sentences", lambda: None)
    model = fit(carton_shop, "logreg", folds=3, columns=["title"], sentences=True)
    assert model.card.columns.columns[0].kind == "meaning" and model.card.reads_meanings
    assert "--sentences" in training_command(model.card)
    model.save(tmp_path / "m.safetensors")
    again = load_classifier(tmp_path / "m.safetensors")
    columns = columns_of(carton_shop, range(len(carton_shop)), ["title"])
    np.testing.assert_array_equal(
        again.predict_proba(carton_shop.features, columns), model.predict_proba(carton_shop.features, columns)
    )
    assert again.fusion.encoder.encoders["title"].width > 384


@pytest.mark.parametrize("columns", [[], ["price"]])
def test_sentences_without_a_column_of_texts_are_refused(carton_shop, columns):
    with pytest.raises(FeatxError, match="need a column of texts"):
        fit(carton_shop, "logreg", folds=3, columns=columns, sentences=True)


HOSTILE = [
    '=HYPERLINK("http://evil","x")',
    "\x1b[2J\x1b]0;owned\x07",
    "<script>alert(1)</script>",
    "a\u202eb | `c`",
]


def test_hostile_titles_are_harmless_on_the_terminal_and_on_the_card(featx, tmp_path):
    lines = ["path,label,title"]
    for i in range(24):
        label, word = ("boots", "laced") if i % 2 else ("hats", "brim")
        photo(tmp_path / f"{i}.jpg", seed=i, size=(16, 16))
        title = f"{word} {HOSTILE[i % 4]} {word} {i}".replace('"', '""').replace("\n", " ")
        lines.append(f'{i}.jpg,{label},"{title}"')
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert featx("extract", "list.csv", "-b", "colour", "--store", "s.h5").returncode == 0
    ran = featx("fit", "--clf", "logreg", "--folds", "3", "--with", "title", "--store", "s.h5")
    assert ran.returncode == 0, ran.stderr
    shown = ran.stdout + ran.stderr + featx("info", "--store", "s.h5").stdout
    assert "laced" in shown and not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", shown)
    models = tmp_path / "artifacts" / "models"
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", (models / "logreg.json").read_text(encoding="utf-8"))
    assert "<script" not in (models / "logreg.md").read_text(encoding="utf-8")


def test_a_text_of_ten_thousand_words_costs_little_and_counts(carton_shop):
    encoder = learn_texts(["oat drink", "oat drink", " ".join(f"word{i}" for i in range(10_000))])
    assert np.isfinite(encoder.encode(["oat " * 10_000])).all() and len(encoder.pieces) < 5_000
