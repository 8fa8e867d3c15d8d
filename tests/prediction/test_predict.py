"""`featx predict`: answers, doubts, files and folders."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from PIL import Image

from featx.catalogue.items import Item
from featx.catalogue.reading import read_several
from featx.classifiers.model import load_classifier, save
from featx.classifiers.novelty import NoveltyDetector, fit_novelty
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError
from featx.images import read_photo
from featx.labels.folds import grouped_folds
from featx.prediction.predict import Prediction, predict
from featx.prediction.review import DecisionRule, ReviewCounts, decision_rule, limit_for
from featx.prediction.sort_folders import apply_move, plan_moves, require_distinct_folders
from tests.conftest import Run, card_of, command_environment, photo, run_here


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, a store and a trained classifier."""
    root = tmp_path_factory.mktemp("shop")
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for item in range(6):
            photo(root / "photos" / category / f"{category}{item}.jpg", seed=100 * c + item)
    for words in (("extract", "photos", "-b", "colour"), ("fit", "--clf", "svm", "--folds", "3")):
        ran = run_here(words, root, "", command_environment({}))
        assert ran.returncode == 0, ran.stderr
    photo(root / "new" / "one.jpg", seed=999)
    photo(root / "new" / "two.jpg", seed=998)
    (root / "new" / "broken.jpg").write_bytes((root / "new" / "one.jpg").read_bytes()[:300])
    return root


def test_every_photo_gets_an_answer_in_order_and_the_unreadable_one_its_reason(featx: Run, shop):
    ran = featx("predict", "new", "--json", "--any", "--top", "2", cwd=shop)
    assert ran.returncode == 0, ran.stderr
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [Path(row["path"]).name for row in rows] == ["broken.jpg", "one.jpg", "two.jpg"]
    assert "truncated" in rows[0]["error"] and rows[0]["category"] is None
    assert rows[1]["category"] in ("boots", "hats", "mugs") and 0 < rows[1]["sure"] <= 1
    assert rows[1]["top"][0]["category"] == rows[1]["category"] and len(rows[1]["top"]) == 2
    assert "broken.jpg" in ran.stderr


def test_several_folders_and_photos_are_answered_in_one_run_and_each_file_once(featx: Run, shop, monkeypatch):
    photos = ("photos/mugs", "photos/hats", "new/one.jpg", "photos/mugs/mugs1.jpg", "new/gone.jpg")
    ran = featx("predict", *photos, "--json", cwd=shop)
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    names = [Path(row["path"]).name for row in rows]
    assert names == [*(f"mugs{i}.jpg" for i in range(6)), *(f"hats{i}.jpg" for i in range(6)), "one.jpg", "gone.jpg"]
    assert rows[-1]["error"] == "missing"
    monkeypatch.chdir(shop)
    assert [answer.item.path for answer in predict(iter(["photos/mugs", Path("new/one.jpg")]))][-1] == "new/one.jpg"
    wrong = featx("predict", "photos/mugs", "photos/hatz", cwd=shop)
    assert wrong.returncode == 2 and "no folder or table at `photos/hatz`" in wrong.stderr
    with pytest.raises(FeatxError, match="mixes folders with photos in memory"):
        predict(["photos/mugs", (shop / "new/one.jpg").read_bytes()])


def test_photos_of_one_name_in_two_folders_stay_two_items(tmp_path):
    for folder in "ab":
        photo(tmp_path / folder / "one.jpg", seed=ord(folder))
    items = read_several([str(tmp_path / "a"), str(tmp_path / "b")]).items
    assert [item.item_id for item in items] == [str(tmp_path / "a/one.jpg"), str(tmp_path / "b/one.jpg")]


def test_a_known_photo_is_answered_from_the_store_without_the_network(featx: Run, shop):
    ran = featx("predict", "photos/mugs/mugs1.jpg", "-v", cwd=shop)
    assert "1 of 1 photos were in the store" in ran.stderr
    assert ran.stdout.split("\t")[1] == "mugs"


def test_below_the_asked_confidence_a_photo_is_left_to_a_person(featx: Run, shop):
    rows = [json.loads(line) for line in featx("predict", "new", "--json", "--sure", "1", cwd=shop).stdout.splitlines()]
    assert all(row["review"] for row in rows if row["category"])


