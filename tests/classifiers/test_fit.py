"""Classifiers that can be trusted: honest scores, files that run no code, clear words for what cannot be learned."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from featx.classifiers.calibration import cross_calibrate, fit_temperature, held_out_temperature, probabilities
from featx.classifiers.card import CrossValidation, seal
from featx.classifiers.fit import fit
from featx.classifiers.kinds import CLASSIFIERS, NAMES, known_name, names_of
from featx.classifiers.persistence import load_classifier, save
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.promotion import decide_promotion
from featx.classifiers.registry import archive_same_name, latest_for_store, newest_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.errors import FeatxError
from featx.extraction import extract
from featx.labels.folds import grouped_folds, groups_of
from featx.labels.training_set import training_set_of
from featx.metrics.scores import wilson
from featx.metrics.selective import automation_at, coverage_table
from featx.store import Store
from tests.conftest import Run, photo


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three categories of four products with two shots each, told apart by their colour; a test split; a price."""
    root = tmp_path_factory.mktemp("fit")
    lines = ["path,label,product,split,kind"]
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for product in range(5):
            for shot in range(2):
                name = f"{category}{product}-{shot}.jpg"
                photo(root / name, seed=100 * c + 10 * (product % 2) + shot)
                split = "test" if product == 4 else "train"
                lines.append(f"{name},{category},{category}{product},{split},{'worn' if c < 2 else 'used'}")
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    return extract(root / "list.csv", backbone="colour", store=root / "store.h5")


@pytest.fixture(scope="module")
def model(store: Store):
    return fit(store, "svm", folds=3)


def test_what_may_be_learned_never_holds_a_held_out_picture(store):
    lesson = training_set_of(store)
    assert {store.splits[i] for i in lesson.learn} == {"train"}
    assert {store.splits[i] for i in lesson.held.rows} == {"test"}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=20, max_size=60), st.integers(2, 4))
def test_no_product_is_ever_on_both_sides_of_a_fold(rows, folds):
    products = [f"p{product}" for product, _ in rows]
    random = np.random.default_rng(len(rows))
    groups = groups_of(products, [str(i) for i in range(len(rows))], random.normal(size=(len(rows), 16)))
    labels = [f"c{label}" for _, label in rows]
    if len(set(groups.tolist())) < folds:
        return
    for learn, score in grouped_folds(labels, groups, folds, 0):
        assert not {products[i] for i in learn} & {products[i] for i in score}


def test_photos_with_the_same_bytes_or_nearly_the_same_features_stay_together():
    features = np.eye(4, 8)
    features[3] = features[2] + 0.01
    groups = groups_of(["a", "b", "c", "d"], ["x", "x", "y", "z"], features)
    assert groups[0] == groups[1] and groups[2] == groups[3] and groups[0] != groups[2]


@pytest.mark.parametrize("name", ["svm", "svm-rbf", "logreg", "lda", "rf", "extra-trees", "knn", "centroid"])
def test_every_classifier_is_saved_loaded_and_answers_the_same(store, tmp_path, name):
    made = fit(store, name, folds=2)
    save(made, tmp_path / f"{name}.safetensors")
    again = load_classifier(tmp_path / f"{name}.safetensors")
    np.testing.assert_array_equal(again.predict_proba(store.features), made.predict_proba(store.features))
    shares = made.predict_proba(store.features)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert made.card.test.n == 6


def test_the_card_tells_scores_that_can_be_computed_again(store, model):
    held = [i for i, split in enumerate(store.splits) if split == "test"]
    right = float((model.predict(store.features[held]) == np.array(store.labels)[held]).mean())
    assert model.card.test.accuracy == pytest.approx(right, abs=1e-4)
    assert model.card.fingerprint["backbone"] == "colour"
    assert "Classifier(svm" in repr(model)
    shown = replace(model, settings=ClassifierSettings("<script>"))._repr_html_()
    assert "<table>" in shown and "<script>" not in shown and f"{model.card.test.accuracy:.1%}" in shown


