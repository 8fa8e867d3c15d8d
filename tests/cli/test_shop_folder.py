"""A command in a subfolder of a shop uses the shop's artifacts, says so, and finds the files that were typed."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from featx.cli import shop_folder
from featx.store import open_store
from tests.conftest import Run


@pytest.fixture
def shop(featx: Run, folder: Path, tmp_path: Path) -> Path:
    (tmp_path / "featx.toml").write_text('[fit]\nclf = "centroid"\n')
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    return tmp_path


def test_a_photo_named_in_its_own_folder_is_the_one_in_the_store(featx: Run, shop: Path):
    ran = featx("similar", "mugs1.jpg", "--copies", "-o", "alike.csv", cwd=shop / "photos" / "mugs")
    assert ran.returncode == 0, ran.stderr
    assert f"working in {shop}" in ran.stderr
    with (shop / "photos/mugs/alike.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and all((shop / row["path"]).is_file() for row in rows)
    by_name = featx("similar", "mugs1", "--copies", "--json", cwd=shop / "photos")
    assert [json.loads(line)["id"] for line in by_name.stdout.splitlines()] == [row["id"] for row in rows]
    listed = featx("similar", "-", "--copies", "--json", cwd=shop / "photos", stdin="mugs/mugs1.jpg\n")
    assert listed.stdout == by_name.stdout


def test_extracting_from_below_adds_no_second_row_and_no_second_store(featx: Run, shop: Path):
    ran = featx("extract", ".", "--json", cwd=shop / "photos")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert (document["n"], document["unchanged"]) == (12, 12)
    assert not (shop / "photos" / "artifacts").exists()
    ran = featx("extract", "-", "--json", cwd=shop / "photos", stdin="mugs/mugs1.jpg\n")
    assert json.loads(ran.stdout)["unchanged"] == 1


def test_photos_from_elsewhere_are_said_to_join_those_that_the_store_holds(featx: Run, shop: Path):
    (shop / "photos" / "mugs" / "mugs1.jpg").rename(shop / "photos" / "mugs" / "new.jpg")
    assert "other photos" not in featx("extract", "photos").stderr
    (shop / "more" / "mugs").mkdir(parents=True)
    shutil.copy(shop / "photos" / "mugs" / "new.jpg", shop / "more" / "mugs" / "other.jpg")
    ran = featx("extract", "more")
    assert ran.returncode == 0 and "adding to artifacts/embeddings/colour.h5, which holds 12 other photos" in ran.stderr


def test_the_command_that_a_store_remembers_can_be_run_in_the_shop(featx: Run, shop: Path):
    (shop / "photos" / "list.csv").write_text("sku\nmugs1\nhats2\n")
    words = ("extract", "list.csv", "--images", "mugs", "-b", "colour", "--store", "../sku.h5")
    assert featx(*words, cwd=shop / "photos").returncode == 0
    command = str(open_store(shop / "sku.h5").provenance["command"])
    assert "photos/list.csv" in command and "--images photos/mugs" in command and "--store sku.h5" in command


def test_the_settings_of_the_shop_count_below_it_too(featx: Run, shop: Path):
    ran = featx("fit", "--folds", "2", cwd=shop / "photos")
    assert ran.returncode == 0, ran.stderr
    assert (shop / "artifacts/models/centroid.safetensors").is_file()


def test_a_folder_with_artifacts_of_its_own_and_one_that_others_own_are_left_alone(tmp_path, monkeypatch):
    (tmp_path / "artifacts/embeddings").mkdir(parents=True)
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.delenv("FEATX_STORE", raising=False)
    monkeypatch.delenv("FEATX_ARTIFACTS", raising=False)
    assert shop_folder.shop_above(tmp_path / "a/b") == tmp_path
    (tmp_path / "a/featx.toml").touch()
    assert shop_folder.shop_above(tmp_path / "a") is None
    assert shop_folder.shop_above(tmp_path / "a/b") is None
    (tmp_path / "a/featx.toml").unlink()
    monkeypatch.setattr("os.getuid", lambda: 12345)
    assert shop_folder.shop_above(tmp_path / "a/b") is None


def test_artifacts_left_in_the_home_folder_or_in_one_for_everybody_take_over_no_shop_below(tmp_path, monkeypatch):
    (tmp_path / "artifacts/embeddings").mkdir(parents=True)
    (tmp_path / "a").mkdir()
    monkeypatch.delenv("FEATX_STORE", raising=False)
    monkeypatch.delenv("FEATX_ARTIFACTS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shop_folder.shop_above(tmp_path / "a") is None
    monkeypatch.setenv("HOME", str(tmp_path / "a"))
    (tmp_path / "a/b").mkdir()
    assert shop_folder.shop_above(tmp_path / "a/b") is None
    monkeypatch.setenv("HOME", "/nowhere")
    assert shop_folder.shop_above(tmp_path / "a") == tmp_path
    tmp_path.chmod(0o1777)
    assert shop_folder.shop_above(tmp_path / "a") is None
