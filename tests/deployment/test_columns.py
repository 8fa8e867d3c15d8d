"""A classifier that counts columns answers in a deployment as in featx, without featx."""

from __future__ import annotations

import ast
import csv
import importlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.catalogue.items import Item
from featx.classifiers.columns.fusion import Fusion, Part, Way
from featx.classifiers.columns.learning import learn_columns
from featx.classifiers.columns.values import Kind
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.deployment.columns import require_columns_travel
from featx.deployment.folder import deploy
from featx.errors import FeatxError
from featx.prediction.predict import Predictor
from featx.prediction.review import decision_rule
from tests.deployment.test_deploy import ALLOWED, run
from tests.deployment.test_model import predictor_of

KINDS = {"title": Kind.TEXT, "price": Kind.NUMBER, "brand": Kind.CHOICE, "model": Kind.TEXT}
# A sign of money, another alphabet, a misreading, a word never seen, and nothing at all.
ROWS = [
    {"title": "Rött äpple, 1 kg", "price": "1.299,00 kr", "brand": "arla", "model": "A1"},
    {"title": "красное яблоко", "price": "3.2", "brand": "Nobody", "model": ""},
    {"title": "grean leaf", "price": "", "brand": "", "model": ""},
    {"title": "", "price": "", "brand": "", "model": ""},
]


@pytest.fixture(scope="module")
def counting() -> Predictor:
    """A classifier of three colours that counts titles, prices, brands and models."""
    predictor = predictor_of("torchvision", ClassifierSettings("logreg", reduce="none"))
    labels = np.array(["red", "green", "blue"] * 6)
    titles = {"red": "Rött äpple", "green": "Green leaf", "blue": "Blue sky"}
    columns = {
        "title": [f"{titles[label]} {i % 4} kg" for i, label in enumerate(labels)],
        "price": [float(i) for i in range(18)],
        "brand": ["Arla", "Oatly"] * 9,
        "model": [f"A{i % 3}" for i in range(18)],
    }
    encoder, settings = learn_columns(columns, KINDS), ClassifierSettings("logreg")
    part = Part(settings, train_classifier(settings, encoder.encode(columns), labels), 0.8)
    # So little is a photo's answer worth that its columns may change it, however strange the photo.
    predictor.model.fusion = Fusion(Way.AVERAGED, encoder, part, 5.0, 1.1, 0.7)
    return Predictor(predictor.model, None, lambda: predictor.backbone)


