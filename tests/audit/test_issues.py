"""Planted wrong labels are found; decisions are taken over, outlive an extraction, and can be taken back."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import featx
from featx.audit import find_duplicates
from featx.audit.label_evidence import judge
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError
from featx.labels.decisions import decided, labels_after_decisions, record
from tests.audit.test_duplicates import store_of
from tests.conftest import SHARED

CATEGORIES = ("boots", "hats", "mugs")


def catalogue(seed: int = 0, per: int = 30, wrong: tuple[int, ...] = (3, 40, 77)) -> list[dict]:
    """Three clouds, one for each category, and a few rows whose label is that of another cloud."""
    random = np.random.default_rng(seed)
    centres = random.random((3, 64)) * 5
    rows = []
    for i in range(3 * per):
        kind = i // per
        label = CATEGORIES[(kind + 1) % 3] if i in wrong else CATEGORIES[kind]
        features = centres[kind] + random.standard_normal(64) * 1.2
        rows.append({"id": f"item{i}", "label": label, "features": np.abs(features)})
    return rows


def test_planted_wrong_labels_are_found_and_named_rightly(tmp_path):
    issues = featx.find_issues(store_of(tmp_path / "s.h5", catalogue()))
    assert {issue.item_id: issue.looks_like for issue in issues} == {
        "item3": "boots",
        "item40": "hats",
        "item77": "mugs",
    }
    assert all(issue.agree == issue.neighbours == 10 for issue in issues)
    assert repr(issues) == "Issues(3 of 90 labels look wrong)"
    assert issues.suspected == 3 and issues.precision > 0.9
    assert len(issues.to_pandas()) == len(issues) == 3
    json.dumps(issues.to_dict(), allow_nan=False)


def test_every_label_is_ranked_and_the_likeliest_wrong_come_first(tmp_path):
    store = store_of(tmp_path / "s.h5", catalogue())
    issues = featx.find_issues(store, n=60)
    assert len(issues) == 60 and issues.suspected == 3
    assert {issue.item_id for issue in issues.labels[:3]} == {"item3", "item40", "item77"}
    assert [issue.probability for issue in issues] == sorted((issue.probability for issue in issues), reverse=True)
    assert len(featx.find_issues(store, n=1000)) == 90
    with pytest.raises(FeatxError, match="0 labels cannot be listed"):
        featx.find_issues(store, n=0)


def test_the_order_of_the_rows_does_not_change_who_is_found(tmp_path):
    rows = catalogue()
    there = featx.find_issues(store_of(tmp_path / "s.h5", rows))
    back = featx.find_issues(store_of(tmp_path / "t.h5", rows[::-1]))
    assert {issue.item_id for issue in there} == {issue.item_id for issue in back}


def test_pictures_of_one_product_do_not_vouch_for_each_other(tmp_path):
    rows = catalogue(per=60, wrong=(3, 4, 5, 6))
    for i in (3, 4, 5, 6):
        rows[i]["product"] = "one"
    issues = featx.find_issues(store_of(tmp_path / "s.h5", rows))
    assert {issue.item_id for issue in issues} == {"item3", "item4", "item5", "item6"}


def test_a_product_with_two_labels_is_named_and_the_minority_doubted(tmp_path):
    rows = catalogue(wrong=())
    for i in (0, 1, 30):
        rows[i]["product"] = "one"
    issues = featx.find_issues(store_of(tmp_path / "s.h5", rows))
    assert [(issue.product, issue.labels) for issue in issues.products] == [("one", {"boots": 2, "hats": 1})]
    assert [(issue.item_id, issue.looks_like, issue.why) for issue in issues] == [("item30", "boots", "product")]


def test_categories_that_are_one_are_told(tmp_path):
    random = np.random.default_rng(0)
    rows = catalogue(wrong=(), per=40)
    for i in range(40):
        rows[i]["label"] = ("ankle-boots", "boots")[int(random.integers(2))]
    issues = featx.find_issues(store_of(tmp_path / "s.h5", rows))
    assert [(twins.a, twins.b) for twins in issues.twins] == [("ankle-boots", "boots")]


def test_a_picture_unlike_the_rest_is_told_and_zero_rows_are_no_trouble(tmp_path):
    rows = catalogue(wrong=())
    rows[7]["features"] = np.zeros(64)
    issues = featx.find_issues(store_of(tmp_path / "s.h5", rows))
    assert [(issue.item_id, issue.similarity) for issue in issues.outliers] == [("item7", 0.0)]


def test_near_copies_across_splits_are_suspected_leaks(tmp_path):
    rows = catalogue(wrong=())
    for i, row in enumerate(rows):
        row["split"] = "test" if i % 3 == 0 else "train"
    rows[0].update(digest="a" * 64)
    rows[1].update(digest="a" * 64, features=rows[0]["features"])
    (leak,) = [
        issue for issue in featx.find_issues(store_of(tmp_path / "s.h5", rows)).leaks if issue.kind == "same file"
    ]
    assert leak.splits == ["test", "train"]


def test_categories_too_small_to_judge_are_named_not_accused(tmp_path):
    rows = catalogue(wrong=())
    rows[0]["label"] = "rarity"
    issues = featx.find_issues(store_of(tmp_path / "s.h5", rows))
    assert issues.not_judged == {"rarity": 1}
    assert "item0" not in {issue.item_id for issue in issues}


def test_one_category_is_refused_in_words(tmp_path):
    rows = [{"id": f"i{i}", "label": "boots", "features": [1, i]} for i in range(4)]
    with pytest.raises(FeatxError, match="finding wrong labels takes two"):
        featx.find_issues(store_of(tmp_path / "s.h5", rows))


def test_names_are_escaped_in_a_notebook(tmp_path):
    rows = catalogue()
    for row in rows:
        row["label"] = "<script>" + row["label"]
    shown = featx.find_issues(store_of(tmp_path / "s.h5", rows))._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;boots" in shown


def table(path: Path, rows: list[tuple], delimiter: str = ",", mark: str = "") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(mark)
        csv.writer(file, delimiter=delimiter).writerows([("id", "decision", "new_label", "digest"), *rows])
    return path


def test_decisions_change_leave_out_and_keep(workplace):
    store = store_of(workplace / "s.h5", catalogue())
    filled = table(
        workplace / "filled.csv",
        [
            ("item3", "Change", "boots", ""),
            ("item40", " exclude ", "", ""),
            ("item77", "keep", "", ""),
            ("item9", "", "", ""),
        ],
        delimiter=";",
        mark="\ufeff",
    )
    assert record(filled, store) == {"change": 1, "exclude": 1, "keep": 1, "open": 1}
    applied = labels_after_decisions(store)
    assert (applied.changed, applied.excluded, applied.kept, applied.stale) == (1, 1, 1, 0)
    assert (applied.labels[3], applied.labels[40], applied.labels[77]) == ("boots", None, "boots")
    assert len(featx.find_issues(store)) == 0
    (workplace / "artifacts/fixes.csv").unlink()
    again = featx.open_store(workplace / "s.h5")
    assert labels_after_decisions(again).labels == again.labels
    assert len(featx.find_issues(again)) == 3


def test_decisions_outlive_a_new_store_and_follow_a_renamed_file(workplace):
    rows = catalogue()
    record(table(workplace / "f.csv", [("item3", "change", "boots", "")]), store_of(workplace / "s.h5", rows))
    digest = decided()[0].digest
    rows[3].update(id="renamed", digest=digest)
    renamed = store_of(workplace / "t.h5", rows)
    assert labels_after_decisions(renamed).labels[3] == "boots"
    rows[3].update(id="item3", digest="f" * 64)
    replaced = labels_after_decisions(store_of(workplace / "u.h5", rows))
    assert (replaced.labels[3], replaced.stale) == ("hats", 1)
    rows[3].update(digest=digest, label="mugs")
    moved = labels_after_decisions(store_of(workplace / "v.h5", rows))
    assert (moved.labels[3], moved.stale) == ("mugs", 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("item3", "burn", "", ""), "which is not a decision"),
        (("item3", "change", "bots", ""), "which is not a category"),
        (("item333", "keep", "", ""), "which is not in"),
        (("item3", "keep", "", "0" * 64), "the photo of `item3` changed since row"),
    ],
)
def test_a_table_that_cannot_be_understood_changes_nothing(workplace, row, message):
    store = store_of(workplace / "s.h5", catalogue())
    with pytest.raises(FeatxError, match=message):
        record(table(workplace / "f.csv", [("item40", "keep", "", ""), row]), store)
    assert not (workplace / "artifacts/fixes.csv").exists()


def test_a_table_saved_in_another_encoding_is_told_apart_from_an_unknown_category(workplace):
    store = store_of(workplace / "s.h5", catalogue())
    path = table(workplace / "f.csv", [("item3", "change", "Röcke", "")])
    text = path.read_text(encoding="utf-8")
    path.write_bytes(text.encode("cp1252"))
    with pytest.raises(FeatxError, match="which is not a category"):
        record(path, store)
    path.write_bytes(text.replace("ö", "\x81").encode("latin-1"))
    with pytest.raises(FeatxError, match="not UTF-8"):
        record(path, store)


def test_names_that_look_like_formulas_come_back_as_they_were(featx, workplace):
    rows = catalogue()
    for row in rows:
        row["id"], row["label"] = "=" + row["id"], "@" + row["label"]
    store_of(workplace / "s.h5", rows)
    ran = featx("issues", "-s", "s.h5", "-o", "fixes.csv")
    assert ran.returncode == 0, ran.stderr
    text = (workplace / "fixes.csv").read_text(encoding="utf-8-sig")
    assert "'=item3" in text
    assert "\n=" not in text
    assert ",@" not in text
    with (workplace / "fixes.csv").open(encoding="utf-8-sig", newline="") as file:
        held = list(csv.DictReader(file))
    for row in held:
        assert row["decision"] == ""
        row["decision"] = "change"
    with (workplace / "filled.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(held[0]))
        writer.writeheader()
        writer.writerows(held)
    ran = featx("issues", "-s", "s.h5", "--apply", "filled.csv", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["changed"] == 3
    assert featx("label-issues", "-s", "s.h5", "--fail-over", "0", "-q").returncode == 0


def test_the_planted_wrong_label_of_the_sample_catalogue_is_found(featx, sample_shop, tmp_path):
    shutil.copytree(sample_shop, tmp_path, dirs_exist_ok=True)
    ran = featx("issues", "-n", "30", "--json")
    assert ran.returncode == 0, ran.stderr
    issues = [json.loads(line) for line in ran.stdout.splitlines()]
    (planted,) = [issue for issue in issues if issue["issue"] == "label" and issue["item_id"] == "sku109-3"]
    assert (planted["says"], planted["looks_like"]) == ("bowls", "mugs")
    assert [issue["splits"] for issue in issues if issue["issue"] == "leak"] == [["test", "train"]]
    assert sum(issue["issue"] == "label" for issue in issues) == 30
    ran = featx("issues", "-n", "30")
    assert ran.returncode == 0 and "expected precision" in ran.stderr + ran.stdout, ran.stderr
    assert featx("issues", "--fail-over", "0", "-o", "fixes.csv").returncode == 7
    assert featx("issues", "--apply", "fixes.csv").returncode == 0
    assert not (tmp_path / "artifacts/fixes.csv").exists()
    assert featx("issues", "--apply", "nowhere.csv").returncode == 2


@pytest.mark.reality
@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1])
def test_twenty_of_24_wrong_labels_are_among_the_first_sixty_on_real_photos(tmp_path, seed):
    photos = SHARED / "data/grocery"
    weights = SHARED / "weights/squeezenet1_0_imagenet_dc-46c89ed6.pth"
    if not photos.exists() or not weights.exists():
        pytest.skip("the grocery photos or the squeezenet weights are not on this machine")
    paths = [str(path) for path in sorted((photos / "train/Fruit").rglob("*.jpg"))[:480]]
    store = featx.extract(paths, backbone="squeezenet1_0", weights=str(weights), store=tmp_path / "s.h5")
    random = np.random.default_rng(seed)
    classes, number = np.unique([str(label) for label in store.labels], return_inverse=True)
    planted = random.permutation(len(store))[:24]
    number[planted] = (number[planted] + random.integers(1, len(classes), 24)) % len(classes)
    features = np.asarray(store.features)
    evidence = judge(unit_rows(features), features, classes[number], store, np.arange(len(store)), 5, 0)
    first = np.argsort(evidence.margins, kind="stable")[:60]
    assert len(set(first.tolist()) & set(planted.tolist())) >= 20


def test_what_people_decided_is_what_is_exported_listed_and_told(featx, workplace):
    rows = catalogue()
    rows[41].update(digest="a" * 64)
    rows[77].update(digest="a" * 64, features=rows[41]["features"])
    store = store_of(workplace / "s.h5", rows)
    assert store.labels[77] != store.labels[41]
    decisions = [("item77", "change", store.labels[41], ""), ("item40", "exclude", "", ""), ("item3", "keep", "", "")]
    assert record(table(workplace / "filled.csv", decisions), store).total() == 3
    counts = "1 relabelled, 1 excluded, 1 kept"

    ran = featx("export", "-s", "s.h5", "-o", "all.csv")
    with (workplace / "all.csv").open(encoding="utf-8-sig", newline="") as file:
        labels = {row["id"]: row["label"] for row in csv.DictReader(file)}
    assert (labels["item77"], labels["item40"], labels["item3"]) == (store.labels[41], "", store.labels[3])
    assert counts in ran.stderr and "artifacts/fixes.csv" in ran.stderr

    ran = featx("duplicates", "-s", "s.h5", "--across", "label", "--json")
    assert ran.stdout == "" and counts in ran.stderr, ran.stderr
    assert len(find_duplicates(store, across="label")) == 0

    ran = featx("info", "-s", "s.h5")
    assert counts in next(line for line in ran.stdout.splitlines() if line.startswith("fixes")), ran.stdout
    assert json.loads(featx("info", "-s", "s.h5", "--json").stdout)["fixes"]["changed"] == 1

    (workplace / "artifacts/fixes.csv").unlink()
    for words in (("export", "-s", "s.h5", "-o", "again.csv"), ("info", "-s", "s.h5"), ("duplicates", "-s", "s.h5")):
        ran = featx(*words)
        assert ran.returncode == 0 and "fixes" not in ran.stdout + ran.stderr


def test_an_id_that_a_spreadsheet_mangled_is_told_by_the_bytes_of_the_picture(workplace):
    rows = catalogue()
    rows[3]["id"] = "00123"
    store = store_of(workplace / "s.h5", rows)
    filled = table(workplace / "f.csv", [("123", "change", "boots", store.digests[3])])
    assert record(filled, store) == {"change": 1}
    assert decided()[0].item_id == "00123"


def test_some_products_can_be_looked_at_instead_of_all(tmp_path):
    store = store_of(tmp_path / "s.h5", catalogue())
    steps = []
    issues = featx.find_issues(store, products=45, progress=lambda done, total: steps.append((done, total)))
    assert issues.n == 45 and len(store) == 90
    assert {issue.item_id for issue in issues} <= {"item3", "item40", "item77"}
    assert steps == sorted(steps) and steps[-1] == (8, 8), "done at the end, and not before"
