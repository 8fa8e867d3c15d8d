"""`featx update`: one run does what the night brought, the next has nothing to do, and a killed one is run again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.extraction import ExtractionReport
from featx.files.locks import lock_file
from featx.labels.decisions import record
from featx.prediction.update import STAGES, UpdateReport, read_state, update
from featx.store import open_store
from tests.conftest import ROOT, Run, photo

COLOURS = {"boots": 0, "hats": 1, "mugs": 2}


def add(folder: Path, category: str, number: int, label: str | None = None) -> None:
    """One photo more, with a row in the table."""
    name = f"{category}{number}.jpg"
    photo(folder / name, seed=COLOURS[category], noise=100 * COLOURS[category] + number)
    with (folder / "list.csv").open("a") as table:
        table.write(f"{name},{category if label is None else label},{'drunk from' if category == 'mugs' else 'worn'}\n")


def unlist(table: Path, name: str) -> None:
    """The table without a photo's row."""
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if not line.startswith(f"{name},")))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of three categories with a classifier, and a state after one run."""
    root = tmp_path_factory.mktemp("shop")
    (root / "photos").mkdir()
    (root / "photos/list.csv").write_text("path,kind,use\n")
    for category in COLOURS:
        for number in range(6):
            add(root / "photos", category, number)
    before = Path.cwd()
    os.chdir(root)
    try:
        from tests.conftest import command_environment, run_here

        for words in (
            ("extract", "photos/list.csv", "--label-col", "kind", "-b", "colour"),
            ("fit", "--clf", "centroid", "--folds", "2"),
        ):
            ran = run_here(words, root, "", command_environment({}))
            assert ran.returncode == 0, ran.stderr
        update()
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def shop(made: Path, workplace: Path) -> Path:
    shutil.copytree(made, workplace, dirs_exist_ok=True)
    return workplace


def files_of(folder: Path) -> dict[str, bytes]:
    """What a run leaves, without the times and the locks that every run takes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".lock", ".md", ".seen") and path.name != "summary.json"
    }


def test_a_run_with_nothing_to_do_says_so_in_a_line_and_writes_nothing(featx: Run, shop):
    before = files_of(shop / "artifacts")
    ran = featx("update", cwd=shop)
    assert ran.returncode == 0 and "nothing to do: 18 photos as before" in ran.stderr, ran.stderr
    assert files_of(shop / "artifacts") == before


def test_where_every_photo_has_a_category_no_file_to_look_at_is_named(shop):
    add(shop / "photos", "mugs", 8)
    report = update()
    assert (report.new, report.predictions, report.sheet) == (1, None, None)
    assert not any("predicted" in line for line in report.lines())
    assert "category" in (shop / "artifacts/update/predictions.csv").read_text("utf-8-sig")


def test_new_photos_are_predicted_and_those_that_need_a_look_end_in_an_exit_code_of_their_own(featx: Run, shop):
    add(shop / "photos", "mugs", 7, label="")
    ran = featx("update", "--json", cwd=shop)
    report = json.loads(ran.stdout)
    assert (report["new"], report["predicted"], report["total"]) == (1, 1, 19)
    assert ran.returncode == (8 if report["review"] else 0) and report["review"] == report["waiting"]
    assert "mugs7" in (shop / report["predictions"]).read_text("utf-8-sig")
    assert "mugs7" in (shop / report["sheet"]).read_text("utf-8")
    again = featx("update", cwd=shop)
    assert again.returncode == 0 and "nothing to do" in again.stderr
    assert ("still to look at" in again.stderr) == bool(report["review"])


def test_changed_labels_train_again_once_and_keep_the_old_classifier_where_the_new_one_is_worse(shop):
    card = shop / "artifacts/models/centroid.json"
    before = card.read_bytes()
    store = open_store(shop / "artifacts/embeddings/colour.h5")
    rows = [f"{item},change,{'hats' if 'boots' in item else 'boots'}" for item in store.ids if "mugs" not in item]
    (shop / "d.csv").write_text("\n".join(["id,decision,new_label", *rows[:3], *rows[6:9]]) + "\n")
    record(shop / "d.csv", store)
    first = update()
    assert first.training and first.trained == (card.read_bytes() != before)
    second = update()
    assert not second.training and not second.changed_anything