def threshold_row(target: float, everywhere: float | None) -> dict[str, object]:
    share = {"answered": 0.5, "precision": target, "low": 0.5, "high": 1.0, "n": 60}
    return {"target": target, "everywhere": everywhere, **share, "categories": {}, "measured_on": "cross-validation"}


@pytest.mark.parametrize(
    ("limits", "sure", "words"),
    [
        ({0.8: 0.52, 0.9: 0.6, 0.95: 0.615, 0.98: 0.9}, 0.615, "below 0.62, the limit measured for 95% right"),
        ({0.8: 0.52, 0.9: 0.71, 0.95: None}, 0.71, "the limit measured for 90% right (no confidence reached 95%)"),
        ({0.8: 0.52, 0.9: 0.71}, 0.71, "for 90% right (40 products are too few to measure 95%)"),
        ({0.8: 0.1, 0.9: 0.2, 0.95: 0.3}, 0.5, "below 0.50, more likely wrong than right"),
        ({0.8: None, 0.9: None, 0.95: None}, 2, "whatever the confidence, as no confidence reached 80% right"),
        ({}, 0.8, "below 0.80, a cautious limit: 40 products are too few to measure one (50 needed)"),
    ],
)
def test_a_doubtful_answer_is_marked_by_the_limit_that_was_measured_or_else_by_a_stated_one(limits, sure, words):
    card = card_of(["a", "b"], 3, thresholds=[threshold_row(*row) for row in limits.items()])
    rule = decision_rule(card)
    assert rule.sure == sure and words in rule.limit
    assert rule.unsure("a", sure - 0.01) and (sure > 1 or not rule.unsure("a", sure))
    assert not decision_rule(card, sure=0).unsure("a", 0.01) and decision_rule(card, sure=0.9).limit == "below 0.90"


def test_the_summary_counts_what_needs_a_look_and_says_why():
    counts = ReviewCounts()
    assert counts.sentence(DecisionRule(0.9)) == "none of 0 photos needs a look: none is below 0.90"
    for doubt, unreadable in (("", ""), ("unsure", ""), ("unsure", "")):
        counts.count(doubt, unreadable)
    assert counts.sentence(DecisionRule(0.62, because="as x")) == "2 of 3 photos need a look: below 0.62, as x"
    counts.count("unlike anything learned", "")
    counts.count("", "truncated")
    assert counts.sentence(DecisionRule(0.62)) == (
        "4 of 5 photos need a look: 1 unlike anything learned, 1 unreadable, 2 below 0.62"
    )


