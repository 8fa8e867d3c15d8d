"""Where things lie, and which store is the current one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.workspace import Workspace
from tests.conftest import Run


def stores(workspace: Workspace, *names: str) -> list[Path]:
    workspace.make()
    paths = [workspace.store_path(name) for name in names]
    for path in paths:
        path.touch()
    return paths


def test_the_store_extracted_into_last_is_the_current_one(workplace):
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


def test_extract_says_when_later_commands_will_use_another_store_and_other_commands_change_nothing(featx: Run, folder):
    first = featx("extract", "photos", "-b", "colour")
    assert "commands without" not in first.stderr, first.stderr
    again = featx("extract", "photos", "-b", "colour")
    assert "commands without" not in again.stderr, again.stderr
    other = featx("extract", "photos", "-b", "colour", "--store", "other.h5")
    assert "commands without `--store` now use other.h5 instead of artifacts/embeddings/colour.h5" in other.stderr
    back = json.loads(featx("extract", "photos", "-b", "colour", "--json").stdout)
    assert Path(back["current_before"]).name == "other.h5"
    for words in ("fit --folds 2", "similar boots1", "duplicates", "export -o x.csv", "info"):
        assert featx(*words.split(), "--store", "other.h5").returncode == 0
    assert "artifacts/embeddings/colour.h5" in featx("info").stdout
