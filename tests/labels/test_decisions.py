"""Decisions about labels travel as values: no command changes the store that it was given."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import featx
from featx.comparison import compare
from featx.comparison.evaluate import evaluate
from featx.extraction import extract
from featx.labels import decisions
from featx.labels.decisions import labels_after_decisions, record
from featx.labels.training_set import labels_for, training_set_of
from featx.reporting import read_document, write_report
from featx.store import Store, open_store
from tests.conftest import Run, command_environment, photo


@pytest.fixture
def store(workplace: Path) -> Store:
    """Three categories of six products with two shots each; the last product of each is held out."""
    lines = ["path,label,product,split"]
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for product in range(6):
            for shot in range(2):
                name = f"{category}{product}-{shot}.jpg"
                photo(workplace / "photos" / name, seed=100 * c + 10 * product + shot)
                lines.append(f"{name},{category},{category}{product},{'test' if product == 5 else 'train'}")
    (workplace / "photos/list.csv").write_text("\n".join(lines) + "\n")
    return extract(workplace / "photos/list.csv", backbone="colour", store=workplace / "s.h5")


@pytest.fixture
def decided(store: Store) -> Store:
    """Three mugs were decided to be hats, and one boot to be left out."""
    mugs = [item_id for item_id, label in zip(store.ids, store.labels, strict=True) if label == "mugs"][:3]
    boot = store.ids[list(store.labels).index("boots")]
    rows = ["id,decision,new_label", *(f"{item_id},change,hats" for item_id in mugs), f"{boot},exclude,"]
    Path("answers.csv").write_text("\n".join(rows) + "\n")
    record(Path("answers.csv"), store)
    return store


def counts(labels: object) -> dict[object, int]:
    counted: dict[object, int] = {}
    for label in labels:  # type: ignore[attr-defined]
        counted[label] = counted.get(label, 0) + 1
    return counted


def test_labels_of_a_store_cannot_be_assigned(store):
    with pytest.raises(AttributeError):
        store.labels = []


def test_no_function_changes_the_labels_of_the_store_it_was_given(decided):
    before = list(decided.labels)
    model = featx.fit(decided, "knn", folds=2)
    compare(decided, "knn", folds=2, colour=False)
    evaluate(model, decided)
    featx.find_duplicates(decided)
    featx.find_issues(decided, folds=2)
    assert decided.labels == before == open_store(decided.path).labels


def test_decisions_are_in_the_labels_that_a_training_set_carries(decided):
    lesson = training_set_of(decided)
    assert counts(lesson.labels[lesson.learn].tolist()) == {"boots": 9, "hats": 13, "mugs": 7}
    assert counts(labels_for(decided)) == {None: 1, "boots": 11, "hats": 15, "mugs": 9}
    assert counts(labels_after_decisions(decided).labels) == counts(labels_for(decided))


def test_a_report_of_a_saved_comparison_counts_the_photos_that_the_first_page_counted(decided, tmp_path):
    compared = compare(decided, "knn", folds=2, colour=False)
    saved = compared.save(tmp_path / "comparison.json")
    first = write_report(compared.to_dict(), decided, root=tmp_path / "one", formats=["json"]).document
    # Taken back since: the comparison was made with them all the same.
    (Path("artifacts") / "fixes.csv").unlink()
    again = write_report(
        read_document(saved), open_store(decided.path), root=tmp_path / "two", formats=["json"]
    ).document
    photos = {row.label: row.photos for row in first.fails.per_class}
    assert photos == {"boots": 11, "hats": 15, "mugs": 9}
    assert again.fails == first.fails and again.similar == first.similar
    assert again.map is not None and first.map is not None
    for name in ("same_category", "points", "classes"):
        assert getattr(again.map, name) == getattr(first.map, name)


def test_a_report_of_a_coarser_level_counts_photos_of_that_level(workplace, tmp_path):
    lines = ["path,label"]
    for c, category in enumerate(["feet/boots", "feet/shoes", "table/mugs", "table/cups"]):
        for shot in range(4):
            photo(workplace / f"p/{c}-{shot}.jpg", seed=10 * c + shot)
            lines.append(f"{c}-{shot}.jpg,{category}")
    (workplace / "p/list.csv").write_text("\n".join(lines) + "\n")
    store = extract(workplace / "p/list.csv", backbone="colour", store=workplace / "l.h5")
    compared = compare(store, "knn", folds=2, colour=False, level="1")
    document = write_report(compared.to_dict(), store, root=tmp_path, formats=["json"]).document
    assert {row.label: row.photos for row in document.fails.per_class} == {"feet": 8, "table": 8}


def test_excluded_photos_have_no_part_in_the_measure_of_the_search(decided, featx: Run):
    ran = featx("compare", "--clf", "knn", "--folds", "2", "--fast", "--no-colour", "--json", cwd=Path.cwd(),
                FEATX_STORE=str(decided.path))  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert '"None"' not in ran.stdout


def test_exported_labels_are_those_that_were_decided(decided, featx: Run):
    ran = featx("export", "--to", "jsonl", "-o", "out.jsonl", cwd=Path.cwd(), FEATX_STORE=str(decided.path))
    assert ran.returncode == 0 and "3 relabelled, 1 excluded" in ran.stderr, ran.stderr
    text = Path("out.jsonl").read_text("utf-8")
    assert (text.count('"label": "hats"'), text.count('"label": null')) == (15, 1)


def test_decisions_that_another_process_applies_meanwhile_are_kept(store, monkeypatch):
    first, second = store.ids[:2]
    for name, item in (("mine.csv", first), ("theirs.csv", second)):
        Path(name).write_text(f"id,decision,new_label\n{item},exclude,\n")
    theirs: list[subprocess.Popen[bytes]] = []
    read = decisions.decided

    def read_while_another_applies(path: Path) -> list[decisions.Fix]:
        taken = read(path)
        command = [sys.executable, "-m", "featx", "issues", "--apply", "theirs.csv", "-s", str(store.path), "-q"]
        theirs.append(subprocess.Popen(command, env=command_environment({})))
        with suppress(subprocess.TimeoutExpired):  # it waits for this one; without a lock it would be done by then
            theirs[0].wait(timeout=2)
        return taken

    monkeypatch.setattr(decisions, "decided", read_while_another_applies)
    record(Path("mine.csv"), store)
    assert theirs[0].wait(timeout=60) == 0
    assert {fix.item_id for fix in read()} == {first, second}
