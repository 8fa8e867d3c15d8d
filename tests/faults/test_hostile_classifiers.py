"""Classifiers with the right digest and only trusted types, whose numbers would crash, hang or fill who uses them."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.classifiers.card import card_bytes
from featx.classifiers.kinds import NAMES
from featx.classifiers.model import Classifier
from featx.classifiers.novelty import NoveltyDetector
from featx.classifiers.persistence import load_classifier, save
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.errors import FeatxError
from featx.files.markdown import escape_markdown, inline_code
from tests.conftest import card_of, photo, toy_fingerprint
from tests.counting import counted_calls

WIDTH = 8
# No file makes who reads it work without end.
MOST_CALLS = 2_000_000
CARD = card_of(["0", "1", "2"], WIDTH)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr("featx.classifiers.kinds.forests.TREES", 5)


def made(name: str, path: Path, spoil: Callable[[Any], None] = lambda step: None, reduce: str = "none") -> Path:
    """A classifier whose last step was spoilt before it was sealed."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((30, WIDTH)).astype(np.float32)
    labels = np.array([str(i % 3) for i in range(30)])
    pipeline = train_classifier(ClassifierSettings(name, reduce=reduce, threads=1), rows, labels)
    spoil(pipeline.steps[-1][1])
    return sealed(pipeline, path)


def sealed(pipeline: Any, path: Path, **others: Any) -> Path:
    told = {"temperature": 1.0, "rows": np.ones((4, WIDTH), np.float16), "width": WIDTH} | others
    fingerprint = toy_fingerprint(told["width"], backbone="colour")
    familiar = NoveltyDetector(told["rows"], 0.1)
    card = {**CARD, "fingerprint": fingerprint.to_dict()}
    save(Classifier("x", pipeline, ["0", "1", "2"], told["temperature"], fingerprint, familiar, card), path)
    return path


def refused(path: Path) -> str:
    with counted_calls() as calls, pytest.raises(FeatxError) as caught:
        load_classifier(path)
    assert caught.value.code == "model-broken" and calls.made < MOST_CALLS
    return caught.value.message


def turned(column: str, value: int) -> Callable[[Any], None]:
    """Change one number of the first node of one tree."""

    def spoil(forest: Any) -> None:
        tree = forest.estimators_[0].tree_
        state = tree.__getstate__()
        nodes = state["nodes"].copy()
        nodes[column][0] = value
        tree.__setstate__({**state, "nodes": nodes})

    return spoil


def larger_than_it_is(forest: Any) -> None:
    tree = forest.estimators_[0].tree_
    tree.__setstate__({**tree.__getstate__(), "max_depth": 7})
    # Of the nodes that are written, fewer than are told.
    state = {**tree.__getstate__(), "node_count": 1}
    tree.__setstate__(state)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reduce", ["none", "lda", "3"])
def test_every_honest_classifier_loads(name, reduce, tmp_path):
    model = load_classifier(made(name, tmp_path / "m.skops", reduce=reduce))
    assert model.predict(np.ones((2, WIDTH), np.float32)).shape == (2,)


OUTSIDE = {
    "child far outside": turned("left_child", 10**12),
    "other child far outside": turned("right_child", 10**12),
    "child before the tree": turned("left_child", -7),
    "its own child": turned("left_child", 0),
    "feature far outside": turned("feature", 10**12),
    "feature before the photo": turned("feature", -3),
    "fewer nodes told": larger_than_it_is,
    "threads without end": lambda forest: forest.set_params(n_jobs=10**9),
    "threads in words": lambda forest: forest.set_params(n_jobs="all"),
    "trees without end": lambda forest: forest.set_params(n_estimators=10**9),
    "categories without end": lambda forest: setattr(forest, "n_classes_", 10**9),
    "a tree for other categories": lambda forest: setattr(forest.estimators_[3], "n_classes_", 2),
    "a tree for other numbers": lambda forest: setattr(forest, "n_features_in_", 1000),
    "no trees": lambda forest: setattr(forest, "estimators_", []),
    "something else for a tree": lambda forest: forest.estimators_.__setitem__(2, forest.estimators_[0].tree_),
    "much to say": lambda forest: forest.set_params(verbose=100),
}


