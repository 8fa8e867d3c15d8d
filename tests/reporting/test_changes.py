"""`featx report --against OLD`: what changed, where it is said, and when the exit code is 7."""

from __future__ import annotations

import copy
import json
import shutil

import numpy as np
import pytest
from scipy.stats import binomtest

from featx.errors import FeatxError
from featx.reporting import build_document, changes, read_document, write_report
from featx.reporting.changes import OTHER_PHOTOS
from featx.reporting.formatting import NUMBER_FORMATS, value_at
from tests.reporting.documents import Numbers, catalogue, comparison

CLASSES = ["boots", "hats", "mugs", "shoes", "vases"]
DAMAGES = ["gone", "null", "of another kind"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return catalogue(tmp_path_factory.mktemp("photos"), CLASSES, 40)


@pytest.fixture(scope="module")
def root(shop, tmp_path_factory):
    """Four reports of one catalogue: good, the same again later, bad, and a little worse."""
    root = tmp_path_factory.mktemp("reports")
    for name, right in (("good", 0.95), ("bad", 0.4), ("near", 0.93)):
        document = {
            **comparison(shop, right=right),
            "written": "2026-02-02T00:00:00Z" if name != "good" else "2026-01-01",
        }
        write_report(document, shop, root=root, folder=root / name, formats=("json",))
    return root


@pytest.fixture
def documents(root):
    return {name: read_document(root / name) for name in ("good", "bad", "near")}


def outcomes(document: dict) -> np.ndarray:
    details = document["details"]["builtin/svm"]
    return np.array(details["truth"]) == np.array(details["says"])


def test_the_chance_of_a_fall_is_mcnemars_on_the_very_photos(shop, documents):
    was, now = outcomes(comparison(shop, right=0.95)), outcomes(comparison(shop, right=0.93))
    lost, won = int((was & ~now).sum()), int((now & ~was).sum())
    change = changes(documents["good"], documents["near"])
    assert change.paired
    accuracy = change.metrics[0]
    assert accuracy.p == pytest.approx(binomtest(lost, lost + won).pvalue if lost + won else 1.0)
    assert accuracy.difference == pytest.approx(now.mean() - was.mean())


def test_a_fall_is_on_the_page_in_the_markdown_and_in_the_json(root, documents, featx, tmp_path):
    shutil.copytree(root / "bad", tmp_path / "new")
    ran = featx("report", "--from", "new", "--against", str(root / "good/report.json"), "-o", "out", "--json")
    assert ran.returncode == 7, ran.stderr
    change = json.loads(ran.stdout)["changes"]
    document = read_document(tmp_path / "out")
    assert document.changes.to_dict() == change
    assert change["fell"][0] == "accuracy"
    markdown = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    first = markdown.split("## ")[1]
    assert first.startswith("What changed since 2026-01-01")
    assert "Accuracy" in first
    assert "fell by more than chance" in first
    metric = change["metrics"][0]
    assert f"| {metric['old']:.1%} | {metric['new']:.1%} |" in first
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert 'id="changes"' in page
    reader = Numbers()
    reader.feed(page)
    numbers = [number for number in reader.found if number[0]["data-path"].startswith("/changes/")]
    assert len(numbers) >= 9
    for attributes, shown in numbers:
        assert shown == NUMBER_FORMATS[attributes["data-format"]](value_at(document.to_dict(), attributes["data-path"]))


@pytest.mark.parametrize(("new", "code"), [("good", 0), ("near", 0), ("bad", 7)])
def test_only_a_fall_beyond_chance_ends_with_code_seven(root, featx, new, code):
    ran = featx("report", "--from", str(root / new), "--against", str(root / "good"), "-o", "out", "--format", "md")
    assert ran.returncode == code, ran.stderr
    assert ("fell by more than chance" in ran.stderr) == (code == 7)


def test_a_rise_is_told_and_is_no_fault(root, featx):
    ran = featx("report", "--from", str(root / "good"), "--against", str(root / "bad"), "-o", "out", "--format", "md")
    assert ran.returncode == 0
    assert any(line.startswith("accuracy\t") and line.endswith("rose") for line in ran.stdout.splitlines())


def test_without_against_nothing_is_said_of_changes(documents, tmp_path):
    from featx.reporting import write_files

    page = write_files(documents["good"], tmp_path, ("html", "md"))
    assert 'id="changes"' not in page.page.read_text(encoding="utf-8")
    assert "What changed" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_other_categories_photos_or_entries_are_named(shop, documents, tmp_path):
    old = documents["good"]
    other = catalogue(tmp_path / "photos", [*CLASSES[1:], "lamps"], 30, seed=5)
    document = comparison(other, right=0.9, clfs=("logreg", "knn"))
    new = build_document(document, tmp_path, store=other, cache=tmp_path)
    change = changes(old, new)
    assert not change.paired
    text = " ".join(change.notes)
    assert "new 1 (lamps)" in text
    assert "gone 1 (boots)" in text
    assert OTHER_PHOTOS in change.notes
    assert "recommended svm on builtin, this one logreg on builtin" in text
    assert not changes(old, copy.deepcopy(old)).notes


def test_a_report_of_folds_is_not_compared_photo_by_photo_with_one_of_held_out_photos(documents):
    new = copy.deepcopy(documents["good"])
    new.honest.measured_on = "cv"
    change = changes(documents["good"], new)
    assert not change.paired
    assert any("held-out photos" in note and "cross-validation" in note for note in change.notes)


def test_metrics_that_one_of_the_two_lacks_are_left_out(documents):
    new = copy.deepcopy(documents["bad"])
    new.similar, new.fails, new.trust = None, None, None
    new.honest.test = []
    change = changes(documents["good"], new)
    assert [row.metric for row in change.metrics] == ["accuracy"]
    assert change.categories == []
    new.best.accuracy = None
    assert changes(documents["good"], new).metrics == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a JSON file"),
        ('{"schema": "featx-report/1"', "is not a JSON file"),
        ("[]", "is not a featx report"),
        ('{"schema": "featx-report/1"}', "missing required field `featx`"),
        ('{"schema": "featx-report/7"}', "does not know"),
        (
            '{"schema": "featx-comparison/1", "featx": "1", "stores": [], "entries": [], '
            '"best": {"store": "a", "clf": "b"}}',
            "not a report",
        ),
    ],
)
def test_a_broken_old_report_is_refused_in_a_sentence(root, featx, tmp_path, text, message):
    (tmp_path / "old.json").write_text(text)
    ran = featx("report", "--from", str(root / "good"), "--against", "old.json", "-o", "out")
    assert ran.returncode == 2, ran.stderr
    assert message in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda plain: plain["which"]["rows"].clear(), "`which.rows` is empty"),
        (lambda plain: plain["fails"]["outcomes"].update(right="!"), "one bit for each photo"),
        (lambda plain: plain["fails"]["confusion"]["cells"].append([0, 99, 1]), "categories that are not there"),
        (lambda plain: plain["map"].update(points="AAAA"), "one point for each photo"),
        (lambda plain: plain["about"].update(n=2**70), "`about.n`"),
        (lambda plain: plain["honest"].update(measured_on="luck"), "$.honest.measured_on"),
    ],
)
def test_a_report_that_contradicts_itself_is_refused_in_a_sentence(documents, tmp_path, damage, message):
    plain = documents["good"].to_dict()
    damage(plain)
    (tmp_path / "report.json").write_text(json.dumps(plain))
    with pytest.raises(FeatxError, match="is damaged") as error:
        read_document(tmp_path / "report.json")
    assert error.value.code == "bad-manifest"
    assert message in str(error.value)


