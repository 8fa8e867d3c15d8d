"""Copies are found, as groups, whatever the order of the rows; what is written about them is safe to open."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import featx
from featx.audit import near_pairs as pairs_module
from featx.audit.near_pairs import Forest, near_pairs
from featx.audit.perceptual_hashes import AGREE, DIFFER, NEARLY_AGREE, UNREAD, HashCache
from featx.audit.sheets import duplicates_sheet
from featx.compute import vectors
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError
from featx.store import Row, StoreWriter, open_store
from tests.conftest import ROOT, photo, toy_fingerprint


def store_of(path: Path, rows: list[dict]) -> featx.Store:
    """A store with the given rows; a digest is that of the photo where there is one."""
    width = len(rows[0]["features"])
    with StoreWriter.open(path, toy_fingerprint(width)) as writer:
        writer.append(
            [
                Row(
                    item_id=row["id"],
                    path=row.get("path", f"/nowhere/{row['id']}.jpg"),
                    digest=row.get("digest") or hashlib.sha256(row["id"].encode()).hexdigest(),
                    label=row.get("label"),
                    product=row.get("product"),
                    split=row.get("split"),
                    extra={},
                    features=np.asarray(row["features"], dtype=np.float32),
                )
                for row in rows
            ]
        )
        writer.seal()
    return open_store(path)


def union_find(n: int, links: list[tuple[int, int]]) -> set[frozenset[int]]:
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for i, j in links:
        parent[root(i)] = root(j)
    groups: dict[int, set[int]] = {}
    for i in range(n):
        groups.setdefault(root(i), set()).add(i)
    return {frozenset(group) for group in groups.values() if len(group) > 1}


@given(st.integers(2, 40), st.integers(0, 2**32 - 1), st.floats(0.5, 0.99))
@settings(max_examples=60, deadline=None)
def test_the_groups_are_those_of_a_union_find_over_all_pairs(n, seed, least):
    random = np.random.default_rng(seed)
    features = random.standard_normal((n, 3))
    features[random.integers(0, n, n // 4)] = 0
    unit = unit_rows(features)
    exact = unit.astype(np.float64) @ unit.astype(np.float64).T
    wanted = union_find(n, [(i, j) for i in range(n) for j in range(i) if round(exact[i, j], 6) >= round(least, 6)])
    forest = Forest(n)
    for i, j, scores in near_pairs(unit, least):
        forest.link(i, j, scores)
    assert {frozenset(rows) for rows, _ in forest.groups()} == wanted


def test_tiles_change_nothing_and_memory_is_thinned(monkeypatch):
    random = np.random.default_rng(3)
    unit = unit_rows(random.standard_normal((120, 3)))

    def groups() -> list:
        forest = Forest(len(unit))
        for i, j, scores in near_pairs(unit, 0.97):
            forest.link(i, j, scores)
        return sorted(forest.groups())

    whole = groups()
    monkeypatch.setattr(vectors, "TILE", 7)
    monkeypatch.setattr(vectors, "WIDE", 11)
    monkeypatch.setattr(pairs_module, "MOST_EDGES", 5)
    assert len(whole) > 1
    assert groups() == whole


def test_zeros_infinities_and_nan_match_nothing():
    features = np.zeros((6, 4), dtype=np.float32)
    features[1, 0] = np.nan
    features[2, 0] = np.inf
    features[3:5] = 1e-30
    features[5] = 1e30
    pairs = [(int(a), int(b)) for i, j, _ in near_pairs(unit_rows(features), 0.5) for a, b in zip(i, j, strict=True)]
    assert sorted(pairs) == [(3, 4), (3, 5), (4, 5)]


def test_the_weakest_link_is_the_score_of_a_group():
    forest = Forest(4)
    forest.link(np.array([0, 1, 0]), np.array([1, 2, 2]), np.array([0.99, 0.97, 0.95]))
    ((rows, score),) = forest.groups()
    assert rows == [0, 1, 2]
    assert score == pytest.approx(0.97)


@pytest.fixture
def copies(tmp_path: Path) -> list[dict]:
    """Two different photos, a copy of the first saved again, and one with the same bytes; features alike for all."""
    first = photo(tmp_path / "boots" / "a.jpg", 1, (200, 160))
    x, y = np.meshgrid(np.linspace(0, 9, 200), np.linspace(0, 7, 160))
    waves = (120 + 60 * np.sin(x * y / 3) + 50 * np.cos(3 * x - y)).astype(np.uint8)
    Image.fromarray(waves).convert("RGB").save(first, quality=92)
    Image.open(first).crop((8, 6, 192, 154)).save(tmp_path / "boots" / "again.jpg", quality=70)
    shutil.copy(first, tmp_path / "boots" / "same.jpg")
    Image.fromarray(waves[::-1, ::-1].T.copy()).convert("RGB").save(tmp_path / "boots" / "other.jpg")
    rows = []
    for i, (name, label, split) in enumerate(
        [("a", "boots", "train"), ("again", "hats", "test"), ("same", "boots", "train"), ("other", "boots", "train")]
    ):
        path = tmp_path / "boots" / f"{name}.jpg"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        base = {"id": name, "path": str(path), "digest": digest, "label": label, "split": split}
        rows.append({**base, "features": [1, 1, 0.01 * (i % 2)]})
    return rows


def test_a_near_copy_must_be_alike_in_features_and_in_the_picture(tmp_path, copies):
    duplicates = featx.find_duplicates(store_of(tmp_path / "s.h5", copies), min_score=0.9)
    (group,) = duplicates
    assert [member.item_id for member in group.pictures] == ["a", "again", "same"]
    assert (group.kind, group.labels, group.splits) == ("near copy", ["boots", "hats"], ["test", "train"])
    assert group.products == ["a", "again", "same"]


def test_pairs_that_just_miss_the_limit_lower_the_share_that_are_copies(tmp_path, copies, monkeypatch):
    def verdicts(self, i, j):
        return np.where(j == 3, NEARLY_AGREE, AGREE)

    monkeypatch.setattr(HashCache, "verdicts", verdicts)
    copies[2]["digest"] = "f" * 64
    evidence = featx.find_duplicates(store_of(tmp_path / "s.h5", copies), min_score=0.9).trust
    assert (evidence.alike, evidence.agreed, evidence.nearly) == (6, 3, 3)
    assert evidence.precision == 0.0


def test_the_order_of_the_rows_does_not_matter(tmp_path, copies):
    there = featx.find_duplicates(store_of(tmp_path / "s.h5", copies))
    back = featx.find_duplicates(store_of(tmp_path / "t.h5", copies[::-1]))
    assert there.to_dict() == back.to_dict()


def test_across_keeps_groups_with_two_labels_or_splits(tmp_path, copies):
    for row in copies:
        row["split"] = "train"
    store = store_of(tmp_path / "s.h5", copies)
    assert len(featx.find_duplicates(store, min_score=0.9, across="label")) == 1
    assert len(featx.find_duplicates(store, min_score=0.9, across="split")) == 0
    with pytest.raises(FeatxError, match="is not known"):
        featx.find_duplicates(store, across="colour")


def test_photos_that_are_gone_are_judged_by_features_alone_and_counted(tmp_path):
    rows = [{"id": name, "features": [1, 1, extra]} for name, extra in [("a", 0), ("b", 0.001), ("c", 0.25)]]
    duplicates = featx.find_duplicates(store_of(tmp_path / "s.h5", rows), min_score=0.9)
    assert [[member.item_id for member in group.pictures] for group in duplicates] == [["a", "b"]]
    assert duplicates.unreadable == 3


def test_a_changed_photo_does_not_speak_for_the_old_one(tmp_path, copies):
    store = store_of(tmp_path / "s.h5", copies)
    photo(Path(copies[1]["path"]), 9)
    verdicts = HashCache(store).verdicts(np.array([0, 0]), np.array([1, 3]))
    assert verdicts.tolist() == [UNREAD, DIFFER]


def test_hashes_are_kept_and_a_damaged_cache_is_no_matter(tmp_path, copies):
    store = store_of(tmp_path / "s.h5", copies)
    first = featx.find_duplicates(store).to_dict()
    beside = tmp_path / "s.h5.hashes"
    assert beside.exists()
    for row in copies:
        Path(row["path"]).unlink()
    assert featx.find_duplicates(store).to_dict() == first
    beside.write_bytes(b"PK\x03\x04 no archive")
    assert featx.find_duplicates(store, min_score=0.9).unreadable > 0


def test_names_are_escaped_in_every_page(tmp_path):
    evil = "<script>alert(1)</script>"
    rows = [{"id": f"{evil}{i}", "label": evil, "digest": "0" * 64, "features": [1, 2]} for i in range(2)]
    store = store_of(tmp_path / "s.h5", rows)
    duplicates = featx.find_duplicates(store)
    assert len(duplicates) == 1
    for shown in (duplicates_sheet(duplicates, store).to_html(), duplicates._repr_html_()):
        assert "<script>alert" not in shown
        assert "&lt;script&gt;" in shown


def test_few_rows_are_no_trouble(tmp_path):
    single = store_of(tmp_path / "s.h5", [{"id": "a", "features": [1, 2]}])
    assert len(featx.find_duplicates(single)) == 0
    assert repr(featx.find_duplicates(single)) == "Duplicates(0 groups, 0 of 1 photos)"
    assert list(featx.find_duplicates(single).to_pandas().columns)[:3] == ["group", "kind", "score"]


def test_the_planted_copies_of_the_sample_catalogue_are_found_and_nothing_else(featx, sample_shop, tmp_path):
    shutil.copytree(sample_shop, tmp_path, dirs_exist_ok=True)
    ran = featx("duplicates", "--json")
    assert ran.returncode == 0, ran.stderr
    groups = [
        {Path(member["path"]).name for member in json.loads(line)["pictures"]} for line in ran.stdout.splitlines()
    ]
    with (ROOT / "data/products.csv").open(encoding="utf-8") as file:
        planted = [
            {Path(row["image"]).name, Path(row["copy_of"]).name} for row in csv.DictReader(file) if row["copy_of"]
        ]
    assert sorted(map(sorted, groups)) == sorted(map(sorted, planted))
    assert "1 group is in two splits" in ran.stderr

    limit = featx("duplicates", "--fail-over", "3", "-o", "=d.csv", "--html", "d.html")
    assert limit.returncode == 7
    with (tmp_path / "=d.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
    assert (tmp_path / "d.html").read_text(encoding="utf-8").count("data:image/jpeg;base64") == 8
    assert featx("duplicates", "--fail-over", "4", "-q").returncode == 0
    assert featx("duplicates", "--min-score", "2").returncode == 2
    assert featx("duplicates", "-o", "d.xls").returncode == 2


def test_every_file_of_a_group_is_named(featx, tmp_path):
    for name in ("b/copy one.jpg", "a/first.jpg", "c/last.jpg"):
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_bytes(photo(tmp_path / "kept.jpg", seed=1).read_bytes())
    photo(tmp_path / "p" / "d" / "other.jpg", seed=2)
    assert featx("extract", "p", "-b", "colour").returncode == 0
    ran = featx("duplicates")
    (line,) = ran.stdout.splitlines()
    assert line.split("\t")[5:] == ["p/a/first.jpg", "p/b/copy one.jpg", "p/c/last.jpg"]
    assert "1 group, 3 photos: 3 are the same file, 0 nearly the same" in ran.stderr
    assert "no two different files are this similar" in ran.stderr


def test_a_catalogue_without_copies_is_told_so(featx, tmp_path):
    photo(tmp_path / "p" / "a.jpg", seed=1)
    ran = featx("extract", "p", "-b", "colour")
    assert "next: featx duplicates" in ran.stderr and "featx fit" not in ran.stderr
    ran = featx("duplicates")
    assert ran.stdout == "" and "no duplicates" in ran.stderr


def test_groups_within_one_category_are_counted_where_only_those_across_two_are_listed(featx, tmp_path):
    for name in ("a/one.jpg", "a/two.jpg"):
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_bytes(photo(tmp_path / "kept.jpg", seed=1).read_bytes())
    photo(tmp_path / "p" / "b" / "other.jpg", seed=2)
    assert featx("extract", "p", "-b", "colour").returncode == 0
    ran = featx("duplicates", "--across", "label")
    assert ran.stdout == "" and "no copies in two categories" in ran.stderr
    assert "1 group of copies lies within one category; without `--across`" in ran.stderr
    assert "within" not in featx("duplicates").stderr
