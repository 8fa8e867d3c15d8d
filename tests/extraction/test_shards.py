"""Shards: the store that a single run would have written, whatever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featx.backbones.colour import ColourEncoder
from featx.catalogue.photo_lists import PhotoList
from featx.catalogue.reading import read_catalogue, read_in_parts
from featx.errors import FeatxError
from featx.extraction import ExtractionOptions, extract, extract_in_shards
from featx.extraction.shard_pool import run_here
from featx.extraction.shard_task import Backlog, Task
from featx.extraction.shards import Parts, Shard, extract_shard, join_shards, missing_shards, shards_of
from featx.store import Store, open_store
from tests.conftest import Run, photo
from tests.extraction.deadly_task import Deadly

COLOUR = ExtractionOptions(backbone="colour")
SHARDS = 5


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty photos, of which one is damaged and two are copies of others; their table."""
    folder = tmp_path_factory.mktemp("sharded")
    lines = ["path,label,price"]
    for i in range(20):
        photo(folder / f"p{i:02d}.jpg", seed=i)
        lines.append(f"p{i:02d}.jpg,{'mugs' if i % 2 else 'hats'},{i}.5")
    (folder / "p03.jpg").write_bytes(b"no photo")
    (folder / "p19.jpg").write_bytes((folder / "p00.jpg").read_bytes())
    (folder / "p08.jpg").write_bytes((folder / "p07.jpg").read_bytes())
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder / "list.csv"


