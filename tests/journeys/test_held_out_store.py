"""`--test STORE`: another store is scored once, and nothing it shares with what was learned from counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featx.classifiers.fit import fit
from featx.classifiers.model import save
from featx.classifiers.promotion import decide_promotion
from featx.comparison import compare
from featx.comparison.evaluate import evaluate
from featx.errors import FeatxError
from featx.extraction import extract
from featx.labels.training_set import held_out_of, training_set_of
from featx.prediction.predict import predict
from featx.prediction.suggest import suggest
from featx.store import Row, Store, StoreWriter, open_store
from tests.conftest import Run, photo


def shop(root: Path, products: range) -> Path:
    """Three nested categories of products with two shots each; one product is in every shop's `test` split."""
    lines = ["path,label,product,split,family"]
    for c, category in enumerate(["feet/boots", "feet/shoes", "table/mugs"]):
        for product in products:
            for shot in range(2):
                name = f"{category.replace('/', '-')}{product}-{shot}.jpg"
                photo(root / name, seed=100 * c + 10 * product + shot)
                split = "test" if product == products[-1] else "train"
                lines.append(f"{name},{category},{category}{product},{split},{category.split('/')[0]}")
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    return root / "list.csv"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> list[Store]:
    """What is learned from, through two backbones."""
    table = shop(tmp_path_factory.mktemp("home"), range(5))
    return [extract(table, backbone=name, store=table.parent / f"{name}.h5") for name in ("colour", "builtin")]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> list[Store]:
    """Another shop, which shares one product (the fourth) with the first."""
    table = shop(tmp_path_factory.mktemp("other"), range(3, 8))
    return [extract(table, backbone=name, store=table.parent / f"{name}.h5") for name in ("colour", "builtin")]


def test_all_labelled_pictures_of_the_other_store_are_scored_but_those_learned_from(home, other):
    model = fit(home[0], "centroid", folds=2, test_store=other[0])
    learned = {home[0].digests[i] for i in training_set_of(home[0]).learn}
    rows = [i for i in range(len(other[0])) if other[0].digests[i] not in learned]
    assert len(rows) == 24 and model.card.learned_in_test == 6 and model.card.n == 24
    right = (model.predict(other[0].features[rows]) == np.array(other[0].labels)[rows]).mean()
    assert model.card.test.n == 24 and model.card.test.accuracy == pytest.approx(right, abs=1e-4)
    assert model.card.test_store == str(other[0].path)


def test_its_interval_draws_whole_products(home, other):
    held = held_out_of(home[0], elsewhere=other[0])
    assert len(held) == 24 and len(set(held.groups.tolist())) == 12
    low, high = fit(home[0], "centroid", folds=2, test_store=other[0]).card.test.ci95
    assert 0 <= low <= high <= 1 and high - low > 0


def test_a_store_made_otherwise_is_refused_with_what_differs(home, other):
    for made in (
        lambda: fit(home[0], "centroid", test_store=other[1]),
        lambda: compare(home[0], "knn", test_stores=[other[1]]),
    ):
        with pytest.raises(FeatxError, match="was made with backbone builtin") as caught:
            made()
        assert caught.value.code == "other-backbone" and "colour" in caught.value.hint


def with_another_fingerprint(store: Store, path: Path, **changes: object) -> Store:
    """The rows of a store in another one, as if its features had been made differently."""
    with StoreWriter.open(path, replace(store.fingerprint, **changes)) as writer:  # type: ignore[arg-type]
        writer.append(
            [
                Row(row.item_id, row.path, row.digest, row.label, row.product, row.split, row.extra, features)
                for row, features in zip(store.known().values(), store.features, strict=True)
            ]
        )
        writer.seal()
    return open_store(path)


@pytest.mark.parametrize("precision", ["int8", "bf16", "fp16"])
def test_features_of_another_precision_never_mix(home, other, tmp_path, precision):
    lower = with_another_fingerprint(other[0], tmp_path / "lower.h5", precision=precision)
    model = fit(home[0], "centroid", folds=2)
    for mixed in (
        lambda: predict([other[0].paths[0]], model, store=lower),
        lambda: evaluate(model, lower),
        lambda: suggest(lower, model),
        lambda: fit(home[0], "centroid", folds=2, test_store=lower),
        lambda: compare(home[0], "knn", folds=2, test_stores=[lower]),
    ):
        with pytest.raises(FeatxError, match=rf"precision.*({precision}|fp32).*({precision}|fp32)") as caught:
            mixed()
        assert caught.value.code == "other-backbone"
    with pytest.raises(FeatxError, match=f"precision {precision}, but this run asks for precision fp32"):
        StoreWriter.open(lower.path, home[0].fingerprint)