def test_without_a_flag_doubtful_and_unreadable_photos_are_left_to_a_person_everywhere(
    featx: Run, shop, tmp_path, monkeypatch
):
    import featx as library

    ran = featx("predict", "new", "--json", "--any", cwd=shop)
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [row["review"] for row in rows] == [bool(row["error"]) or row["sure"] < 0.8 for row in rows]
    assert rows[0]["error"] and "photos need a look: " in ran.stderr and "products are too few" in ran.stderr
    piped = featx("predict", "new", "--any", cwd=shop)
    assert "columns: file, category, sure, review, remark" in piped.stderr
    assert [line.split("\t")[3] for line in piped.stdout.splitlines()] == [str(row["review"]).lower() for row in rows]
    assert featx("predict", "new", "--any", "-o", str(tmp_path / "p.csv"), cwd=shop).returncode == 0
    with (tmp_path / "p.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["review"] for row in csv.DictReader(file)] == [str(row["review"]) for row in rows]
    featx("predict", "new", "--any", "--sure", "1", "--sort-into", str(tmp_path / "sorted"), cwd=shop)
    assert sorted(path.name for path in (tmp_path / "sorted/needs-review").iterdir()) == ["one.jpg", "two.jpg"]
    monkeypatch.chdir(shop)
    answers = library.predict("new", unlike=False)
    assert {answer.item.path: answer.review for answer in answers} == {row["path"]: row["review"] for row in rows}
    assert answers.summary in ran.stderr


def test_coverage_chooses_a_measured_threshold_and_says_what_it_buys(featx: Run, shop):
    ran = featx("predict", "new", "--coverage", "0.5", cwd=shop)
    assert ran.returncode == 0 and "% right" in ran.stderr
    both = featx("predict", "new", "--coverage", "0.5", "--sure", "0.3", cwd=shop)
    assert both.returncode == 2


def test_the_table_is_safe_in_a_spreadsheet_and_whole(featx: Run, shop):
    photo(shop / "odd" / "=cmd().jpg", seed=5)
    assert (
        featx(
            "predict", "=cmd().jpg", "-o", "p.csv", cwd=shop / "odd", FEATX_ARTIFACTS=str(shop / "artifacts")
        ).returncode
        == 0
    )
    with (shop / "odd" / "p.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["path"] == "'=cmd().jpg"
    assert featx("predict", "new", "-o", "p.exe", cwd=shop).returncode == 2


def test_sorting_into_folders_plans_first_then_copies_and_does_it_only_once(featx: Run, shop, tmp_path):
    target = tmp_path / "sorted"
    plan = featx("predict", "new", "--any", "--sort-into", str(target), "--dry-run", cwd=shop)
    assert plan.returncode == 0 and not target.exists() and "2 photos would be sorted" in plan.stderr
    done = featx("predict", "new", "--any", "--sort-into", str(target), cwd=shop)
    assert done.returncode == 0
    names = sorted(path.name for path in target.rglob("*.jpg"))
    assert names == ["one.jpg", "two.jpg"]
    again = featx("predict", "new", "--any", "--sort-into", str(target), cwd=shop)
    assert "2 were already there" in again.stderr
    assert sorted(path.name for path in target.rglob("*.jpg")) == names


def test_no_category_name_can_climb_out_of_the_folder(tmp_path):
    source = photo(tmp_path / "a.jpg")
    for label in ("../../etc", "/etc", "a/../../b", "..", "C:\\x", ""):
        move = next(plan_moves([Prediction(Item("a", str(source)), ((label, 1.0),))], tmp_path / "sorted"))
        assert (tmp_path / "sorted").resolve() in move.target.resolve().parents


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (["mugs", "x" * 300], "too long for a folder"), (["mugs", "é" * 128], "too long for a folder"),
        (["mugs", "/".join("x" * 2500)], "too long for a folder"), (["Mugs", "Mugs."], "share the folder"),
        (["a/b", "a / b "], "share the folder"), (["needs-review"], "share the folder"),
        (["", "."], "share the folder"),
        (["a\x1b", "a\x07"], "share the folder"),
    ],
    ids=str,
)  # fmt: skip
def test_categories_that_have_no_folder_of_their_own_are_told_before_anything_is_written(labels, why, tmp_path):
    with pytest.raises(FeatxError, match=why):
        require_distinct_folders(labels, tmp_path)
    require_distinct_folders(
        ["mugs", "a/b", "a", "x" * 255, "é" * 127, "needs-review/x", "unnamed", "\ud800"], tmp_path
    )


@pytest.mark.parametrize("length", [200, 231, 251])
def test_a_photo_whose_name_fills_what_a_file_system_takes_is_copied_as_well(length, tmp_path):
    name = "é" * (length // 2) + "a" * (length % 2) + ".jpg"
    paths = [photo(tmp_path / folder / name, seed) for seed, folder in enumerate(("x", "y", "z"))]
    predictions = [Prediction(Item(str(path), str(path)), (("mugs", 1.0),)) for path in paths]
    for move in plan_moves(predictions, tmp_path / "sorted"):
        apply_move(move, link=False)
    assert sorted(path.read_bytes() for path in (tmp_path / "sorted/mugs").iterdir()) == sorted(
        path.read_bytes() for path in paths
    )


def test_sorting_into_a_folder_that_cannot_be_named_stops_before_the_first_photo(featx: Run, shop, tmp_path):
    card = next((shop / "artifacts/models").glob("*.safetensors"))
    model = load_classifier(card)
    names = ["n" * 300, *model.classes[1:]]
    step = model.pipeline.steps[-1][1]
    step.classes_ = np.array([names[model.classes.index(str(name))] for name in step.classes_])
    model.classes, model.card = names, structs.replace(model.card, labels=names)
    save(model, tmp_path / "long.safetensors")
    ran = featx(
        "predict", "new", "--clf", str(tmp_path / "long.safetensors"), "--sort-into", str(tmp_path / "s"), cwd=shop
    )
    assert ran.returncode == 2 and "nnn" in ran.stderr and "300 bytes" in ran.stderr, ran.stderr
    assert not (tmp_path / "s").exists()


def test_equal_names_never_overwrite_one_another(tmp_path):
    a, b = photo(tmp_path / "x" / "a.jpg", 1), photo(tmp_path / "y" / "a.jpg", 2)
    predictions = [Prediction(Item(str(path), str(path)), (("mugs", 1.0),)) for path in (a, b)]
    assert len({move.target for move in plan_moves(predictions, tmp_path / "sorted")}) == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [(["nothere.jpg"], 2), (["new", "--clf", "svn"], 4), (["new", "--clf", "x/y.safetensors"], 4), (["new", "-n"], 2)],
)
def test_wrong_input_is_a_sentence(featx: Run, shop, words, code):
    ran = featx("predict", *words, cwd=shop)
    assert ran.returncode == code and "error:" in ran.stderr and "Traceback" not in ran.stderr and not ran.stdout


