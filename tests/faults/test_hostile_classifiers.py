"""Classifiers with the right digest whose arrays or header would crash, hang or fill whoever uses them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from featx.classifiers.card import seal
from featx.classifiers.encoding import KEY
from featx.classifiers.kinds import NAMES
from featx.classifiers.model import Classifier, load_classifier, save
from featx.classifiers.novelty import NoveltyDetector
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.errors import FeatxError
from featx.files.markdown import escape_markdown, inline_code
from tests.conftest import card_of, photo, toy_fingerprint

WIDTH = 8
CLASSES = ["0", "1", "2"]
Arrays = dict[str, Any]


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr("featx.classifiers.kinds.forests.TREES", 5)


def saved(name: str, path: Path, reduce: str = "none") -> Path:
    """An honest classifier of eight numbers and three categories."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((30, WIDTH)).astype(np.float32)
    labels = np.array([str(i % 3) for i in range(30)])
    settings = ClassifierSettings(name, reduce=reduce if reduce.isalpha() else int(reduce), threads=1)
    pipeline = train_classifier(settings, rows, labels)
    novelty = NoveltyDetector(np.ones((4, WIDTH), np.float16), 0.1)
    card = card_of(CLASSES, WIDTH, clf=name, fingerprint=toy_fingerprint(WIDTH).to_dict())
    save(Classifier(settings, pipeline, CLASSES, 1.0, toy_fingerprint(WIDTH), novelty, card), path)
    return path


def sealed(path: Path, data: bytes, **card: object) -> Path:
    """Other bytes under the same name; a hostile author mends the card as well."""
    path.write_bytes(data)
    header = json.loads(path.with_suffix(".json").read_text()) | {"sha256": hashlib.sha256(data).hexdigest()} | card
    path.with_suffix(".json").write_bytes(seal(header))
    return path


def header_of(data: bytes) -> dict[str, Any]:
    whole = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(json.loads(whole["__metadata__"][KEY]))


def altered(
    path: Path,
    arrays: Callable[[Arrays], object] = lambda arrays: None,
    change: Callable[[dict[str, Any]], object] = lambda header: None,
    **card: object,
) -> Path:
    """The same file with other arrays or another header."""
    data = path.read_bytes()
    held, header = safetensors.numpy.load(data), header_of(data)
    arrays(held)
    change(header)
    held = {name: np.ascontiguousarray(array) if np.ndim(array) else np.array(array) for name, array in held.items()}
    return sealed(path, safetensors.numpy.save(held, {KEY: json.dumps(header)}), **card)


def refused(path: Path) -> str:
    with pytest.raises(FeatxError) as caught:
        load_classifier(path)
    assert caught.value.code == "model-broken" and "trust" in caught.value.message, caught.value
    return caught.value.message


def put(name: str, value: Any) -> Callable[[Arrays], None]:
    """Change the arrays of this name: into a value, or as a function of them says."""

    def change(arrays: Arrays) -> None:
        (key,) = [key for key in arrays if key.endswith(f".{name}")]
        arrays[key] = value(arrays[key]) if callable(value) else value

    return change