def test_another_level_of_categories_is_a_column_or_a_number_of_path_parts(store):
    assert set(fit(store, "centroid", folds=2, level="kind").classes) == {"worn", "used"}
    with pytest.raises(FeatxError, match="no column `knd`") as caught:
        fit(store, "centroid", level="knd")
    assert "kind" in caught.value.hint


def test_tuning_and_reduction_and_weights_go_into_the_settings_of_the_card(store):
    card = fit(store, "logreg", folds=2, tune=True, reduce=5, class_weight="balanced").card
    assert card.settings["reduce"] == 5 and card.settings["class_weight"] == "balanced" and card.tuned


@pytest.mark.parametrize("name", [*NAMES])
@pytest.mark.parametrize("reduce", ["lda", "none", 3])
def test_every_classifier_learns_in_any_reduction_and_says_which(store, name, reduce):
    told = fit(store, name, folds=2, reduce=reduce).card.settings["reduce"]
    assert told == reduce


def test_most_classifiers_learn_in_the_directions_that_tell_categories_apart(store):
    separated = {name for name in NAMES if CLASSIFIERS[name].reduction == "lda"}
    told = {name: fit(store, name, folds=2) for name in NAMES}
    assert {name for name, model in told.items() if "ldaprojection" in model.pipeline.named_steps} == separated
    for name in separated:
        assert told[name].pipeline.named_steps["ldaprojection"].directions_.shape[1] == len(told[name].classes) - 1
        assert told[name].card.settings["reduce"] == "lda"


def test_resampling_lets_rare_categories_count_as_much_as_balanced_weights_do(store):
    random = np.random.default_rng(0)
    labels = np.array(["rare"] * 40 + ["usual"] * 400)
    x = (random.normal(size=(440, 6)) + (labels == "rare")[:, None] * 0.7 + 3).astype(np.float32)
    rare = {
        what: (train_classifier(ClassifierSettings("logreg", 1.0, **settings), x, labels).predict(x) == "rare").mean()
        for what, settings in {
            "plain": {},
            "weights": {"class_weight": "balanced"},
            "again": {"resample": True},
        }.items()
    }
    assert rare["plain"] < 0.1 < rare["again"] and abs(rare["again"] - rare["weights"]) < 0.05
    card = fit(store, "knn", folds=2, resample=True).card
    assert card.settings["resample"] is True and "resample" not in fit(store, "knn", folds=2).card.settings


@pytest.mark.parametrize("name", ["shop.json", "shop.md", "shop.data"])
def test_a_file_of_ones_own_beside_a_classifier_is_never_replaced(model, tmp_path, name):
    (tmp_path / name).write_text("# mine\n")
    with pytest.raises(FeatxError, match="not written by featx") as refused:
        save(model, tmp_path / ("shop.data" if name == "shop.data" else "shop.safetensors"))
    assert refused.value.code == "bad-flag"
    assert (tmp_path / name).read_text() == "# mine\n" and [one.name for one in tmp_path.iterdir()] == [name]


def test_an_older_classifier_and_even_a_damaged_card_are_replaced(model, tmp_path):
    path = tmp_path / "shop.safetensors"
    save(model, path)
    for name in ("shop.json", "shop.md", "shop.safetensors"):
        damaged = bytearray((tmp_path / name).read_bytes())
        damaged[: len(damaged) // 3] = b"\0" * (len(damaged) // 3)
        (tmp_path / name).write_bytes(damaged)
    save(model, path)
    assert load_classifier(path).classes == model.classes
    with pytest.raises(FeatxError, match="name of a card"):
        save(model, tmp_path / "other.json")


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_classifier_byte_for_byte(store, tmp_path, name):
    for path in (tmp_path / "one.safetensors", tmp_path / "other.safetensors"):
        save(fit(store, name, folds=2, seed=3), path)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "other.safetensors").read_bytes()


def test_a_file_that_was_changed_by_one_byte_is_refused(model, tmp_path):
    path = tmp_path / "svm.safetensors"
    save(model, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(FeatxError, match="SHA-256") as caught:
        load_classifier(path)
    assert caught.value.code == "model-broken"


class Harm:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("harm-was-done"),))


def forged(path: Path, model, data: bytes) -> None:
    """A classifier file with another content whose card was forged to match."""
    import hashlib

    save(model, path)
    path.write_bytes(data)
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_bytes(seal({**card, "sha256": hashlib.sha256(data).hexdigest()}))