@pytest.mark.parametrize("name", ["rf", "extra-trees"])
@pytest.mark.parametrize("how", OUTSIDE)
def test_a_forest_that_leads_outside_itself_is_refused(how, name, tmp_path):
    assert "trust" in refused(made(name, tmp_path / "m.skops", OUTSIDE[how]))


def test_such_a_tree_does_hang_or_end_who_asks_it_unvetted(tmp_path):
    path = made("rf", tmp_path / "m.skops", turned("left_child", 0))
    code = (
        "import sys, io, numpy as np; from featx.classifiers.persistence import TRUSTED, _skops\n"
        "held = _skops().load(io.BytesIO(open(sys.argv[1], 'rb').read()), trusted=TRUSTED)\n"
        "print('loaded', flush=True)\n"
        "tree = held['pipeline'].steps[-1][1].estimators_[0].tree_\n"
        f"tree.apply(np.full((1, {WIDTH}), -1e30, np.float32))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None and ran.stdout.readline() == "loaded\n"
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                ran.wait(3)
        finally:
            ran.kill()


def test_one_tree_alone_is_no_classifier(tmp_path):
    from sklearn.pipeline import make_pipeline

    def alone(forest: Any) -> None:
        turned("left_child", 0)(forest)
        path = sealed(make_pipeline(forest.estimators_[0]), tmp_path / "alone.skops")
        assert "no step" in refused(path)

    made("rf", tmp_path / "m.skops", alone)


NUMBERS = {
    "wrong shape": lambda step: setattr(step, "coef_", step.coef_[:, :-1]),
    "too few rows": lambda step: setattr(step, "coef_", step.coef_[:2]),
    "nan": lambda step: setattr(step, "coef_", np.full_like(step.coef_, np.nan)),
    "too large": lambda step: setattr(step, "coef_", np.full_like(step.coef_, 3e38)),
    "words": lambda step: setattr(step, "coef_", step.coef_.astype("U9")),
    "objects": lambda step: setattr(step, "coef_", step.coef_.astype(object)),
    "imaginary": lambda step: setattr(step, "coef_", step.coef_.astype(np.complex64)),
    "no sort of array": lambda step: setattr(step, "coef_", "coefficients"),
    "missing": lambda step: delattr(step, "coef_"),
    "no intercept": lambda step: setattr(step, "intercept_", np.zeros(0, np.float32)),
    "one category": lambda step: setattr(step, "classes_", step.classes_[:1]),
    "categories twice": lambda step: setattr(step, "classes_", step.classes_[[0, 0, 1]]),
    "categories without end": lambda step: setattr(step, "classes_", np.zeros(10**9, "V0")),
    "width in words": lambda step: setattr(step, "n_features_in_", "eight"),
}


@pytest.mark.parametrize("name", ["svm", "logreg", "lda"])
@pytest.mark.parametrize("how", NUMBERS)
def test_a_classifier_whose_numbers_give_no_answer_is_refused(how, name, tmp_path):
    refused(made(name, tmp_path / "m.skops", NUMBERS[how]))


NEIGHBOURS = {
    "no neighbours": lambda step: setattr(step, "n_neighbors", 0),
    "half a neighbour": lambda step: setattr(step, "n_neighbors", 2.5),
    "fewer than none": lambda step: setattr(step, "n_neighbors", -4),
    "a category outside": lambda step: step.truth_.__setitem__(7, 10**9),
    "fewer truths": lambda step: setattr(step, "truth_", step.truth_[:4]),
    "nobody": lambda step: setattr(step, "rows_", step.rows_[:0]),
    "nan": lambda step: step.rows_.__setitem__((3, 1), np.nan),
}


@pytest.mark.parametrize("how", NEIGHBOURS)
def test_neighbours_that_cannot_be_asked_are_refused(how, tmp_path):
    refused(made("knn", tmp_path / "m.skops", NEIGHBOURS[how]))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("svm-rbf", "landmarks_"),
        ("svm-rbf", "gamma_"),
        *(("centroid", f"{one}_") for one in ("centroids", "class_prior")),
    ],
)
@pytest.mark.parametrize("value", [np.zeros((0, 3), np.float32), "text", np.full((30, WIDTH), np.inf, np.float32)])
def test_the_others_are_refused_too(name, field, value, tmp_path):
    refused(made(name, tmp_path / "m.skops", lambda step: setattr(step, field, value)))