def test_without_a_classifier_it_says_to_train_one(featx: Run, folder):
    ran = featx("predict", str(folder))
    assert ran.returncode == 4 and "featx fit" in ran.stderr


def test_known_photos_are_not_novel_and_others_are():
    random = np.random.default_rng(0)
    known = np.abs(random.normal(size=(300, 40))) * (np.arange(40) < 20)
    others = np.abs(random.normal(size=(50, 40))) * (np.arange(40) >= 20)
    labels = [f"c{i % 3}" for i in range(300)]
    novelty = fit_novelty(known, grouped_folds(labels, np.arange(300), 5, 0))
    assert novelty.is_novel(known).mean() <= 0.02
    assert novelty.is_novel(others).all()


def test_the_similarity_of_a_photo_does_not_depend_on_the_photos_beside_it():
    random = np.random.default_rng(0)
    known = random.normal(size=(300, 700)).astype(np.float16)
    detector = NoveltyDetector(np.concatenate([known, known[:50]]), 0.5)
    rows = np.concatenate([random.normal(size=(70, 700)), known[:7] + 1e-3]).astype(np.float32)
    together = detector.similarity(rows)
    for size in (1, 2, 3, 32):
        parts = [detector.similarity(rows[start : start + size]) for start in range(0, len(rows), size)]
        assert np.concatenate(parts).tobytes() == together.tobytes()
    expected = (unit_rows(rows).astype(np.float64) @ known.T.astype(np.float64)).max(axis=1)
    assert together == pytest.approx(expected, rel=1e-5)


def test_an_impossible_coverage_is_refused():
    with pytest.raises(FeatxError) as caught:
        limit_for(card_of(["a", "b"], 3), 0.9)
    assert caught.value.code == "bad-flag"


def test_from_python_the_answers_are_those_of_the_command(featx: Run, shop, monkeypatch):
    import featx as library

    monkeypatch.chdir(shop)
    answers = library.predict("new", top=2, unlike=False)
    records = [json.loads(line) for line in featx("predict", "new", "--json", "--any", cwd=shop).stdout.splitlines()]
    assert [(row.item.path, row.label or None) for row in answers] == [
        (row["path"], row["category"]) for row in records
    ]
    assert all(len(row.top) == 2 for row in answers if not row.unreadable)
    with pytest.raises(FeatxError) as caught:
        library.predict("new", "nowhere.safetensors")
    assert caught.value.code == "no-model"


def test_photos_in_any_form_are_answered_in_the_order_of_the_list(shop, monkeypatch):
    import featx as library

    monkeypatch.chdir(shop)
    broken, first, second = sorted(Path("new").iterdir())
    (name,) = (path.stem for path in Path("artifacts/models").glob("*.safetensors"))
    single = {Path(answer.item.path).name: answer for answer in library.predict("new", name)}
    steps: list[tuple[int, int]] = []
    given = [second, first.read_bytes(), Image.open(second), broken.read_bytes(), str(first), "nowhere.jpg"]
    answers = library.predict(given, name, progress=lambda *step: steps.append(step))
    assert [answer.top[:1] for answer in answers] == [
        single[photo].top[:1] for photo in ("two.jpg", "one.jpg", "two.jpg", "broken.jpg", "one.jpg", "broken.jpg")
    ]
    assert [answer.item.path for answer in answers] == [
        str(second),
        "photo 1",
        str(second),
        "photo 3",
        str(first),
        "nowhere.jpg",
    ]
    assert "truncated" in answers[3].unreadable and "missing" in answers[5].unreadable
    assert steps[-1] == (6, 6)
    assert library.predict(first.read_bytes(), name)[0].label == answers[1].label
    with pytest.raises(FeatxError, match="cannot be of type int"):
        library.predict(5, name)