@pytest.mark.parametrize("kind", ["pickle", "joblib"])
def test_a_hostile_classifier_is_refused_and_its_code_never_runs(model, tmp_path, monkeypatch, kind):
    import io

    import joblib

    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    if kind == "pickle":
        data = pickle.dumps(Harm())
    else:
        joblib.dump(Harm(), buffer)
        data = buffer.getvalue()
    forged(tmp_path / "svm.safetensors", model, data)
    with pytest.raises(FeatxError) as caught:
        load_classifier(tmp_path / "svm.safetensors")
    assert caught.value.code == "model-broken"
    assert not Path("harm-was-done").exists()


@pytest.mark.parametrize("card", ["", "[]", "{}", '{"sha256": 3, "fingerprint": []}', "\x00"])
def test_a_classifier_without_a_readable_card_is_refused(model, tmp_path, card):
    save(model, tmp_path / "svm.safetensors")
    (tmp_path / "svm.json").write_text(card)
    with pytest.raises(FeatxError) as caught:
        load_classifier(tmp_path / "svm.safetensors")
    assert caught.value.code == "model-broken"


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
    loss, before = (-np.log(one[np.arange(600), truth]).mean() for one in (shares, probabilities(scores, 0.2)))
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
    one, two = (cross_calibrate(scores, told, groups, 1.0)[mine] for told in (truth, other))
    np.testing.assert_array_equal(one, two)


def test_in_cross_validation_too_the_pictures_of_a_product_stand_or_fall_together(tmp_path):
    for product in range(4):
        for kind in ("a", "b"):
            for shot in range(3):
                photo(tmp_path / f"p/{kind}/{kind}{product}_{shot}.jpg", seed=10 * product + (kind == "b"))
    made = fit(extract(tmp_path / "p", backbone="colour", store=tmp_path / "s.h5"), "knn", folds=2)
    low, high = made.card.cv.ci95
    alone = wilson(made.card.cv.accuracy * 24, 24)
    assert high - low > alone.high - alone.low + 0.05


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.data())
def test_intervals_are_wilsons(n, data):
    from scipy.stats import binomtest

    right = data.draw(st.integers(0, n))
    ours, reference = wilson(right, n), binomtest(right, n).proportion_ci(method="wilson")
    assert ours.low == pytest.approx(reference.low, abs=1e-9)
    assert ours.high == pytest.approx(reference.high, abs=1e-9)


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


def test_a_clearly_worse_classifier_does_not_replace_the_saved_one_and_an_equal_one_does(
    store, model, tmp_path, monkeypatch
):
    save(model, tmp_path / "svm.safetensors")
    same = decide_promotion(tmp_path / "svm.safetensors", model, store)
    assert same.replace and (same.better, same.worse, same.n, same.p) == (0, 0, 6, 1)
    other = dict(zip(model.classes, model.classes[1:] + model.classes[:1], strict=True))
    wrong = np.array([other[str(label)] for label in store.labels])
    confused = replace(model, pipeline=train_classifier(ClassifierSettings("svm"), store.features, wrong))
    # Six photos of three products stand or fall together: no test can tell, and the scores decide.
    few = decide_promotion(tmp_path / "svm.safetensors", confused, store)
    assert not few.replace and few.p > 0.05 and "too few products for a test" in few.sentence
    monkeypatch.setattr(Store, "product_of", lambda self, i: self.ids[i])
    verdict = decide_promotion(tmp_path / "svm.safetensors", confused, store)
    right = round(model.card.test.accuracy * 6)
    assert right == 6 and verdict.worse == 6 and not verdict.replace and verdict.p < 0.05
    assert f"{verdict.worse} broken" in verdict.sentence
    assert decide_promotion(tmp_path / "none.safetensors", model, store).replace


