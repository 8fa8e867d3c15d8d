"""The table says which products there are: rows that left it are named, renamed or removed; those of others stay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from featx.catalogue.reading import read_catalogue
from featx.extraction import ExtractionOptions, run_extraction
from featx.store import open_store
from tests.conftest import photo


@pytest.fixture
def table(workplace: Path) -> Path:
    for i in range(6):
        photo(workplace / f"p{i}.jpg", seed=i)
    return listing(workplace / "products.csv", {f"A{i}": f"p{i}.jpg" for i in range(6)})


def listing(path: Path, photos: dict[str, str], label: str = "") -> Path:
    lines = [f"{sku},{name},{label},{sku.lower()}" for sku, name in photos.items()]
    path.write_text("\n".join(["sku,image,category,code", *lines]) + "\n")
    return path


def extracted(source: Path, **options: bool):
    return run_extraction(read_catalogue(source), ExtractionOptions(backbone="colour", **options))


def paths() -> dict[str, str]:
    store = open_store()
    return dict(zip(store.ids, store.paths, strict=True))


def features() -> dict[str, bytes]:
    store = open_store()
    return {item_id: store.features[i].tobytes() for i, item_id in enumerate(store.ids)}


def test_rows_that_left_are_named_then_removed_and_a_new_sku_of_the_same_photo_is_a_rename(table):
    extracted(table)
    before = features()
    listing(table, {"A2": "p2.jpg", "B3": "p3.jpg", "A4": "p4.jpg", "A5": "p5.jpg"})
    for dry_run in (True, False):
        report = extracted(table, dry_run=dry_run)
        assert (report.left, report.renames) == (["A0", "A1"], {"A3": "B3"})
        assert (report.renamed, report.copied, report.new, report.pruned) == (1, 0, 0, 0)
    assert set(paths()) == {"A0", "A1", "A2", "B3", "A4", "A5"}
    assert features()["B3"] == before["A3"]
    assert extracted(table, prune=True, dry_run=True).removed == ["A0", "A1"]
    report = extracted(table, prune=True)
    assert (report.removed, report.left, report.pruned) == (["A0", "A1"], [], 2)
    assert set(paths()) == {"A2", "B3", "A4", "A5"}
    assert extracted(table, prune=True).pruned == 0


def test_a_photo_that_moved_and_got_another_sku_is_a_rename_while_the_old_file_lies_there(table):
    extracted(table)
    shutil.copy("p0.jpg", "moved.jpg")
    listing(table, {"B0": "moved.jpg", **{f"A{i}": f"p{i}.jpg" for i in range(1, 6)}})
    report = extracted(table)
    assert (report.renames, report.left) == ({"A0": "B0"}, [])
    assert paths()["B0"].endswith("moved.jpg") and "A0" not in paths()


def test_another_photo_under_the_same_name_and_a_new_sku_replaces_the_row(table):
    extracted(table)
    photo(Path("p0.jpg"), seed=77)
    listing(table, {"B0": "p0.jpg", **{f"A{i}": f"p{i}.jpg" for i in range(1, 6)}})
    report = extracted(table)
    assert (report.new, report.changed, report.copied) == (0, 1, 0)
    assert set(paths()) == {"B0", "A1", "A2", "A3", "A4", "A5"}


def test_a_renamed_sku_keeps_what_a_second_table_said_of_it(table, workplace):
    extracted(table)
    extracted(listing(workplace / "labels.csv", {"A3": "p3.jpg"}, label="mugs"))
    listing(table, {"B3": "p3.jpg", "A2": "p2.jpg"})
    extracted(table, prune=True)
    store = open_store()
    assert dict(zip(store.ids, store.labels, strict=True)) == {"A2": None, "B3": "mugs"}


def test_rows_of_another_table_and_of_a_folder_stay(table, workplace):
    extracted(table)
    photo(workplace / "more" / "q.jpg", seed=50)
    extracted(workplace / "more")
    photo(workplace / "r.jpg", seed=51)
    second = listing(workplace / "second.csv", {"R": "r.jpg", "A1": "p1.jpg"})
    assert extracted(second, prune=True).pruned == 0
    assert len(paths()) == 8
    listing(second, {"A1": "p1.jpg"})
    listing(table, {"A2": "p2.jpg"})
    assert extracted(second, prune=True).removed == ["R"]
    assert extracted(table, prune=True).removed == ["A0", "A1", "A3", "A4", "A5"]
    assert set(paths()) == {"A2", "q"}


def test_the_command_names_them_in_words_and_in_json(table, featx, workplace):
    assert featx("extract", "products.csv", "-b", "colour").returncode == 0
    listing(table, {"B2": "p2.jpg", "A3": "p3.jpg", "A4": "p4.jpg", "A5": "p5.jpg"})
    ran = featx("extract", "products.csv", "--dry-run")
    assert "2 photos are no longer in products.csv but kept in the store: A0, A1" in ran.stderr
    assert "A2 → B2" in ran.stderr and "--prune" in ran.stderr
    ran = featx("extract", "products.csv", "--dry-run", "--prune")
    assert "would do: 1 renamed, 2 removed; 3 unchanged" in ran.stdout and "to be removed: A0, A1" in ran.stderr
    document = json.loads(featx("extract", "products.csv", "--prune", "--json").stdout)
    assert (document["pruned"], document["left"], document["gone"]) == (2, 0, 0)
    assert document["ids"] == {"renamed": {"A2": "B2"}, "removed": ["A0", "A1"], "gone": [], "left": []}
    assert featx("similar", "A0", "--json").returncode != 0