def places_in(value: object, path: tuple = ()) -> list[tuple]:
    """Every place in a document, of each list only in its first entry."""
    inside = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    paths = []
    for key, inner in inside:
        paths += [(*path, key), *places_in(inner, (*path, key))]
    return paths


def damaged(document: dict, keys: tuple, damage: str) -> dict:
    """A copy of a document in which one value is gone, null or of another kind."""
    broken = json.loads(json.dumps(document))
    holder = broken
    for key in keys[:-1]:
        holder = holder[key]
    if damage == "gone" and isinstance(holder, list):
        holder.pop()
    elif damage == "gone":
        del holder[keys[-1]]
    else:
        holder[keys[-1]] = None if damage == "null" else 7 if isinstance(holder[keys[-1]], str) else "x"
    return broken


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_comparison_is_refused_or_reported_never_stumbled_over(shop, tmp_path, damage, every):
    from featx.reporting.markdown import markdown

    path, refused = tmp_path / "comparison.json", 0
    plain = json.loads(json.dumps(comparison(shop)))
    for keys in places_in(plain)[DAMAGES.index(damage) % every :: every]:
        if keys[0] == "machine" or "fingerprint" in keys:
            continue
        path.write_text(json.dumps(damaged(plain, keys, damage)))
        try:
            markdown(build_document(read_document(path), tmp_path))
        except FeatxError as error:
            assert error.code == "bad-manifest", keys
            refused += 1
        except Exception as error:
            pytest.fail(f"{keys} {damage}: {error!r}")
    assert refused > 20 // every


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_report_is_refused_or_shown_never_stumbled_over(
    documents, root, tmp_path, monkeypatch, damage, every
):
    """Every value in turn is taken away or made something else: a sentence or a page, no traceback."""
    from featx.reporting import page as pages
    from featx.reporting.markdown import markdown

    monkeypatch.setattr(pages, "svg_of", lambda name, document: None)
    old, path, refused = documents["good"], tmp_path / "report.json", 0
    plain = old.to_dict()
    places = [keys for keys in places_in(plain) if keys[0] != "made" or len(keys) < 3]
    for n, keys in enumerate(places[DAMAGES.index(damage) % every :: every]):
        path.write_text(json.dumps(damaged(plain, keys, damage)))
        try:
            document = read_document(path)
            changes(document, old)
            changes(old, document)
            markdown(document)
            if n % 5 == 0:
                pages.page(document, root / "good")
        except FeatxError as error:
            assert error.code == "bad-manifest", keys
            refused += 1
        except Exception as error:
            pytest.fail(f"{keys} {damage}: {error!r}")
    assert refused > 60 // every