def test_without_held_out_pictures_only_a_clear_fall_keeps_the_old_classifier_and_no_test_is_claimed(
    store, model, tmp_path
):
    save(with_card(model, cv=told_cv(0.95, 0.93, 0.97)), tmp_path / "svm.safetensors")
    for scored, replaced in (((0.94, 0.90, 0.96), True), ((0.90, 0.88, 0.92), False)):
        new = with_card(model, held_out=["of no photo"], cv=told_cv(*scored))
        verdict = decide_promotion(tmp_path / "svm.safetensors", new, store)
        assert verdict.replace is replaced and verdict.p is None and verdict.before == 0.95
        assert "each on the photos and labels of its day" in verdict.sentence


def told_cv(value, low, high):
    return CrossValidation(accuracy=value, ci95=(low, high), n=18, folds=2, grouped_by="none", groups=18)


def with_card(model, **changes):
    """The same classifier with another card."""
    return replace(model, card=structs.replace(model.card, **changes))


def test_an_old_classifier_that_stays_is_named_by_its_own_score(featx, tmp_path):
    for shot in range(8):
        for kind in ("a", "b", "c"):
            photo(tmp_path / f"p/{'test' if shot > 4 else 'train'}/{kind}/{kind}{shot}.jpg", seed=ord(kind))
    assert featx("extract", "p", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "knn,lda").returncode == 0
    # The labels learned from are moved one on: the new classifiers are always wrong.
    rows = ["path,label,split"]
    for path in sorted((tmp_path / "p").rglob("*.jpg")):
        kind, split = path.parent.name, path.parent.parent.name
        label = "bca"["abc".index(kind)] if split == "train" else kind
        rows.append(f"{path.relative_to(tmp_path)},{label},{split}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    assert featx("extract", "t.csv", "-b", "colour", "--store", "other.h5").returncode == 0
    ran = featx("fit", "--clf", "knn,lda", "--update", "--store", "other.h5", "--min-accuracy", "0.9")
    assert ran.stderr.count("kept the old classifier") == 2, ran.stderr
    assert "most accurate: knn, 100.0%" in ran.stderr and ran.returncode == 0


def test_an_update_of_another_level_is_judged_by_that_level(store, tmp_path):
    made = fit(store, "centroid", folds=2, level="kind")
    save(made, tmp_path / "kind.safetensors")
    verdict = decide_promotion(tmp_path / "kind.safetensors", made, store)
    assert f"{made.card.test.accuracy:.1%}" in verdict.sentence


def test_several_classifiers_are_named_with_commas_and_all_is_every_one():
    assert names_of("svm, forest,svm") == ["svm", "rf"] and names_of(["knn", "lda,knn"]) == ["knn", "lda"]
    assert names_of("all") == list(NAMES)
    with pytest.raises(FeatxError, match="no classifier was named"):
        names_of(" , ")


def test_names_have_shorthands_and_a_typo_gets_the_nearest():
    assert known_name("forest") == "rf"
    with pytest.raises(FeatxError) as caught:
        known_name("svn")
    assert "svm" in caught.value.hint


def test_fit_in_a_shop_without_categories_says_what_to_do(featx: Run, tmp_path):
    photo(tmp_path / "flat" / "a.jpg")
    photo(tmp_path / "flat" / "b.jpg", seed=1)
    assert featx("extract", "flat", "-b", "colour").returncode == 0
    ran = featx("fit")
    assert ran.returncode == 3 and "category" in ran.stderr and "Traceback" not in ran.stderr


def test_fit_all_trains_every_classifier_and_update_keeps_what_is_not_worse(featx: Run, folder, tmp_path):
    assert featx("extract", str(folder), "-b", "colour").returncode == 0
    ran = featx("fit", "--clf", "all", "--folds", "2")
    assert ran.returncode == 0, ran.stderr
    best = next(line for line in ran.stderr.splitlines() if "most accurate" in line).split(":")[1].split(",")[0].strip()
    assert newest_classifier(tmp_path / "artifacts/models").stem == best
    assert {path.stem for path in (tmp_path / "artifacts/models").glob("*.safetensors")} == set(NAMES)
    told = json.loads(featx("fit", "--folds", "2", "--update", "--json").stdout)
    assert told["update"]["replace"] is True and "cross-validation" in told["update"]["sentence"]


def test_a_limit_that_is_not_reached_ends_with_code_7(featx: Run, folder):
    featx("extract", str(folder), "-b", "colour")
    ran = featx("fit", "--folds", "2", "--min-accuracy", "1", "--clf", "knn", "--seed", "1")
    assert ran.returncode in (0, 7)
    assert (ran.returncode == 7) == ("below the limit" in ran.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ["--clf", "svn"],
        ["--class-weight", "heavy"],
        ["--class-weight", "balanced", "--clf", "knn"],
        ["--kernel", "rfb"],
        ["--reduce", "pca"],
        ["--reduce", "0"],
        ["--reduce", "2.5"],
        ["--test", "tset"],
        ["--level", "x"],
    ],
)
def test_a_wrong_value_is_an_error_with_a_hint(featx: Run, folder, words):
    featx("extract", str(folder), "-b", "colour")
    ran = featx("fit", *words)
    assert ran.returncode == 2 and "hint:" in ran.stderr and not ran.stdout