@pytest.fixture(scope="module")
def out(counting: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("columns") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featx.prediction.predict.open_predictor", lambda *words, **more: counting)
        deploy(folder)
    return folder


@pytest.fixture(scope="module")
def table(out: Path) -> Path:
    """A table beside the golden photos."""
    photos = sorted(path.name for path in (out / "golden").glob("*.jpg"))[: len(ROWS)]
    with (out / "golden" / "list.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["sku", "path", *KINDS], delimiter=";")
        writer.writeheader()
        writer.writerows({"sku": f"a{i}", "path": photos[i], **row} for i, row in enumerate(ROWS))
    return out / "golden" / "list.csv"


@pytest.fixture(scope="module")
def from_table(out: Path, table: Path) -> tuple[list[dict], str]:
    """The records of its photos, and what the program says beside them."""
    ran = run(out, "--json", str(table))
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr


@pytest.fixture
def reader(out: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What reads columns in a deployment, as the program imports it."""
    monkeypatch.syspath_prepend(str(out))
    return importlib.import_module("columns")


def test_photos_of_a_table_get_the_answers_of_featx(counting: Predictor, from_table) -> None:
    own, said = from_table
    items = [Item("", record["path"], extra=row) for record, row in zip(own, ROWS, strict=True)]
    for record, answer in zip(own, counting.stream(items, decision_rule(counting.model.card)), strict=True):
        wanted = answer.to_dict()
        assert all(record[name] == wanted[name] for name in ("category", "review", "doubt"))
        assert record["sure"] == pytest.approx(wanted["sure"], abs=2e-4)
    assert [record["sku"] for record in own] == ["a0", "a1", "a2", "a3"] and own[0]["title"] == ROWS[0]["title"]
    assert "1 without title, price, brand, model: answered by the photo alone" in said


def test_columns_named_on_the_command_line_count_like_those_of_a_table(out: Path, from_table) -> None:
    first = from_table[0][0]
    flags = ["--title", "Rött äpple, 1 kg", "--price", "1.299,00 kr", "--brand", "arla", "--column-model", "A1"]
    named = json.loads(run(out, "--json", *flags, first["path"]).stdout)
    assert (named["category"], named["sure"]) == (first["category"], first["sure"])


def test_golden_photos_carry_columns_and_another_title_fails_their_check(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    with np.load(copy / "golden" / "expected.npz") as file:
        arrays = dict(file)
    rows = [json.loads(row) for row in arrays["columns"].tolist()]
    assert any(all(row.values()) for row in rows) and any(set(row.values()) == {None} for row in rows)
    arrays["columns"] = np.array([json.dumps({**row, "title": "Blue sky"}) for row in rows])
    np.savez(copy / "golden" / "expected.npz", **arrays)
    assert "differ" in run(copy, "--check").stderr


def test_a_flipped_byte_in_what_the_columns_learned_is_refused(reader, out: Path, tmp_path: Path) -> None:
    shutil.copytree(out / "columns", tmp_path / "columns")
    shutil.copyfile(out / "manifest.json", tmp_path / "manifest.json")
    data = bytearray((tmp_path / "columns" / "learned.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "columns" / "learned.npz").write_bytes(data)
    with pytest.raises(SystemExit, match=r"learned\.npz is damaged"):
        reader.Columns(tmp_path)


def test_a_table_is_read_as_it_comes_and_one_without_photos_is_refused(reader, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_bytes('\ufeffTitle;Path\r\n"two\nlines";a.jpg\r\none\u2028line; b.jpg \r\n;c.jpg\r\n'.encode())
    rows = list(reader.rows_of_table(table))
    assert rows == [
        (tmp_path / "a.jpg", {"Title": "two\nlines"}), (tmp_path / "b.jpg", {"Title": "one\u2028line"}),
        (tmp_path / "c.jpg", {}),
    ]  # fmt: skip
    table.write_text("sku,title\n1,x\n")
    with pytest.raises(SystemExit, match="has no column with the paths of photos"):
        list(reader.rows_of_table(table))


def test_what_reads_columns_imports_nothing_of_featx(out: Path) -> None:
    files = sorted((out / "columns").glob("*.py"))
    assert [file.name for file in files] == ["__init__.py", "cells.py", "encoders.py", "plain.py", "words.py"]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                assert name.partition(".")[0] in ALLOWED | sys.stdlib_module_names, (file.name, name)
    assert "COPY columns " in (out / "Containerfile").read_text("utf-8")


def test_texts_by_meaning_are_refused_in_a_sentence(counting: Predictor) -> None:
    fusion = counting.model.fusion
    assert fusion is not None
    encoder = replace(fusion.encoder, kinds={**KINDS, "title": Kind.MEANING})
    model = replace(counting.model, fusion=replace(fusion, encoder=encoder))
    with pytest.raises(FeatxError, match="texts by their meaning") as error:
        require_columns_travel(model)
    assert "without `--sentences`" in str(error.value.hint)


# Beside the rows above: other digits and scripts, letters that fold to several, one beyond sixteen bits, and no words.
HOSTILE = [
    {"title": "STRASSE Straße ﬁne Ǆ ŉ ᾳ ς Σ İI ½ ５ kg", "price": "١٢٫5", "brand": "ÁRLA!", "model": "𝔄1 𠀀𠀁"},
    {
        "title": "東京タワー牛乳 のむ ทดสอบ हिन्दी e\u0301\u0323",
        "price": "-$ 1.234.567",
        "brand": "_oatly_",
        "model": "a_1",
    },
    {"title": "\u200b \u0000", "price": "12,5 kr", "brand": "???", "model": "A1 a1 A1"},
    {"title": "x" * 5000, "price": "9" * 59, "brand": " ", "model": "A" + "\U0001f34f" * 3},
]


@pytest.mark.long
def test_a_browser_makes_the_same_numbers_of_columns_and_gives_the_same_answers(
    counting: Predictor, out: Path, reader, browser: Any, tmp_path: Path
) -> None:
    from featx.deployment import browser_page

    try:
        browser_page.runtime_archive()
    except FeatxError as error:
        pytest.skip(error.message)
    fusion, golden = counting.model.fusion, out / "golden"
    assert fusion is not None
    page_folder = tmp_path / "browser"
    browser_page.write_page(page_folder, out / "model.onnx", golden, golden / "expected.npz", fusion.encoder)
    page = browser.new_page()
    page.goto((page_folder / "index.html").as_uri())
    page.get_by_text("Ready").wait_for(timeout=300_000)
    rows = [*ROWS, *HOSTILE, {}, {"price": 3.5}]
    own = np.array([page.evaluate("row => Array.from(columnNumbers(row))", row) for row in rows])
    np.testing.assert_allclose(own, reader.Columns(out).encode(rows), atol=1e-6)
    page.click("#check")
    page.get_by_text("drawn photos get").wait_for(timeout=300_000)
    assert page.inner_text("#state").startswith("20 of 20 drawn photos") and "0.0001" in page.inner_text("#state")
    page.get_by_label("title").fill("=Rött äpple")
    photo = min((golden).glob("*.jpg"))
    page.set_input_files("#choose", [str(photo)])
    page.get_by_text("1 answered").wait_for(timeout=300_000)
    with page.expect_download() as saved:
        page.click("#save")
    with Path(saved.value.path()).open(encoding="utf-8-sig", newline="") as file:
        (record,) = csv.DictReader(file)
    named = json.loads(run(out, "--json", "--title", "=Rött äpple", str(photo)).stdout)
    assert record["category"] == named["category"] and record["title"] == "'=Rött äpple"
    assert float(record["sure"]) == pytest.approx(named["sure"], abs=2e-4)
    page.close()