@pytest.fixture(scope="module")
def plain(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return extract(shop, backbone="colour", store=tmp_path_factory.mktemp("plain") / "all.h5")


def same(first: Store, second: Store) -> bool:
    rows = list(first.known().values()) == list(second.known().values())
    skips = [sorted((skip.path, skip.reason) for skip in s.known_skipped().values()) for s in (first, second)]
    return rows and skips[0] == skips[1] and first.features.tobytes() == second.features.tobytes()


def one_by_one(shop: Path, store: Path, numbers: range = range(1, SHARDS + 1)) -> None:
    catalogue = read_catalogue(shop)
    parts = Parts(catalogue, SHARDS)
    for number in numbers:
        shard = Shard(number, SHARDS)
        assert extract_shard(parts[shard], COLOUR, store, shard, in_all=len(catalogue.items)) is not None


def write_list(path: Path, columns: dict[str, list[object]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path, row_group_size=7)
    return path


def test_a_list_in_the_order_of_its_paths_is_read_part_by_part_into_the_same_store(shop, plain, workplace) -> None:
    items = sorted(read_catalogue(shop).items, key=lambda item: item.path)
    columns = {"path": [Path(item.path).name for item in items], "id": [item.item_id for item in items],
               "label": [item.label for item in items], "price": [item.extra["price"] for item in items]}  # fmt: skip
    listed = read_in_parts(write_list(shop.with_name("photos.parquet"), columns))
    assert isinstance(listed, PhotoList) and listed.describe().startswith("20 photos in 2 categories under")
    parts = Parts(listed, SHARDS)
    for shard in parts:
        assert extract_shard(parts[shard], COLOUR, workplace / "a.h5", shard, in_all=parts.n) is not None
    assert same(join_shards(parts, COLOUR, workplace / "a.h5"), plain)


@pytest.mark.parametrize(
    ("change", "by_parts"),
    [
        ({}, True),
        ({"product": [f"p{i // 3}" for i in range(30)]}, True),
        ({"product": [f"p{i}" for i in range(30)]}, True),  # an id of each photo
        ({"product": [None] * 30, "split": ["train", "val"] * 15}, True),
        ({"id": [30 - i for i in range(30)]}, True),
        ({"path": [f"s3://shop/{i % 7}-{i:02d}.jpg" for i in range(30)]}, False),  # in another order
        ({"id": ["one", "two", "two", *map(str, range(27))]}, False),
        ({"id": ["", *map(str, range(29))]}, False),
    ],
)
def test_the_parts_of_a_list_are_those_of_the_whole_list(tmp_path: Path, change, by_parts: bool) -> None:
    columns = {"path": [f"s3://shop/{i:02d}.jpg" for i in range(30)], "id": [f"i{i}" for i in range(30)],
               "label": ["hats", "mugs", None] * 10, "price": [i / 2 for i in range(30)]}  # fmt: skip
    table = write_list(tmp_path / "photos.parquet", {**columns, **change})
    read, whole = read_in_parts(table), read_catalogue(table)
    assert isinstance(read, PhotoList) == by_parts
    parts, wanted = Parts(read, 4), Parts(whole, 4)
    assert [part.items for part in parts.values()] == [part.items for part in wanted.values()]
    assert (read.describe(), parts.n) == (whole.describe(), 30)
    facts = ("product_source", "label_source", "ids_guessed", "from_table", "columns", "root", "flags")
    for part in parts.values():
        assert [getattr(part, name) for name in facts] == [getattr(whole, name) for name in facts]


def test_shards_joined_are_the_store_of_a_single_run(shop: Path, plain: Store, workplace: Path) -> None:
    one_by_one(shop, workplace / "a.h5")
    joined = join_shards(Parts(read_catalogue(shop), SHARDS), COLOUR, workplace / "a.h5")
    assert same(joined, plain)
    assert same(join_shards(Parts(read_catalogue(shop), SHARDS), COLOUR, workplace / "a.h5"), plain), (
        "joining twice changes nothing"
    )


def test_processes_write_the_same_bytes(shop: Path, plain: Store, workplace: Path) -> None:
    seen = []
    joined = extract_in_shards(
        shop,
        store=workplace / "a.h5",
        shards=3,
        jobs=2,
        backbone="colour",
        progress=lambda *counts: seen.append(counts),
    )
    assert same(joined, plain)
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_only_shards_without_a_record_are_made(shop: Path, workplace: Path) -> None:
    store = workplace / "a.h5"
    one_by_one(shop, store)
    catalogue, folder = read_catalogue(shop), shards_of(store)
    made = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / f"{Shard(2, SHARDS).name}.json").unlink()
    assert missing_shards(Parts(catalogue, SHARDS), store, COLOUR) == [Shard(2, SHARDS)]
    one_by_one(shop, store)
    changed = {path.name for path in folder.iterdir() if made.get(path.name) != path.stat().st_mtime_ns}
    assert changed == {f"{Shard(2, SHARDS).name}.h5", f"{Shard(2, SHARDS).name}.json"}
    items = [replace(catalogue.items[0], label="new"), *catalogue.items[1:]]
    other = Parts(replace(catalogue, items=items), SHARDS)
    assert missing_shards(other, store, COLOUR) == [Shard(1, SHARDS)], "a shard of other photos is not done"


def test_a_longer_list_costs_only_the_photos_that_are_new(workplace: Path, monkeypatch) -> None:
    for i in range(1, 12):
        photo(workplace / "photos" / f"p{i:02d}.jpg", seed=i)
    extract_here(workplace / "photos", workplace / "a.h5")
    photo(workplace / "photos" / "p00.jpg", seed=0)
    (workplace / "photos" / "p11.jpg").unlink()
    computed = []
    features = ColourEncoder.features
    monkeypatch.setattr(ColourEncoder, "features", lambda self, views: computed.append(1) or features(self, views))
    joined = extract_here(workplace / "photos", workplace / "a.h5")
    assert len(computed) <= 3, "a batch for each shard at most"
    plain = extract(workplace / "photos", backbone="colour", store=workplace / "plain.h5")
    kept = [i for i, row in enumerate(joined.known().values()) if not row.path.endswith("p11.jpg")]
    assert len(joined) == 12 and joined.features[kept].tobytes() == plain.features.tobytes()


def extract_here(source: Path, store: Path, shards: int = 3) -> Store:
    """All shards in this process, joined."""
    catalogue = read_catalogue(source)
    for shard, part in Parts(catalogue, shards).items():
        extract_shard(part, COLOUR, store, shard, in_all=len(catalogue.items))
    return join_shards(Parts(catalogue, shards), COLOUR, store)


def test_shards_of_other_options_are_neither_joined_nor_mixed(shop: Path, workplace: Path) -> None:
    one_by_one(shop, workplace / "a.h5")
    with pytest.raises(FeatxError, match=r"made with `--backbone colour`, .* asks for `--backbone builtin`"):
        extract_in_shards(shop, store=workplace / "a.h5", shards=SHARDS, backbone="builtin")
    with pytest.raises(FeatxError, match="each shard has others"):
        extract_in_shards(shop, store=workplace / "b.h5", shards=SHARDS, backbone="builtin", layer="auto")


def test_a_shard_without_a_readable_photo_is_done_and_lists_them(workplace: Path) -> None:
    for i in range(4):
        photo(workplace / "photos" / f"p{i}.jpg", seed=i)
    (workplace / "photos" / "p0.jpg").write_bytes(b"no photo")
    store = extract_here(workplace / "photos", workplace / "a.h5", shards=4)
    assert len(store) == 3
    assert [(Path(skip.path).name, skip.reason) for skip in store.known_skipped().values()] == [
        ("p0.jpg", "not-an-image")
    ]


def test_missing_or_damaged_shards_are_not_joined(shop: Path, workplace: Path) -> None:
    store = workplace / "a.h5"
    one_by_one(shop, store, range(1, SHARDS))
    with pytest.raises(FeatxError, match=r"1 of 5 shards .* not done: 5/5") as error:
        join_shards(Parts(read_catalogue(shop), SHARDS), COLOUR, store)
    assert error.value.code == "no-store" and not store.exists()
    one_by_one(shop, store)
    damaged = shards_of(store) / f"{Shard(4, SHARDS).name}.h5"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(FeatxError, match="is not what was written") as error:
        join_shards(Parts(read_catalogue(shop), SHARDS), COLOUR, store)
    assert error.value.code == "store-broken" and not store.exists()


def deadly(shop: Path, store: Path, **more: bool) -> Backlog:
    catalogue = read_catalogue(shop)
    parts = Parts(catalogue, SHARDS)
    tasks = [Task.of(shard, part, COLOUR, store, len(catalogue.items), "") for shard, part in parts.items()]
    made = [Deadly(**{name: getattr(task, name) for name in Task.__dataclass_fields__}, **more) for task in tasks]
    return Backlog(made, len(made))


def test_a_process_that_is_killed_costs_only_its_shard(shop: Path, plain: Store, workplace: Path) -> None:
    assert len(list(run_here(deadly(shop, workplace / "a.h5"), 2))) == SHARDS
    assert same(join_shards(Parts(read_catalogue(shop), SHARDS), COLOUR, workplace / "a.h5"), plain)


@pytest.mark.long
def test_a_shard_that_always_kills_its_process_is_named(shop: Path, workplace: Path) -> None:
    with pytest.raises(FeatxError, match=r"shard 1/5 was killed 3 times"):
        list(run_here(deadly(shop, workplace / "a.h5", always=True), 1))


def test_the_command_makes_a_shard_or_all_that_are_missing(
    featx: Run, shop: Path, plain: Store, tmp_path: Path
) -> None:
    words = ("extract", str(shop), "-b", "colour", "--store", "a.h5")
    ran = featx(*words, "--shard", "2/4")
    assert ran.returncode == 0 and "shard 2/4: features of 5 photos" in ran.stderr, ran.stderr
    assert not (tmp_path / "a.h5").exists()
    ran = featx(*words, "--shards", "4", "--jobs", "1")
    assert ran.returncode == 0 and "4 shards joined: features of 19 photos" in ran.stderr, ran.stderr
    assert same(open_store(tmp_path / "a.h5"), plain)
    for wrong, says in ((("--shard", "5/4"), "is no shard"), (("--shards", "2", "--prune"), "made once")):
        ran = featx(*words, *wrong)
        assert ran.returncode == 2 and says in ran.stderr


@pytest.mark.long
def test_the_driver_and_its_processes_killed_at_random_lose_no_row(
    shop: Path, plain: Store, tmp_path: Path, featx_process: Callable[..., object]
) -> None:
    import subprocess
    import sys

    from tests.conftest import command_environment

    words = [sys.executable, "-m", "featx", "extract", str(shop), "-b", "colour", "--store", "a.h5", "--shards", "10"]
    random = np.random.default_rng(0)
    kills = 0
    while kills < 10:
        running = subprocess.Popen(
            [*words, "--jobs", "2"], cwd=tmp_path, env=command_environment({}), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(float(random.uniform(1, 6)))
        kills += running.poll() is None
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert subprocess.run(words, cwd=tmp_path, env=command_environment({}), capture_output=True).returncode == 0
    assert same(open_store(tmp_path / "a.h5"), plain)