def test_any_level_of_nested_folders_is_fitted_asked_and_compared(featx: Run, tmp_path):
    for c, category in enumerate(["Fruit/Apple/Red", "Fruit/Apple/Green", "Fruit/Pear/Green", "Packages/Milk/Low-Fat"]):
        for shot in range(4):
            photo(tmp_path / "photos" / category / f"{c}-{shot}.jpg", seed=10 * c + shot)
    assert featx("extract", "photos", "--label-from", "path", "-b", "colour").returncode == 0
    for level, wanted in (("1", {"Fruit", "Packages"}), ("2", {"Fruit/Apple", "Fruit/Pear", "Packages/Milk"})):
        ran = featx("fit", "--clf", "centroid", "--folds", "2", "--level", level)
        assert ran.returncode == 0, ran.stderr
        path = tmp_path / "artifacts" / "models" / f"centroid-{level}.safetensors"
        assert set(load_classifier(path).classes) == wanted
        rows = [json.loads(line) for line in featx("predict", "photos", "--any", "--json").stdout.splitlines()]
        assert {row["category"] for row in rows} <= wanted
        ran = featx("compare", "--clf", "centroid", "--folds", "2", "--level", level, "--fast", "--no-colour", "--json")
        assert json.loads(ran.stdout)["stores"][0]["categories"] == sorted(wanted)
    fine = json.loads(featx("compare", "--clf", "knn", "--folds", "2", "--fast", "--no-colour", "--json").stdout)
    assert fine["entries"][0]["coarse"]["level"] == "the folder above"
    assert fine["entries"][0]["coarse"]["cv"]["mean"] >= fine["entries"][0]["cv"]["accuracy"]["mean"]


def test_two_columns_are_two_levels(featx: Run, tmp_path):
    lines = ["path,kind,family"]
    for c, (kind, family) in enumerate([("boots", "feet"), ("shoes", "feet"), ("mugs", "table")]):
        for shot in range(4):
            photo(tmp_path / f"{kind}{shot}.jpg", seed=10 * c + shot)
            lines.append(f"{kind}{shot}.jpg,{kind},{family}")
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    assert featx("extract", "list.csv", "--label-col", "kind", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "centroid", "--folds", "2", "--level", "family", "-q").returncode == 0
    path = tmp_path / "artifacts" / "models" / "centroid-family.safetensors"
    assert set(load_classifier(path).classes) == {"feet", "table"}
    words = ["--clf", "knn", "--folds", "2", "--coarse", "family", "--fast", "--no-colour", "--json"]
    told = json.loads(featx("compare", *words).stdout)["entries"][0]["coarse"]
    assert told["level"] == "family" and told["classes"] == 2


def test_info_says_what_each_score_is_of_and_which_classifier_predict_takes(featx: Run, store, model, tmp_path):
    models = tmp_path / "artifacts" / "models"
    folded = with_card(model, test=None, store="other.h5", cv=told_cv(0.9, 0.8, 1.0))
    save(folded, models / "lda.safetensors")
    save(model, models / "svm.safetensors")
    ran = featx("info", "--store", str(store.path))
    lda, svm, told = (line for line in ran.stdout.splitlines() if ".safetensors" in line or "different photos" in line)
    assert "% right in cross-validation on 18 photos of other.h5" in lda and "predict" not in lda
    assert "100.0% right on 6 held-out photos   ← used by `featx predict`" in svm
    assert "scored on different photos" in told