def test_a_classifier_of_each_level_is_trained_again_and_each_only_once(featx: Run, shop):
    assert featx("fit", "--clf", "knn", "--folds", "2", "--level", "use", cwd=shop).returncode == 0
    cards = sorted((shop / "artifacts/models").glob("*.json"))
    assert [card.name[:1] for card in cards] == ["c", "k"]
    before = [card.read_bytes() for card in cards]
    add(shop / "photos", "hats", 9)
    report = json.loads(featx("update", "--json", cwd=shop).stdout)
    assert [card.read_bytes() != old for card, old in zip(cards, before, strict=True)] == [True, True]
    assert report["classifier"] == "artifacts/models/centroid.safetensors"
    assert len(report["trainings"]) == 2 and "at level use, trained again: " in report["training"]
    assert update().lines() == ["nothing to do: 19 photos as before"]


def test_a_backbone_chooses_its_store_and_begins_it_with_the_photos_of_the_current_one(featx: Run, shop):
    (shop / "artifacts/embeddings/colour.h5").rename(shop / "mine.h5")
    assert featx("use", "mine.h5", cwd=shop).returncode == 0
    ran = featx("update", "-b", "colour", "--json", cwd=shop)
    report = json.loads(ran.stdout)
    assert (report["store"], report["total"]) == ("artifacts/embeddings/colour.h5", 18), ran.stderr
    assert json.loads(featx("update", "--json", cwd=shop).stdout)["store"] == "mine.h5"
    wrong = featx("update", "-b", "colour", "--weights", "none.pth", cwd=shop)
    assert wrong.returncode == 2 and "weights" in wrong.stderr


def test_photos_that_are_gone_leave_only_when_asked(shop):
    (shop / "photos/list.csv").write_text(
        (shop / "photos/list.csv").read_text().replace("mugs5.jpg,mugs,drunk from\n", "")
    )
    (shop / "photos/mugs5.jpg").unlink()
    assert update().total == 18
    assert update(prune=True).removed == 1


def test_a_photo_that_left_the_table_is_counted_and_removed_when_asked_while_its_file_is_there(shop):
    (shop / "photos/list.csv").write_text(
        (shop / "photos/list.csv").read_text().replace("mugs5.jpg,mugs,drunk from\n", "")
    )
    report = update()
    assert (report.total, report.gone) == (18, 1)
    assert update(prune=True).removed == 1


class Killed(BaseException):
    """Ends a run where it is."""


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=pytest.mark.long if i % 2 else []) for i, stage in enumerate(STAGES)]
)
def test_a_run_that_ends_before_any_stage_is_only_run_again(shop, stage):
    """The same night, once undisturbed and once ended: the store, classifier, table, sheet and state are the same."""
    add(shop / "photos", "hats", 8, label="")
    add(shop / "photos", "hats", 9)
    other = shop.parent / f"{shop.name}-other"
    shutil.copytree(shop, other)

    def end(now: str) -> None:
        if now == stage:
            raise Killed

    with pytest.raises(Killed):
        update(on_stage=end)
    resumed = update()
    os.chdir(other)
    undisturbed = update()
    assert (resumed.total, resumed.unlabelled, resumed.waiting) == (20, 1, undisturbed.waiting)
    same = [name for name in files_of(other / "artifacts") if name.startswith("update")]
    assert read_state(shop / "artifacts/update/state.json").answered
    for name in same:
        if name != "update/state.json":
            assert (shop / "artifacts" / name).read_bytes() == (other / "artifacts" / name).read_bytes(), name
    assert not update().changed_anything
    if stage != "done":
        assert resumed.predicted == undisturbed.predicted == 1