def test_a_predictor_opened_in_the_library_gives_the_records_of_the_command(featx: Run, shop, monkeypatch):
    from featx.catalogue.reading import read_catalogue
    from featx.prediction.predict import open_predictor

    monkeypatch.chdir(shop)
    predictor = open_predictor(top=2)
    answers = predictor.stream(read_catalogue("new").items, DecisionRule(0.5))
    lines = featx("predict", "new", "--json", "--top", "2", "--sure", "0.5", cwd=shop).stdout.splitlines()
    assert [answer.to_dict(top=2) for answer in answers] == [json.loads(line) for line in lines]
    assert predictor.path is not None and predictor.path.exists()
    with pytest.raises(FeatxError, match="no classifier `svn`") as caught:
        open_predictor("svn")
    assert caught.value.code == "no-model"


def test_photos_are_read_only_a_few_batches_ahead_of_the_answers(tmp_path):
    import itertools

    from featx.backbones import open_backbone
    from featx.classifiers.model import Classifier
    from featx.classifiers.spec import ClassifierSettings
    from featx.embedding.stream import BATCH_ON_CPU
    from featx.prediction.predict import CLASSIFIED_AT_ONCE, Predictor

    backbone = open_backbone("colour")
    path, taken = photo(tmp_path / "a.jpg"), 0

    def endless():
        nonlocal taken
        for taken in itertools.count(1):
            yield Item(f"item{taken}", str(path))

    class Same:
        """A classifier that says the same of everything."""

        classes_ = np.array(["a", "b"])

        def decision_function(self, features):
            return np.ones(len(features))

    rows = backbone.features([backbone.prepare(read_photo(path).image)])
    card = card_of(["a", "b"], backbone.fingerprint.width)
    novelty = fit_novelty(rows, [])
    model = Classifier(ClassifierSettings("svm"), Same(), ["a", "b"], 1.0, backbone.fingerprint, novelty, card)
    stream = Predictor(model, None, lambda: backbone).stream(endless(), DecisionRule())
    for done in range(1, 10 * CLASSIFIED_AT_ONCE):
        assert next(stream).label == "b"
        assert taken - done <= CLASSIFIED_AT_ONCE + 6 * BATCH_ON_CPU
    stream.close()


def test_a_photo_is_answered_alike_alone_among_others_and_by_what_extract_computed(tmp_path, monkeypatch):
    import featx as library
    from featx.backbones import open_backbone
    from featx.classifiers.model import Classifier
    from featx.classifiers.spec import ClassifierSettings
    from featx.prediction.predict import Predictor

    monkeypatch.chdir(tmp_path)
    paths = [photo(tmp_path / "photos" / "x" / f"{i:02}.jpg", seed=i, size=(64, 64)) for i in range(21)]
    stored = library.extract("photos", backbone="squeezenet1_1", weights="random", store="squeezenet.h5")
    random = np.random.default_rng(0)

    class Linear:
        """A classifier whose answers hang on the last digit of every feature."""

        classes_ = np.array(["a", "b", "c"])
        weights = random.normal(size=(stored.width, 3))

        def decision_function(self, features):
            return features @ self.weights

    backbone = open_backbone("squeezenet1_1", weights="random")
    novelty = fit_novelty(np.asarray(stored.features), [])
    card = card_of(["a", "b", "c"], stored.width)
    settings = ClassifierSettings("svm")
    model = Classifier(settings, Linear(), ["a", "b", "c"], 1.0, stored.fingerprint, novelty, card)

    def answers(photos, store=None):
        predictor = Predictor(model, store, lambda: backbone, top=3)
        return [
            (answer.item.path, answer.top, answer.similarity) for answer in predictor.stream(photos, DecisionRule())
        ]

    items = [Item(str(i), str(path)) for i, path in enumerate(paths)]
    known = answers(items, stored)
    assert answers(items) == known
    assert answers(items[3:4]) == known[3:4]
    assert answers([items[20], items[0], items[5]]) == [known[20], known[0], known[5]]