def test_pictures_of_one_category_are_no_score_of_telling_apart(featx: Run, tmp_path):
    for kind, products, split in (("a", 6, "train"), ("b", 1, "train"), ("a", 8, "test")):
        for product in range(products):
            photo(tmp_path / f"p/{split}/{kind}/{kind}{split}{product}.jpg", seed=10 * product + ord(kind))
    assert featx("extract", "p", "-b", "colour").returncode == 0
    ran = featx("fit", "--clf", "knn")
    assert "all held-out photos are of one category" in ran.stderr
    assert "fewer than two categories have 5 products" in ran.stdout and "100.0%    (" not in ran.stdout.split("\n")[1]
    assert "all these photos are of one category" in featx("evaluate").stderr
    assert featx("extract", "p/train", "-b", "colour", "--store", "train.h5").returncode == 0
    ran = featx("compare", "--clf", "knn", "--store", "train.h5", "--fast")
    assert ran.returncode == 3 and "each category is one product, or all but one" in ran.stderr


def test_a_classifier_of_another_store_is_kept_and_each_store_is_answered_by_its_own(featx: Run, folder, tmp_path):
    for i, category in enumerate(["bowls", "vases"]):
        for shot in range(4):
            photo(tmp_path / "shop b" / category / f"{category}{shot}.jpg", seed=100 + 10 * i + shot)
    models = tmp_path / "artifacts/models"
    for photos, store in (("photos", "a.h5"), ("shop b", "b.h5")):
        assert featx("extract", photos, "-b", "colour", "--store", store).returncode == 0
    assert featx("fit", "--clf", "centroid", "--folds", "2", "-s", "a.h5").returncode == 0
    ran = featx("fit", "--clf", "centroid", "--folds", "2", "-s", "b.h5")
    assert "trained on another store: artifacts/models/centroid-a.safetensors" in ran.stderr, ran.stderr
    assert set(load_classifier(models / "centroid.safetensors").classes) == {"bowls", "vases"}
    assert set(load_classifier(models / "centroid-a.safetensors").classes) == {"boots", "hats", "mugs"}

    def said(*words: str) -> set[str]:
        ran = featx("predict", "photos/boots/boots1.jpg", "--any", "--json", *words)
        return {json.loads(line)["category"] for line in ran.stdout.splitlines()}

    assert said("-s", "b.h5") <= {"bowls", "vases"} and said("-s", "a.h5") == {"boots"}
    ran = featx("predict", "photos/boots/boots1.jpg", "-s", "a.h5", "--clf", "centroid")
    assert "trained on b.h5" in ran.stderr
    assert "models/centroid-a.safetensors" in featx("suggest", "-s", "a.h5", "-v").stderr


def test_a_namesake_is_kept_once_for_each_store_it_was_trained_on(store, model, tmp_path):
    path = tmp_path / "svm.safetensors"
    for trained_on in ("a.h5", "b.h5", "a.h5", "b.h5"):
        kept = archive_same_name(path, Path(trained_on), None)
        save(with_card(model, store=trained_on), path)
    assert kept == tmp_path / "svm-a.safetensors"
    assert sorted(one.name for one in tmp_path.glob("*.safetensors")) == [
        "svm-a.safetensors",
        "svm-b.safetensors",
        "svm.safetensors",
    ]
    assert latest_for_store(tmp_path, Path("a.h5")) == tmp_path / "svm-a.safetensors"
    assert latest_for_store(tmp_path, Path("b.h5")).name in ("svm.safetensors", "svm-b.safetensors")
    assert archive_same_name(path, Path("b.h5"), None) is None


def test_every_block_names_its_classifier_where_several_are_trained(featx: Run, folder):
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    lines = featx("fit", "--clf", "centroid,knn", "--folds", "2", "-q").stdout.splitlines()
    assert [line for line in lines if line.endswith(":")] == ["centroid:", "knn:"]
    assert "knn:" not in featx("fit", "--clf", "knn", "--folds", "2", "-q").stdout