def at(index: Any, value: Any) -> Callable[[np.ndarray], np.ndarray]:
    """An array with one other number."""

    def change(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array[index] = value
        return array

    return change


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reduce", ["none", "lda", "3"])
def test_every_honest_classifier_loads_and_is_the_same_when_it_is_taken_apart_and_put_together(name, reduce, tmp_path):
    path = saved(name, tmp_path / "m.safetensors", reduce)
    before = path.read_bytes()
    model = load_classifier(path)
    assert model.predict(np.ones((2, WIDTH), np.float32)).shape == (2,)
    assert altered(path).read_bytes() == before


FOREST = {
    "a child far outside": put("left_", at(0, 10**9)),
    "the other child far outside": put("right_", at(0, 10**9)),
    "a child before the tree": put("left_", at(0, -7)),
    "a child of another tree": put("right_", lambda right: np.where(right == right.max(), right, len(right) - 1)),
    "its own child": put("left_", at(0, 0)),
    "a column far outside": put("feature_", at(0, 10**9)),
    "a column before the photo": put("feature_", at(0, -3)),
    "a threshold that is no number": put("threshold_", at(0, np.nan)),
    "no trees": put("root_", np.zeros(1, np.int64)),
    "no offsets": put("root_", np.zeros(0, np.int64)),
    "fewer nodes than there are": put("root_", lambda root: root[:-1]),
    "a tree without nodes": put("root_", lambda root: np.insert(root, 1, root[1])),
    "trees that lie behind one another": put("root_", lambda root: root[[0, 2, 1, *range(3, len(root))]]),
    "offsets that overflow": put("root_", at(slice(1, 4), np.array([2**62, -(2**62), 2**62]))),
    "leaves that do not add up": put("start_", at(3, 10**9)),
    "fewer leaves than nodes": put("start_", lambda start: start[1:]),
    "a category outside": put("category_", at(0, 3)),
    "a category before the first": put("category_", at(0, -1)),
    "shares that are no numbers": put("share_", at(0, np.inf)),
    "fewer shares": put("share_", lambda share: share[:-1]),
    "offsets as fractions": put("root_", lambda root: root.astype(np.float64)),
}


@pytest.mark.parametrize("name", ["rf", "extra-trees"])
@pytest.mark.parametrize("how", FOREST)
def test_a_forest_that_leads_outside_itself_is_refused(how, name, tmp_path):
    refused(altered(saved(name, tmp_path / "m.safetensors"), FOREST[how]))


NUMBERS = {
    "wrong shape": put("coef_", lambda coef: coef[:, :-1]),
    "too few rows": put("coef_", lambda coef: coef[:2]),
    "one row": put("coef_", lambda coef: coef[0]),
    "nan": put("coef_", lambda coef: np.full_like(coef, np.nan)),
    "too large": put("coef_", lambda coef: np.full_like(coef, 3e38)),
    "whole numbers": put("coef_", lambda coef: coef.astype(np.int32)),
    "bytes": put("coef_", lambda coef: coef.astype(np.uint8)),
    "yes or no": put("coef_", lambda coef: coef > 0),
    "a type featx never writes": put("coef_", lambda coef: coef.astype(np.int8)),
    "nothing": put("coef_", np.zeros((3, 0), np.float32)),
    "a single number": put("coef_", np.float32(1)),
    "no intercept": put("intercept_", np.zeros(0, np.float32)),
    "missing": lambda arrays: [arrays.pop(name) for name in [*arrays] if name.endswith("coef_")],
    "more than there should be": lambda arrays: arrays.update({"more.coef_": np.zeros(3, np.float32)}),
}


@pytest.mark.parametrize("name", ["svm", "logreg", "lda"])
@pytest.mark.parametrize("how", NUMBERS)
def test_a_classifier_whose_numbers_give_no_answer_is_refused(how, name, tmp_path):
    refused(altered(saved(name, tmp_path / "m.safetensors"), NUMBERS[how]))


NEIGHBOURS = {
    "a category outside": put("truth_", at(7, 10**6)),
    "a category before the first": put("truth_", at(7, -1)),
    "fewer truths": put("truth_", lambda truth: truth[:4]),
    "nobody": lambda arrays: [put(name, lambda array: array[:0])(arrays) for name in ("rows_", "truth_", "sizes_")],
    "nan": put("rows_", at((3, 1), np.nan)),
}


@pytest.mark.parametrize("how", NEIGHBOURS)
def test_neighbours_that_cannot_be_asked_are_refused(how, tmp_path):
    refused(altered(saved("knn", tmp_path / "m.safetensors"), NEIGHBOURS[how]))


@pytest.mark.parametrize(
    ("name", "reduce", "field"),
    [
        ("svm-rbf", "none", "landmarks_"), ("svm-rbf", "none", "gamma_"), ("centroid", "none", "centroids_"),
        ("centroid", "none", "class_prior_"), ("centroid", "none", "within_class_std_dev_"),
        ("svm", "none", "scale_"), ("svm", "lda", "directions_"), ("svm", "lda", "size_"), ("svm", "3", "components_"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [np.zeros((0, 3), np.float32), np.full((30, WIDTH), np.inf, np.float32)])
def test_the_others_are_refused_too(name, reduce, field, value, tmp_path):
    refused(altered(saved(name, tmp_path / "m.safetensors", reduce), put(field, value)))


def within(header: dict[str, Any], **values: object) -> None:
    header["settings"] |= values


HEADERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no temperature": lambda header: header.pop("temperature"),
    "a temperature of nothing": lambda header: header.update(temperature=0.0),
    "a temperature below nothing": lambda header: header.update(temperature=-1),
    "a temperature that is no number": lambda header: header.update(temperature=float("nan")),
    "a temperature without end": lambda header: header.update(temperature=float("inf")),
    "a temperature in words": lambda header: header.update(temperature="warm"),
    "a temperature in a list": lambda header: header.update(temperature=[1.0]),
    "a novelty threshold that is no number": lambda header: header.update(novelty_threshold=float("nan")),
    "another format": lambda header: header.update(format=2),
    "more than there should be": lambda header: header.update(more=1),
    "one category": lambda header: header.update(classes=["0"]),
    "a category twice": lambda header: header.update(classes=["0", "0", "1"]),
    "categories that are not on the card": lambda header: header.update(classes=["0", "1", "3"]),
    "categories without end": lambda header: header.update(classes=["0", "1", "2", *map(str, range(9, 9999))]),
    "categories that are no text": lambda header: header.update(classes=[0, 1, 2]),
    "another classifier": lambda header: within(header, name="logreg"),
    "a classifier nobody knows": lambda header: within(header, name="os.system"),
    "a path for a classifier": lambda header: within(header, name="../../svm"),
    "another reduction": lambda header: within(header, reduce="lda"),
    "a reduction nobody knows": lambda header: within(header, reduce="exec"),
    "a reduction to nothing": lambda header: within(header, reduce=-4),
    "a strength below nothing": lambda header: within(header, strength=-1.0),
    "a strength without end": lambda header: within(header, strength=float("inf")),
    "a strength in words": lambda header: within(header, strength="strong"),
    "a width that is no number": lambda header: within(header, width=float("nan")),
    "settings in a list": lambda header: header.update(settings=[]),
}


@pytest.mark.parametrize("how", HEADERS)
def test_a_header_that_fits_no_classifier_is_refused(how, tmp_path):
    refused(altered(saved("svm", tmp_path / "m.safetensors"), change=HEADERS[how]))


@pytest.mark.parametrize("strength", [0.2, 1e-300])
def test_neighbours_fewer_than_one_are_refused(strength, tmp_path):
    path = saved("knn", tmp_path / "m.safetensors")
    refused(altered(path, change=lambda header: within(header, strength=strength)))


def test_more_neighbours_than_there_are_rows_take_no_room(tmp_path):
    path = altered(saved("knn", tmp_path / "m.safetensors"), change=lambda header: within(header, strength=1e300))
    assert load_classifier(path).predict(np.ones((2, WIDTH), np.float32)).shape == (2,)


@pytest.mark.parametrize(
    "rows",
    [np.ones((4, WIDTH + 1), np.float16), np.ones(4, np.float16), np.full((4, WIDTH), np.nan, np.float16),
     np.ones((4, WIDTH), np.int32)],
)  # fmt: skip
def test_what_it_learned_from_has_to_look_as_features_do(rows, tmp_path):
    refused(altered(saved("svm", tmp_path / "m.safetensors"), lambda arrays: arrays.update({"novelty.rows": rows})))


@pytest.mark.parametrize("width", [10**12, "8", None, 7, 0, -8, True])
def test_the_width_of_a_photo_is_that_of_the_classifier(width, tmp_path):
    refused(altered(saved("svm", tmp_path / "m.safetensors"), fingerprint={"backbone": "toy", "width": width}))


# --- what happens before the numbers are there -----------------------------------------------------------------------


def raw(path: Path, change: Callable[[dict[str, Any]], object], length: int | None = None) -> Path:
    """The same file with another description of its arrays, as no library would write it."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    described = json.loads(data[8:end])
    change(described)
    text = json.dumps(described).encode()
    return sealed(path, (len(text) if length is None else length).to_bytes(8, "little") + text + data[end:])


def first(described: dict[str, Any]) -> dict[str, Any]:
    return dict(next(array for name, array in described.items() if name != "__metadata__"))


DESCRIPTIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "an array of a terabyte": lambda header: header.update(much={**first(header), "shape": [10**12]}),
    "an array larger than any number": lambda header: header.update(much={**first(header), "shape": [2**62, 2**62]}),
    "an array of less than nothing": lambda header: header.update(much={**first(header), "shape": [-5]}),
    "an array that ends outside": lambda header: header.update(much={**first(header), "data_offsets": [0, 10**12]}),
    "an array that ends before it begins": lambda header: header.update(
        much={**first(header), "data_offsets": [64, 0]}
    ),
    "two arrays on the same bytes": lambda header: header.update(much=first(header)),
    "a type that is none": lambda header: header.update(much={**first(header), "dtype": "object"}),
    "no metadata": lambda header: header.pop("__metadata__"),
    "metadata of something else": lambda header: header.update(__metadata__={"format": "pt"}),
    "metadata that is no text": lambda header: header.update(__metadata__={KEY: {}}),
    "a header that is no JSON": lambda header: header["__metadata__"].update({KEY: "{"}),
    "a header that is no object": lambda header: header["__metadata__"].update({KEY: "[]"}),
    "brackets without end": lambda header: header["__metadata__"].update({KEY: "[" * 100_000}),
}


@pytest.mark.parametrize("how", DESCRIPTIONS)
def test_a_file_that_describes_what_it_does_not_hold_is_refused(how, tmp_path):
    refused(raw(saved("svm", tmp_path / "m.safetensors"), DESCRIPTIONS[how]))


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**40, 2**63, 2**64 - 1])
def test_a_description_that_says_it_is_longer_or_shorter_takes_no_room(length, tmp_path):
    refused(raw(saved("svm", tmp_path / "m.safetensors"), lambda header: None, length))


def test_no_bytes_after_a_change_are_parsed_before_their_digest_is_right(tmp_path, monkeypatch):
    path = saved("svm", tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    monkeypatch.setattr("featx.classifiers.persistence.decode", lambda *words: pytest.fail("it was parsed"))
    assert "SHA-256" in refused(path)


def test_predict_says_in_a_sentence_that_a_classifier_cannot_be_asked(featx, tmp_path):
    for category in ("boots", "hats"):
        for item in range(6):
            photo(tmp_path / "photos" / category / f"{item}.jpg", seed=item + 50 * (category == "hats"))
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "svm", "--folds", "2").returncode == 0
    altered(tmp_path / "artifacts/models/svm.safetensors", put("coef_", np.zeros((3, 1), np.float32)))
    for words in (("predict", "photos"), ("info", "--check")):
        ran = featx(*words)
        assert ran.returncode == 5 and "svm.safetensors" in ran.stderr and "Traceback" not in ran.stderr, ran.stderr


# --- the card --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "![x](http://a.b/c.png)",
        "<script>alert(1)</script>",
        "a\n\n# Trusted",
        "`a` | b",
        "[here](javascript:x)",
        "@all",
    ],
)
def test_names_and_labels_stay_text_on_the_card_of_a_classifier(name, tmp_path):
    share = {"accuracy": 1.0, "ci95": [0.5, 1.0], "n": 3}
    row = {
        "target": 0.9, "answered": 1.0, "precision": 1.0, "low": 0.5, "high": 1.0, "n": 3, "measured_on": "folds",
        "everywhere": 0.5, "categories": {name: 0.5},
    }  # fmt: skip
    header = {"store": name, "backbone": name, "labels": [name], "thresholds": [row], "test": share}
    settings = ClassifierSettings("svm")
    pipeline = train_classifier(settings, np.eye(WIDTH, dtype=np.float32), np.array(["a", "b"] * 4))
    novelty = NoveltyDetector(np.ones((1, WIDTH)), 0.1)
    fingerprint = toy_fingerprint(WIDTH, backbone=name)
    card = card_of(["a", "b"], WIDTH, **header)
    save(Classifier(settings, pipeline, ["a", "b"], 1.0, fingerprint, novelty, card), tmp_path / "m.safetensors")
    lines = (tmp_path / "m.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# x on ") and not any(line.startswith("# ") for line in lines[1:])
    outside = re.sub(r"`[^`]*`", "", re.sub(r"\\.", "", "\n".join(lines)))
    assert not re.search(r"[<>\[\]`@]", outside), outside


def test_the_direction_of_writing_cannot_be_turned_in_markdown():
    assert escape_markdown("shoes\u202egpj.exe\u2066") == "shoesgpj.exe" and inline_code("a\u202eb") == "`ab`"