STREAMED = """
import resource, sys
from pathlib import Path
import numpy as np
from featx.backbones import open_backbone
from featx.catalogue.items import Item
from featx.classifiers.model import Classifier
from featx.classifiers.novelty import fit_novelty
from featx.classifiers.spec import ClassifierSettings
from featx.prediction.predict import Predictor
from featx.prediction.review import DecisionRule
from tests.conftest import card_of

class Same:
    classes_ = np.array(["a", "b"])
    def decision_function(self, features):
        return np.ones(len(features))

photos, first = sorted(Path(sys.argv[2]).iterdir()), int(sys.argv[3])
backbone = open_backbone(sys.argv[1], device="cpu")
rows = np.ones((1, backbone.fingerprint.width), dtype=np.float32)
card = card_of(["a", "b"], backbone.fingerprint.width)
novelty = fit_novelty(rows, [])
model = Classifier(ClassifierSettings("svm"), Same(), ["a", "b"], 1.0, backbone.fingerprint, novelty, card)
items = [Item(f"{i}", str(photos[i % len(photos)])) for i in range(4 * first)]
peaks = []
for done, one in enumerate(Predictor(model, None, lambda: backbone).stream(items, DecisionRule()), start=1):
    assert one.label, one
    if done in (first, 4 * first):
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(*peaks)
"""


@pytest.mark.parametrize(
    ("backbone", "first", "size"),
    [
        ("colour", 150, (500, 375)),
        pytest.param("colour", 200, (1000, 750), marks=pytest.mark.long),
        pytest.param("builtin", 320, (1000, 750), marks=pytest.mark.long),
    ],
)
def test_four_times_as_many_photos_need_no_more_memory(tmp_path, backbone, first, size):
    """Peak memory after so many photos, and after four times as many."""
    import subprocess
    import sys

    for seed in range(20):
        photo(tmp_path / "photos" / f"{seed}.jpg", seed=seed, size=size)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", STREAMED, backbone, str(tmp_path / "photos"), str(first)]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    early, late = map(float, ran.stdout.split())
    # Kept, the decoded photos between the two would take 250 MB of small ones, more than a gigabyte of large ones.
    assert late - early < 40, (early, late)


@pytest.mark.long
def test_memory_does_not_grow_with_the_number_of_photos(featx: Run, shop, tmp_path):
    """Peak memory of the whole command for 200 and for 4,000 different photos."""
    import subprocess
    import sys

    for name, products in (("few", 67), ("many", 1334)):
        words = ["--no-run", "--products", str(products), "--shots", "3", "--size", "64"]
        assert featx("demo", name, *words).returncode == 0
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "FEATX_ARTIFACTS": str(shop / "artifacts")}
    for how in (["--json"], ["-o", "answers.csv"], ["--sort-into", "sorted", "--link"]):
        peaks = {}
        for name in ("few", "many"):
            command = [sys.executable, "-m", "featx", "predict", f"{name}/data", *how, "-q"]
            ran = subprocess.run(
                [sys.executable, "-c", measure, *command], cwd=tmp_path, env=env, capture_output=True, check=True
            )
            peaks[name] = int(ran.stdout) / 1024
        # The names of the photos alone are a few megabytes.
        assert peaks["many"] - peaks["few"] < 25, (how, peaks)


def test_a_known_photo_is_answered_without_torch(featx: Run, shop):
    script = (
        "import sys; from featx.cli.app import main\n"
        "sys.argv = ['featx', 'predict', 'photos/mugs/mugs1.jpg', '-q']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    import subprocess
    import sys

    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run([sys.executable, "-c", script], cwd=shop, env=env, capture_output=True, text=True)
    assert ran.stdout.splitlines()[0].split("\t")[1] == "mugs", ran.stderr
    assert ran.stdout.splitlines()[-1] == "False False"


def test_a_notebook_shows_predictions_as_a_table_that_runs_nothing(tmp_path):
    from featx.prediction.predict import Predictions

    item = Item("<script>", "<script>alert(1)</script>.jpg")
    shown = Predictions(
        [Prediction(item, (("boots & co", 0.9),), 0.8, "unsure"), Prediction(item, unreadable="truncated")]
        + [Prediction(item, (("hats", 0.5),), 0.8)] * 200
    )
    html = shown._repr_html_()
    assert html.startswith("<table>") and "<script>" not in html and "boots &amp; co" in html
    assert "Predictions(202 photos, 2 need a look) (the first 50 of 202 are shown)" in html and html.count("<tr>") == 51
    assert "needs a look: unsure" in html and "truncated" in html
    assert list(shown.to_pandas().columns) == ["path", "category", "sure", "review", "doubt", "similarity", "error"]
