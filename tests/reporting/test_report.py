"""The report as data: the document, its sentences, the files, what changed since an older one."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.comparison.document import Score
from featx.errors import FeatxError
from featx.files.locks import one_writer
from featx.metrics.confusion import confusion_counts
from featx.reporting import build_document, changes, map_layout, read_document, write_files, write_report
from featx.reporting.confusion import clustered_order, confusion_of, matrix_of, worst_blocks
from featx.reporting.formatting import NUMBER_FORMATS, value_at
from featx.reporting.map_layout import lay_out
from featx.reporting.markdown import markdown
from featx.reporting.published_results import published_for
from featx.reporting.records import PublishedSplit
from tests.conftest import ROOT, command_environment
from tests.reporting.documents import SCRIPT, Numbers, catalogue, comparison

CLASSES = ["boots", "hats & caps", SCRIPT, "mugs $5_a$", "shoes", "vases"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return catalogue(tmp_path_factory.mktemp("photos"), CLASSES, 20)


@pytest.fixture(scope="module")
def issues(shop):
    issue = {"item_id": shop.ids[3], "says": shop.labels[3], "looks_like": "shoes", "sure": 0.9}
    return {"labels": [issue, {**issue, "item_id": shop.ids[5], "says": "=cmd()"}]}


@pytest.fixture(scope="module")
def duplicates(shop):
    pictures = [{"id": shop.ids[i], "label": shop.labels[i], "split": "train" if i else "test"} for i in (0, 25)]
    return {"groups": [{"kind": "near-copy", "score": 0.991, "pictures": pictures}]}


@pytest.fixture(scope="module")
def written(shop, issues, duplicates, tmp_path_factory):
    root = tmp_path_factory.mktemp("reports")
    skipped = [{"path": "data/<b>x</b>.jpg", "reason": "truncated"}]
    return write_report(
        comparison(shop), shop, root=root, issues=issues, duplicates=duplicates, skipped=skipped, price_per_hour=0.5
    )


@pytest.fixture(scope="module")
def report(written):
    return read_document(written.folder)


@pytest.fixture(scope="module")
def document(report):
    return report.to_dict()


def test_every_number_on_the_page_equals_the_json(written, document):
    reader = Numbers()
    reader.feed(written.page.read_text(encoding="utf-8"))
    assert len(reader.found) > 250
    for attributes, shown in reader.found:
        value = value_at(document, attributes["data-path"])
        assert float(attributes["value"]) == value, attributes
        assert shown == NUMBER_FORMATS[attributes["data-format"]](value), attributes


def test_the_json_equals_an_independent_recomputation(shop, document):
    details = comparison(shop)["details"]["builtin/svm"]
    truth, says = np.array(details["truth"]), np.array(details["says"])
    sure, classes = np.array(details["confidence"]), details["classes"]
    assert document["fails"]["confusion"]["mistakes"] == int((truth != says).sum())
    for row in document["fails"]["per_class"]:
        i = classes.index(row["label"])
        assert row["recall"] == pytest.approx(np.mean(says[truth == i] == i))
        assert row["photos"] == 20
        wrong = says[(truth == i) & (says != i)]
        if len(wrong):
            assert row["times"] == np.bincount(wrong).max()
        low, high = row["recall_low"], row["recall_high"]
        assert low <= row["recall"] <= high
    assert document["trust"]["confidence"] == pytest.approx(sure.mean())
    assert document["trust"]["accuracy"] == pytest.approx(np.mean(truth == says))
    for row in document["trust"]["thresholds"]:
        if row["threshold"] is not None:
            accepted = sure >= row["threshold"]
            assert row["coverage"] == pytest.approx(accepted.mean())
            assert row["precision"] == pytest.approx(np.mean(truth[accepted] == says[accepted]))
            assert row["precision"] >= row["target"]
    for row in document["which"]["rows"]:
        assert row["hours_per_million"] == pytest.approx(1e6 / row["images_per_second"] / 3600)
        assert row["cost_per_million"] == pytest.approx(row["hours_per_million"] * 0.5)


def test_search_rows_hold_the_truly_nearest_of_other_products(shop, document):
    unit = shop.features / np.linalg.norm(shop.features, axis=1, keepdims=True)
    for row in document["similar"]["best"] + document["similar"]["worst"]:
        query = shop.ids.index(row["query"]["id"])
        alike = unit @ unit[query]
        best: dict[str, float] = {}
        for i in np.argsort(-alike):
            if shop.products[i] != shop.products[query]:
                best.setdefault(shop.products[i], float(alike[i]))
        expected = sorted(best.values(), reverse=True)[: len(row["neighbours"])]
        assert [neighbour["similarity"] for neighbour in row["neighbours"]] == pytest.approx(expected, abs=1e-3)
        for neighbour in row["neighbours"]:
            assert neighbour["right"] == (neighbour["label"] == row["query"]["label"])


def test_two_renders_are_identical(written, report, tmp_path):
    formats = ("html", "md", "json", "png")
    again = write_files(report, tmp_path, formats, pictures=written.folder)
    for path in again.files:
        assert path.read_bytes() == (written.folder / path.relative_to(tmp_path)).read_bytes(), path.name


@pytest.mark.long
def test_a_report_is_written_again_without_the_photos(shop, written, tmp_path):
    first = write_report(
        comparison(shop), shop, root=written.folder.parent, folder=tmp_path / "r", formats=("html", "json")
    )
    before = first.page.read_bytes()
    assert before.count(b"data:image/webp") > 10
    first.page.unlink()
    assert write_files(read_document(first.folder), first.folder, ("html",)).page.read_bytes() == before


def test_a_category_called_script_is_shown_not_run(written):
    page = written.page.read_text(encoding="utf-8")
    assert "window.stolen" in page
    assert SCRIPT not in page
    assert "\\<script\\>" in (written.folder / "report.md").read_text(encoding="utf-8")


def test_the_page_asks_nothing_of_the_network(written):
    page = written.page.read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;; img-src data:" in page
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert not re.search(r"url\((?!#|\$\{)", page)


def test_each_section_opens_with_a_sentence_that_holds_its_number(report, document):
    text = markdown(report)
    score = document["which"]["rows"][0]["accuracy"]["value"]
    which, honest = text.split("## Which should we use?")[1].split("## How good is it, honestly?")[:2]
    assert f"{score:.1%}" in which.strip().splitlines()[0]
    assert f"{document['honest']['naive']['value']:.1%}" in honest.strip().splitlines()[0]
    assert "2 labels look wrong; one group of copies, 1 on both sides of the split; one file could not be read." in text
    assert text.count("\n## ") == 8


def test_nothing_found_is_said_in_words(shop, tmp_path):
    nothing = {"issues": {"labels": []}, "duplicates": {"groups": []}, "skipped": []}
    written = write_report(comparison(shop), shop, root=tmp_path, formats=("html", "md"), **nothing)
    sentence = "No label looks wrong; no copies were found; every file could be read."
    assert sentence in (written.folder / "report.md").read_text(encoding="utf-8")
    assert sentence in written.page.read_text(encoding="utf-8")


def test_what_was_not_measured_is_said_with_the_command_that_measures_it(shop, tmp_path):
    bare = comparison(shop)
    bare["details"], bare["retrieval"], bare["learning_curve"], bare["tests"] = {}, None, None, []
    for store in bare["stores"]:
        store["images_per_second"] = None
    for entry in bare["entries"]:
        entry["test"], entry["naive"], entry["coarse"] = None, None, None
    page = write_report(bare, None, root=tmp_path, formats=("html",)).page.read_text(encoding="utf-8")
    for command in ("featx compare", "featx issues", "featx duplicates", "featx report", "featx extract"):
        assert f"<b>{command}</b>" in page
    assert "cross-validation" in page


def test_a_known_data_set_is_shown_beside_what_others_published(tmp_path):
    telling = ["Golden-Delicious", "Granny-Smith", "Pink-Lady", "Royal-Gala", "Arla-Standard-Milk", "Zucchini"]
    names = telling + [f"Product-{i:02d}" for i in range(75)]
    figures, where = published_for(names, 2_485)
    assert [(figure.accuracy, figure.coarse) for figure in figures[:3]] == [
        (0.650, 0.754),
        (0.573, 0.728),
        (0.725, 0.852),
    ]
    assert where == PublishedSplit("Grocery Store Dataset", 2_485, True)
    assert published_for(names, 296)[1].same_photos is False
    for other in (names[:-1], [*names, "one more"], [*names[1:], "another"], []):
        assert published_for(other, 2_485) == ([], None)
    shop = catalogue(tmp_path / "photos", names, 4, photos=8)
    written = write_report(comparison(shop), shop, root=tmp_path / "reports", formats=("html",))
    page = written.page.read_text(encoding="utf-8")
    assert "Published results on Grocery Store Dataset" in page
    for shown in ("65.0%", "75.4%", "57.3%", "72.8%", "72.5%", "85.2%", "Klasson"):
        assert shown in page
    assert "so compare with care" in page


def test_spreadsheet_files_beside_the_page_hold_no_formula(written):
    table = (written.folder / "suspected.csv").read_bytes()
    assert b"'=cmd()" in table
    assert table.startswith(b"\xef\xbb\xbfid,says,looks_like,sure\r\n")


def test_photos_that_are_gone_are_counted_not_replaced(shop, written, tmp_path):
    broken = copy.copy(shop)
    broken.paths = [path if i % 2 else path + ".gone" for i, path in enumerate(shop.paths)]
    document = build_document(comparison(broken), tmp_path, store=broken, cache=written.folder.parent)
    assert document.pictures.n_missing == 60
    assert document.map.n_pictures == 60


def test_a_fall_beyond_chance_is_found_photo_by_photo(shop, written, tmp_path):
    old = build_document(comparison(shop, right=0.95), tmp_path, store=shop, cache=written.folder.parent)
    same = changes(old, copy.deepcopy(old))
    assert same.paired
    assert not same.fell
    change = changes(
        old, build_document(comparison(shop, right=0.4), tmp_path, store=shop, cache=written.folder.parent)
    )
    assert change.fell[0] == "accuracy"
    assert not changes(
        build_document(comparison(shop, right=0.4), tmp_path, store=shop, cache=written.folder.parent), old
    ).fell


def lower(score: Score, points: float) -> Score:
    return Score(score.value - points, score.low - points, score.high - points)


def test_without_the_same_photos_the_intervals_decide(shop, written, tmp_path):
    old = build_document(comparison(shop, right=0.9), tmp_path, store=shop, cache=written.folder.parent)
    new = copy.deepcopy(old)
    new.fails.outcomes = None
    new.best.accuracy = lower(new.best.accuracy, 0.01)
    change = changes(old, new)
    assert not change.paired
    assert not change.fell
    new.best.accuracy = lower(new.best.accuracy, 0.1)
    assert changes(old, new).fell == ["accuracy"]


def test_a_file_of_another_kind_or_a_newer_one_is_refused(tmp_path):
    path = tmp_path / "x.json"
    for text, message in (
        ("{}", "not a featx report"),
        ('{"schema": "featx-report/9"}', "does not know"),
        ("[", "not a JSON"),
    ):
        path.write_text(text)
        with pytest.raises(FeatxError, match=message):
            read_document(path)
    with pytest.raises(FeatxError, match="there is no"):
        read_document(tmp_path / "none.json")


def test_a_thumbnail_name_cannot_lead_out_of_the_folder(report, tmp_path):
    (tmp_path / "secret.webp").write_bytes(b"secret")
    evil = copy.deepcopy(report)
    evil.similar.best[0].query.thumbnail = "../secret.webp"
    page = write_files(evil, tmp_path / "in", ("html",)).page.read_text(encoding="utf-8")
    assert "c2VjcmV0" not in page


def test_the_map_is_the_same_each_time_and_kept_by_content(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(map_layout, "_tsne", map_layout._tsne.__wrapped__)
    first = lay_out(shop.features, cache=tmp_path)
    assert np.array_equal(first.places, lay_out(shop.features).places)
    assert lay_out(shop.features, cache=tmp_path).seconds == first.seconds
    assert len(list(tmp_path.glob("map-*.npz"))) == 1
    for n in (0, 1, 2, 4, 7):
        assert lay_out(shop.features[:n]).places.shape == (n, 2)
    assert np.isfinite(lay_out(np.zeros((9, 4))).places).all()


@pytest.mark.long
@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_map_is_the_same_whatever_the_number_of_threads(shop, tmp_path, threads):
    np.save(tmp_path / "rows.npy", shop.features)
    code = (
        "import sys, numpy; from featx.reporting.map_layout import lay_out; "
        "sys.stdout.buffer.write(lay_out(numpy.load('rows.npy')).places.tobytes())"
    )
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **dict.fromkeys(names, threads)}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert ran.stdout == lay_out(shop.features).places.tobytes()


def test_clustering_puts_mixed_up_categories_side_by_side():
    random = np.random.default_rng(0)
    partner = random.permutation(40)
    matrix = np.diag(np.full(40, 20))
    for a, b in partner.reshape(20, 2):
        matrix[a, b] = matrix[b, a] = 8
    order = clustered_order(matrix)
    assert sorted(order) == list(range(40))
    assert all(abs(order.index(a) - order.index(b)) == 1 for a, b in partner.reshape(20, 2))
    blocks = worst_blocks(matrix, order)
    assert len({i for block in blocks for i in block}) == sum(len(block) for block in blocks)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60))
def test_the_matrix_survives_being_kept_in_cells(pairs):
    truth, says = [a for a, _ in pairs], [b for _, b in pairs]
    kept = confusion_of(truth, says, list("abcdef"))
    assert np.array_equal(matrix_of(kept), confusion_counts(truth, says, 6))
    assert sorted(kept.order) == list(range(6))


def test_the_command_writes_again_and_tells_a_fall_with_code_seven(featx, shop, written, tmp_path):
    reports = tmp_path / "artifacts/reports"
    shutil.copytree(written.folder.parent, reports, ignore=shutil.ignore_patterns("2026*", "latest"))
    old = write_report(comparison(shop, right=0.95), shop, root=reports, folder=tmp_path / "old", formats=("json",))
    late = {**comparison(shop, right=0.4), "written": "2026-02-02T03:04:05Z"}
    new = write_report(late, shop, root=reports, formats=("html", "json"))
    assert (reports / "latest/report.html").exists()
    new.page.unlink()
    ran = featx("report", "--json", "--format", "html,json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["bytes"] == new.page.stat().st_size
    ran = featx("report", "--against", str(old.folder / "report.json"), "--format", "json")
    assert ran.returncode == 7
    assert "accuracy" in ran.stdout
    assert "fell by more than chance" in ran.stderr


WRITER = """
import json, sys
from pathlib import Path
from featx.reporting import write_report
compared = json.loads(Path(sys.argv[1]).read_text())
print("begun", flush=True)
print(write_report(compared, root=Path("reports"), formats=("json",)).folder)
"""


@pytest.mark.long
def test_two_comparisons_of_the_same_second_get_a_report_each_and_keep_it(shop, tmp_path):
    pair = [comparison(shop, right=right) for right in (0.9, 0.5)]
    assert pair[0]["written"] == pair[1]["written"]
    (tmp_path / "reports").mkdir()
    with one_writer(tmp_path / "reports", "a report"):  # neither writes before both have begun
        running = []
        for number, compared in enumerate(pair):
            (tmp_path / f"{number}.json").write_text(json.dumps(compared))
            command = [sys.executable, "-c", WRITER, f"{number}.json"]
            running.append(
                subprocess.Popen(command, cwd=tmp_path, env=command_environment({}), stdout=subprocess.PIPE, text=True)
            )
        assert [process.stdout.readline() for process in running] == ["begun\n", "begun\n"]
    folders = [tmp_path / process.communicate()[0].strip() for process in running]
    assert len({folder.name for folder in folders}) == 2
    for folder, compared in zip(folders, pair, strict=True):
        right = compared["entries"][0]["test"]["accuracy"]["value"]
        assert read_document(folder).which.rows[0].accuracy.value == right
        again = write_report(compared, root=tmp_path / "reports", formats=("json",))
        assert again.folder == folder  # the same comparison, written again


def test_a_report_of_an_earlier_version_is_written_again_where_it_is(shop, tmp_path):
    first = write_report(comparison(shop), root=tmp_path, formats=("json",)).folder
    (first / ".comparison").unlink()
    assert write_report(comparison(shop), root=tmp_path, formats=("json",)).folder == first


def test_the_command_names_what_is_missing(featx):
    ran = featx("report")
    assert ran.returncode == 2
    assert "featx compare" in ran.stderr
    ran = featx("report", "--format", "pdf", "--from", "none.json")
    assert ran.returncode == 2


def test_only_an_extraction_that_used_every_photo_says_that_none_was_skipped(featx, folder, workplace):
    from featx.reporting import skipped_photos
    from featx.workspace import Workspace

    assert skipped_photos(Workspace.here()) is None
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    assert skipped_photos(Workspace.here()) == []
    (workplace / "photos" / "hats" / "bröken.jpg").write_bytes(b"no photo")
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    (skipped,) = skipped_photos(Workspace.here())
    assert skipped["path"] == "photos/hats/bröken.jpg"
