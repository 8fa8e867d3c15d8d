"""`featx weights`, as typed."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from typer.testing import CliRunner

from featx.backbones import weights
from featx.backbones.weights import published
from featx.cli.weights import app
from featx.errors import FeatxError

DATA = b"weights" * 1000
SHA = hashlib.sha256(DATA).hexdigest()
NAME = f"net-{SHA[:8]}.pth"
ENTRY = weights.PublishedWeights("resnet50", "IMAGENET1K_V1", f"https://host/{NAME}", len(DATA), 76.13)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(weights, "published_weights", lambda: [ENTRY])
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(published, "RECOMMENDED", (ENTRY,))
    monkeypatch.setattr(weights, "RECOMMENDED", (ENTRY,))
    monkeypatch.setattr("featx.backbones.weights.importing.RECOMMENDED", (ENTRY,))


def run(*words: str):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, FeatxError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_the_list_shows_what_can_be_had_and_what_is_here(folder):
    (folder / "resnet18-f37072fd.pth").write_bytes(DATA)
    rows = [line.split("\t") for line in run("list").stdout.splitlines()]
    by_name = {row[0]: row for row in rows}
    assert by_name["resnet50"] == ["resnet50", "IMAGENET1K_V1", "103 MB", "76.1%", "no"]
    assert by_name["resnet18"][-1] == "yes"
    assert by_name["colour"][-1] == "yes"
    assert 10 < len(rows) < 20


def test_the_list_names_files_nobody_published(folder):
    (folder / "mine.pth").write_bytes(DATA)
    (folder / "notes.txt").write_bytes(DATA)
    records = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert next(record for record in records if record["weights"] == "mine.pth")["here"]
    assert not [record for record in records if record["weights"] == "notes.txt"]


def test_all_lists_every_published_file():
    assert [line.split("\t")[0] for line in run("list", "--all").stdout.splitlines()][-1] == "resnet50"


@pytest.mark.parametrize("command", ["get", "fetch"])
def test_get_prints_where_the_file_lies(folder, known, command):
    (folder / NAME).write_bytes(DATA)
    assert run(command, "resnet50").stdout == f"{folder / NAME}\n"
    shown = json.loads(run(command, "resnet50", "--json").stdout)
    assert shown["path"] == str(folder / NAME)
    assert shown["downloaded"] is False


def test_get_offline_says_what_to_do(known, monkeypatch):
    monkeypatch.setenv("FEATX_OFFLINE", "1")
    with pytest.raises(FeatxError, match="the weights for `resnet50` are not on this machine"):
        run("get", "resnet50")


def test_add_checks_and_prints_the_place(folder, known, tmp_path):
    (tmp_path / NAME).write_bytes(DATA)
    assert run("add", tmp_path / NAME).stdout == f"{folder / NAME}\n"
    assert (folder / NAME).read_bytes() == DATA


def test_verify_lists_every_file_and_fails_for_a_broken_one(folder):
    (folder / NAME).write_bytes(DATA)
    (folder / "mine.pth").write_bytes(DATA)
    assert run("verify").stdout.splitlines() == [
        f"mine.pth\tno checksum in its name\t{SHA}",
        f"{NAME}\tok\t{SHA}",
    ]
    (folder / NAME).write_bytes(DATA + b"!")
    result = CliRunner().invoke(app, ["verify"])
    assert isinstance(result.exception, FeatxError)
    assert result.exception.exit_code == 5
    assert re.search(rf"^{NAME}\tbroken", result.stdout, re.M)
    assert CliRunner().invoke(app, ["verify", "--json"]).stdout == ""


def test_path_prints_the_folder(folder):
    assert run("path").stdout == f"{folder}\n"


def test_every_command_shows_an_example():
    for command in ("list", "get", "add", "verify", "path"):
        assert f"Example: featx weights {command}" in " ".join(run(command, "--help").stdout.split())
