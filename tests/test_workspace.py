"""Where things lie, and which store is the current one."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.workspace import Workspace
from tests.conftest import Run, command_environment


def stores(workspace: Workspace, *names: str) -> list[Path]:
    workspace.make()
    paths = [workspace.store_path(name) for name in names]
    for path in paths:
        path.touch()
    return paths


def test_the_noted_store_is_the_current_one(workplace):
    here = Workspace.here()
    first, _ = stores(here, "resnet50", "colour")
    here.note_current(first)
    assert here.current_store() == first


def test_the_artifacts_folder_may_move(workplace):
    here = Workspace.here()
    first, _ = stores(here, "resnet50", "colour")
    here.note_current(first)
    Path("artifacts").rename("elsewhere")
    assert Workspace(Path("elsewhere")).current_store() == Path("elsewhere/embeddings/resnet50.h5")


def test_a_named_store_wins_over_the_environment_and_the_note(workplace, monkeypatch):
    here = Workspace.here()
    first, second = stores(here, "resnet50", "colour")
    here.note_current(first)
    monkeypatch.setenv("FEATX_STORE", str(second))
    assert here.current_store() == second
    assert here.current_store(first) == first


def test_no_store_is_an_error_that_says_how_to_make_one(workplace):
    with pytest.raises(FeatxError, match="no store") as caught:
        Workspace.here().current_store()
    assert (caught.value.exit_code, "featx extract" in caught.value.hint) == (4, True)


def test_a_damaged_note_is_only_a_note(workplace):
    here = Workspace.here()
    (path,) = stores(here, "colour")
    (here.root / "current.json").write_text("{not json")
    assert here.current_store() == path


@pytest.mark.parametrize("name", ["timm:vit_base/patch", "../../etc/passwd", "a b:c", "my.module:factory"])
def test_store_names_stay_inside_the_folder(workplace, name):
    path = Workspace.here().store_path(name)
    assert path.parent == Workspace.here().embeddings and "/" not in path.name and not path.name.startswith("/")


def test_git_ignores_what_featx_makes(workplace):
    Workspace.here().make()
    assert Path("artifacts/.gitignore").read_text().startswith("*\n")


def test_the_first_store_stays_the_current_one_until_another_is_chosen(featx: Run, folder):
    first = featx("extract", "photos", "-b", "colour")
    assert "commands without" not in first.stderr, first.stderr
    other = featx("extract", "photos", "-b", "colour", "--store", "other.h5")
    assert "commands without `--store` still use artifacts/embeddings/colour.h5" in other.stderr
    assert "`featx use other.h5` makes this one the current store" in other.stderr
    assert "next: featx fit --store other.h5" in other.stderr
    again = json.loads(featx("extract", "photos", "-b", "colour", "--store", "other.h5", "--json").stdout)
    assert Path(again["current"]).name == "colour.h5"
    assert "artifacts/embeddings/colour.h5   12 photos" in featx("info").stdout
    chosen = featx("use", "other.h5")
    assert (chosen.returncode, "commands without `--store` use other.h5" in chosen.stderr) == (0, True)
    assert featx("info").stdout.startswith("store    other.h5")
    assert featx("use", "colour").returncode == 0
    assert "artifacts/embeddings/colour.h5" in featx("info").stdout


def test_every_command_that_uses_another_store_than_the_current_one_names_both(featx: Run, folder):
    for store in ("here.h5", "other.h5"):
        assert featx("extract", "photos", "-b", "colour", "--store", store).returncode == 0
    for words in (
        "fit --clf centroid --folds 2",
        "similar boots1",
        "duplicates",
        "export -o x.csv",
        "info",
        "predict photos",
    ):
        ran = featx(*words.split(), "--store", "other.h5")
        assert ran.returncode == 0, ran.stderr
        assert "uses other.h5, not the current store" in ran.stderr and "`featx use other.h5`" in ran.stderr, words
    assert "current store" not in featx("info").stderr + featx("info", "-s", "other.h5", "-q").stderr
    assert "uses other.h5, not the current store" in featx("info", FEATX_STORE="other.h5").stderr


def test_use_lists_the_stores_and_names_the_closest_one(featx: Run, folder):
    assert "no store under" in featx("use").stderr
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    assert featx("extract", "photos", "-b", "colour", "--store", "artifacts/embeddings/other.h5").returncode == 0
    listed = [json.loads(line) for line in featx("use", "--json").stdout.splitlines()]
    assert [(store["store"], store["photos"], store["current"]) for store in listed] == [
        ("artifacts/embeddings/colour.h5", 12, True),
        ("artifacts/embeddings/other.h5", 12, False),
    ]
    wrong = featx("use", "othr")
    assert (wrong.returncode, "did you mean `other`?" in wrong.stderr) == (4, True)
    named = featx("use", "other", FEATX_STORE="artifacts/embeddings/colour.h5")
    assert "`FEATX_STORE` names artifacts/embeddings/colour.h5, which wins" in named.stderr


NOTE_FIRST = """
import sys; from pathlib import Path; from featx.workspace import Workspace
print(Workspace.here().note_first(Path(sys.argv[1])))
"""


def test_of_two_first_extractions_at_once_one_makes_the_current_store_and_the_other_says_so(workplace, monkeypatch):
    here = Workspace.here()
    ours, theirs = stores(here, "builtin", "colour")
    running: list[subprocess.Popen[str]] = []
    noted = Workspace.noted

    def noted_while_another_notes(workspace: Workspace) -> Path | None:
        current = noted(workspace)
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", NOTE_FIRST, str(theirs)], env=command_environment({}), stdout=-1, text=True
            )
        )
        with suppress(subprocess.TimeoutExpired):  # it waits for this one; without a lock it would be done by then
            running[0].wait(timeout=1)
        return current

    with monkeypatch.context() as patched:
        patched.setattr(Workspace, "noted", noted_while_another_notes)
        assert here.note_first(ours) is None
    answer, _ = running[0].communicate(timeout=60)
    assert here.noted() == ours and answer.strip() == str(ours)