@pytest.mark.parametrize(
    "told",
    [
        {"temperature": 0.0}, {"temperature": float("nan")}, {"temperature": "warm"}, {"temperature": [1.0]},
        {"temperature": -1}, {"rows": np.ones((4, WIDTH + 1), np.float16)}, {"rows": np.ones(4, np.float16)},
        {"rows": np.full((4, WIDTH), np.nan, np.float16)}, {"rows": np.array([["a"] * WIDTH])},
        {"width": 10**12}, {"width": "8"}, {"width": None},
    ],
    ids=str,
)  # fmt: skip
def test_what_stands_beside_the_pipeline_is_looked_at_as_well(told, tmp_path):
    made("svm", tmp_path / "good.skops")
    pipeline = load_classifier(tmp_path / "good.skops").pipeline
    refused(sealed(pipeline, tmp_path / "m.skops", **told))


# --- what happens before the numbers are there -----------------------------------------------------------------------


def rewritten(
    path: Path,
    change: Callable[[dict[str, Any], dict[str, bytes]], None],
    squeezed: int = 0,
    deep: tuple[str, str] = ("", ""),
) -> Path:
    """The same file with other parts; a hostile author mends the card as well."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    schema = json.loads(parts.pop("schema.json"))
    change(schema, parts)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", squeezed) as new:
        for name, data in parts.items():
            new.writestr(name, data)
        whole = json.dumps(listed())
        new.writestr("schema.json", json.dumps(schema).replace(whole, f"{deep[0]}{whole}{deep[1]}"))
    path.write_bytes(out.getvalue())
    card = json.loads(path.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(out.getvalue()).hexdigest()
    path.with_suffix(".json").write_bytes(card_bytes(card))
    return path


def listed(*parts: object, key: int | None = None) -> dict[str, object]:
    node = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": list(parts)}
    return node if key is None else {**node, "__id__": key}


def held(name: str, node: object) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    def change(schema: dict[str, Any], parts: dict[str, bytes]) -> None:
        schema["content"][name] = node

    return change


def test_a_list_of_lists_of_lists_each_twice_is_refused_at_once(tmp_path):
    node = listed(key=1)
    for key in range(2, 60):
        node = listed(node, listed(key=key - 1), key=key)
    assert "unfolds" in refused(rewritten(made("svm", tmp_path / "m.skops"), held("more", node)))


def test_one_array_used_a_million_times_is_refused(tmp_path):
    def change(schema: dict[str, Any], parts: dict[str, bytes]) -> None:
        data = io.BytesIO()
        np.save(data, np.zeros(100_000))
        parts["much.npy"] = data.getvalue()
        array = {
            "__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy",
            "file": "much.npy",
        }  # fmt: skip
        schema["content"]["more"] = listed(*[array] * 20_000)

    assert "unfolds" in refused(rewritten(made("svm", tmp_path / "m.skops"), change))


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_squeezed_part_is_never_unfolded_even_where_it_says_it_is_small(how, tmp_path):
    path = rewritten(made("svm", tmp_path / "m.skops"), lambda schema, parts: None, how)
    assert "unfolds" in refused(path)


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(4, 10000000000000000)", "(-5,)", "(3,) + (4,)"])
@pytest.mark.parametrize("kind", ["<f4", "V0", "<U0", "|O", "<U268435455"])
def test_an_array_that_says_it_is_gigantic_takes_no_room(shape, kind, tmp_path):
    def change(schema: dict[str, Any], parts: dict[str, bytes]) -> None:
        said = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
        said += b" " * (63 - (10 + len(said)) % 64 + 1 - 1) + b"\n"
        for name in parts:
            parts[name] = b"\x93NUMPY\x01\x00" + len(said).to_bytes(2, "little") + said + bytes(64)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refused(rewritten(made("svm", tmp_path / "m.skops"), change))


STRANGE = {
    "a ufunc": {"__class__": "exp", "__module__": "numpy", "__loader__": "FunctionNode"},
    "an estimator featx never uses": {
        "__class__": "FunctionTransformer", "__module__": "sklearn.preprocessing._function_transformer",
        "__loader__": "ObjectNode",
    },
    "a constructor": {
        "__class__": "Tree", "__module__": "sklearn.tree._tree", "__loader__": "ConstructorFromReduceNode",
        "content": listed(),
    },
    "bytes": {"__class__": "bytes", "__module__": "builtins", "__loader__": "BytesNode", "file": "schema.json"},
    "a squeezed matrix": {
        "__class__": "csr_matrix", "__module__": "scipy.sparse._csr", "__loader__": "SparseMatrixNode",
        "type": "scipy", "file": "schema.json",
    },
    "no loader known": {"__class__": "x", "__module__": "y", "__loader__": "Else"},
    "a list of its own": {"__class__": "list", "__module__": "builtins", "__loader__": ["ListNode"], "content": []},
    "a key that cannot be one": {**listed(), "__id__": []},
    "a file that cannot be one": {
        "__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy", "file": {},
    },
}  # fmt: skip


@pytest.mark.parametrize("what", STRANGE)
def test_no_part_that_featx_never_writes_is_made(what, tmp_path):
    refused(rewritten(made("svm", tmp_path / "m.skops"), held("more", STRANGE[what])))


def test_brackets_without_end_are_a_sentence(tmp_path):
    start, end = json.dumps(listed("x")).split('"x"')
    for deep in (400, 3_000, 100_000):
        path = rewritten(made("svm", tmp_path / "m.skops"), held("more", listed()), deep=(start * deep, end * deep))
        refused(path)


def test_predict_says_in_a_sentence_that_a_classifier_cannot_be_asked(featx, tmp_path):
    for category in ("boots", "hats"):
        for item in range(6):
            photo(tmp_path / "photos" / category / f"{item}.jpg", seed=item + 50 * (category == "hats"))
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "svm", "--folds", "2").returncode == 0
    path = tmp_path / "artifacts/models/svm.skops"
    model = load_classifier(path)
    model.pipeline.steps[-1][1].coef_ = np.zeros((3, 1), np.float32)
    save(model, path)
    for words in (("predict", "photos"), ("info", "--check")):
        ran = featx(*words)
        assert ran.returncode == 5 and "svm.skops" in ran.stderr and "Traceback" not in ran.stderr, ran.stderr


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
    told = {"store": name, "backbone": name, "labels": [name], "thresholds": [row], "test": share}
    pipeline = train_classifier(ClassifierSettings("svm"), np.eye(WIDTH, dtype=np.float32), np.array(["a", "b"] * 4))
    familiar = NoveltyDetector(np.ones((1, WIDTH)), 0.1)
    fingerprint = toy_fingerprint(WIDTH, backbone=name)
    save(Classifier("x", pipeline, ["a", "b"], 1.0, fingerprint, familiar, {**CARD, **told}), tmp_path / "m.skops")
    lines = (tmp_path / "m.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# x on ") and not any(line.startswith("# ") for line in lines[1:])
    outside = re.sub(r"`[^`]*`", "", re.sub(r"\\.", "", "\n".join(lines)))
    assert not re.search(r"[<>\[\]`@]", outside), outside


def test_the_direction_of_writing_cannot_be_turned_in_markdown():
    assert escape_markdown("shoes\u202egpj.exe\u2066") == "shoesgpj.exe" and inline_code("a\u202eb") == "`ab`"