def test_the_very_store_that_is_learned_from_cannot_test_it(home, tmp_path):
    table = shop(tmp_path, range(3))
    store = extract(table, backbone="colour", store=tmp_path / "s.h5")
    assert len(held_out_of(store, elsewhere=store)) == 6
    table.write_text(table.read_text().replace(",test,", ",train,"))
    again = extract(table, backbone="colour", store=tmp_path / "t.h5")
    with pytest.raises(FeatxError, match="all 18 are used for training"):
        fit(again, "centroid", folds=2, test_store=again)


def test_compare_scores_every_backbone_on_its_own_store_of_the_same_pictures(home, other):
    compared = compare(home, "knn", folds=2, test_stores=other[::-1], coarse="family")
    document = compared.to_dict()
    assert document["settings"]["n_test"] == 24 and document["settings"]["n_learn"] == 24
    assert document["settings"]["test"] == [str(store.path) for store in other[::-1]]
    assert any("6 photos" in note and "not scored" in note for note in document["notes"])
    for entry in compared.entries:
        assert entry.test.n == 24 and entry.coarse.test.value >= entry.test.accuracy.value
    model = fit(home[0], "knn", folds=2, test_store=other[0])
    entry = next(entry for entry in compared.entries if entry.name == ("colour", "knn"))
    assert entry.test.accuracy.value == pytest.approx(model.card.test.accuracy, abs=1e-4)


def test_a_store_that_belongs_to_none_of_the_compared_ones_is_refused(home, other):
    with pytest.raises(FeatxError, match="matches none"):
        compare(home[0], "knn", folds=2, test_stores=other)


def test_an_update_is_judged_on_the_other_store_too(home, other, tmp_path):
    model = fit(home[0], "centroid", folds=2, test_store=other[0])
    save(model, tmp_path / "centroid.safetensors")
    verdict = decide_promotion(tmp_path / "centroid.safetensors", model, home[0], other[0])
    assert verdict.n == 24 and verdict.replace and f"{model.card.test.accuracy:.1%}" in verdict.sentence


def test_both_commands_take_a_store_where_they_take_a_split(featx: Run, home, other, tmp_path):
    words = ["--test", str(other[0].path)]
    ran = featx("fit", "--clf", "centroid", "--folds", "2", "--update", *words, FEATX_STORE=str(home[0].path))
    assert ran.returncode == 0, ran.stderr
    assert "24 photos" in ran.stdout and "6 photos of" in ran.stderr and "left out" in ran.stderr
    ran = featx("compare", "--clf", "knn", "--folds", "2", "--fast", "--json", *words, FEATX_STORE=str(home[0].path))
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["settings"]["n_test"] == 24


@pytest.mark.parametrize(
    ("value", "message"),
    [("nowhere.h5", "no store at"), ("test,nowhere.h5", "both a split and a store"), ("a.h5,b.h5", "no store at")],
)
def test_a_wrong_store_is_an_error_with_a_hint(featx: Run, home, value, message):
    for command in ("fit", "compare"):
        ran = featx(command, "--test", value, FEATX_STORE=str(home[0].path))
        assert ran.returncode in (2, 4) and message in " ".join(ran.stderr.split()) and "hint:" in ran.stderr


def test_a_store_of_other_categories_is_refused_in_words_not_scored_as_all_wrong(home, tmp_path):
    for number in range(3):
        photo(tmp_path / "hats" / f"{number}.jpg", seed=900 + number)
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"hats/{n}.jpg,hats\n" for n in range(3)))
    hats = extract(tmp_path / "list.csv", backbone="colour", store=tmp_path / "hats.h5")
    with pytest.raises(FeatxError, match="has a category that centroid knows") as refused:
        evaluate(fit(home[0], "centroid", folds=2), hats)
    assert refused.value.code == "class-too-small" and "feet/boots" in refused.value.hint