@pytest.mark.long
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_by_a_signal_is_only_run_again(shop, stage):
    add(shop / "photos", "hats", 8, label="")
    script = (
        "import os, signal\nfrom featx.prediction.update import update\n"
        f"update(on_stage=lambda now: os.kill(os.getpid(), signal.SIGKILL) if now == {stage!r} else None)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=shop, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert ran.returncode == -9
    # As cron runs it: a bare environment, no terminal, and then the next night.
    bare = {"PATH": os.environ["PATH"], "HOME": str(shop), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "featx", "update", "--prune", "--quiet"]
    nights = [
        subprocess.run(command, cwd=shop, env=bare, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert nights[0].returncode in (0, 8), nights[0].stderr
    assert (nights[1].returncode, nights[1].stdout) == (0, ""), nights[1].stderr
    assert update().lines()[0].startswith("nothing to do: 19 photos as before")


def test_two_runs_at_once_do_not_collide(featx: Run, shop):
    with lock_file(shop / "artifacts/update.lock"):
        ran = featx("update", cwd=shop)
    assert ran.returncode == 5 and "another `featx update` is running" in ran.stderr, ran.stderr
    assert featx("update", cwd=shop).returncode == 0


def test_without_a_store_or_a_source_it_asks_for_one(featx: Run, workplace):
    ran = featx("update", cwd=workplace)
    assert ran.returncode == 3 and "featx update data/train" in ran.stderr, ran.stderr


def test_where_nothing_can_be_learned_yet_a_run_needs_no_classifier(featx: Run, folder, workplace):
    shutil.rmtree(folder / "mugs")
    shutil.rmtree(folder / "hats")
    assert featx("extract", "photos", "-b", "colour", cwd=workplace).returncode == 0
    photo(folder / "boots/one-more.jpg", seed=77)
    ran = featx("update", "--json", cwd=workplace)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report["new"] == 1 and report["classifier"] is None and report["training"].startswith("none: ")
    assert "nothing to do" in featx("update", cwd=workplace).stderr


def test_the_lines_are_one_where_nothing_was_done():
    extraction = ExtractionReport(Path("s.h5"), "colour", total=1200)
    assert UpdateReport(extraction).lines() == ["nothing to do: 1,200 photos as before"]


def test_the_counts_of_photos_are_those_of_the_extraction():
    extraction = ExtractionReport(
        Path("s.h5"), "colour", total=9, new=1, copied=2, changed=3, renamed=4, gone=["a"], left=["b"], removed=["c"]
    )
    report = UpdateReport(extraction, changed_anything=True)
    counts = {"new": 3, "changed": 3, "removed": 1, "gone": 2, "skipped": 0, "total": 9}
    assert report.to_dict() | counts == report.to_dict()
    assert list(report.to_dict())[:8] == ["schema", "store", *counts]
    assert "4 renamed or described anew" in report.lines()[0]


def test_a_damaged_state_is_no_state(tmp_path):
    for content in ("{", "[]", '{"tried": 1}', '{"tried": "a", "answered_by": "b", "answered": 3, "waiting": "x"}'):
        (tmp_path / "state.json").write_text(content)
        assert not read_state(tmp_path / "state.json").tried


def test_the_state_of_an_earlier_version_is_read(tmp_path):
    (tmp_path / "state.json").write_text('{"tried": "a", "answered_by": "b", "answered": ["c"], "waiting": 1}')
    assert read_state(tmp_path / "state.json").tried == {"a"}


def test_the_table_is_read_with_the_flags_of_the_store(shop):
    from featx.catalogue.again import read_again

    provenance = open_store(shop / "artifacts/embeddings/colour.h5").provenance
    assert read_again(None, provenance).labels == sorted(COLOURS)
    with pytest.raises(FeatxError) as caught:
        read_again(None, {"source": "/nowhere"})
    assert caught.value.code == "no-images"
