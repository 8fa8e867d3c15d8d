"""The sample catalogue: the same for the same seed, what the manifest says, and the `demo` command around it."""

from __future__ import annotations

import csv
import filecmp
import io
import itertools
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from featx.samples import CATEGORIES, PRODUCTS, SHOTS, SIZE, draw_photo, product, write_catalogue

DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture(scope="module")
def truth() -> list[dict[str, str]]:
    with (DATA / "products.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_catalogue(folder, products=28, shots=3, size=48, seed=5)
    return folder


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(small, tmp_path):
    write_catalogue(tmp_path / "same", products=28, shots=3, size=48, seed=5)
    names = files_in(small)
    assert files_in(tmp_path / "same") == names
    assert filecmp.cmpfiles(small, tmp_path / "same", names, shallow=False) == (names, [], [])
    assert not np.array_equal(draw_photo(product(22, 5), size=48, seed=5), draw_photo(product(22, 6), size=48, seed=6))


def test_the_committed_photos_are_what_the_generator_draws(truth):
    plain = [row for row in truth if not row["fault"]]
    for row in plain[:: len(plain) // 24]:
        drawn = draw_photo(product(int(row["sku"][3:]) - 101), int(row["shot"]))
        file = io.BytesIO()
        drawn.save(file, "JPEG", quality=85)
        with Image.open(DATA / row["image"]) as committed, Image.open(file) as fresh:
            difference = np.abs(np.asarray(committed, dtype=float) - np.asarray(fresh, dtype=float))
        # Another processor or JPEG library may round a few pixels the other way.
        assert difference.mean() < 0.5, row["image"]


@pytest.mark.long
def test_the_whole_committed_sample_can_be_drawn_again(tmp_path):
    write_catalogue(tmp_path)
    names = files_in(tmp_path)
    assert files_in(DATA) == names
    assert filecmp.cmpfiles(DATA, tmp_path, names, shallow=False) == (names, [], [])


def test_the_manifest_lists_exactly_the_photos_there_are(truth):
    assert sorted(row["image"] for row in truth) == [n for n in files_in(DATA) if n.startswith(("train/", "test/"))]
    for row in truth:
        split, folder, name = row["image"].split("/")
        assert (split, folder) == (row["split"], row["folder"])
        assert name.split(".")[0].split("-")[0] == row["sku"]
        assert float(row["price"]) > 0
        assert int(row["stock"]) >= 0


def test_the_manifest_tells_the_facts_of_the_products(truth):
    for row in truth:
        position = int(row["sku"][3:]) - 101
        if position < PRODUCTS:
            item = product(position)
            stated = (
                row["category"],
                row["split"],
                row["colour"],
                row["pattern"],
                float(row["price"]),
                int(row["stock"]),
            )
            assert stated == (item.category, item.split, item.colour, item.pattern, item.price, item.stock)


def test_the_committed_sample_is_small_and_holds_every_category_in_both_splits(truth):
    assert sum((DATA / name).stat().st_size for name in files_in(DATA)) < 5_000_000
    assert len(CATEGORIES) >= 12
    assert len({row["sku"] for row in truth if not row["copy_of"]}) == PRODUCTS
    assert len(truth) == PRODUCTS * SHOTS + 4
    for split in ("train", "test"):
        assert {row["category"] for row in truth if row["split"] == split} == set(CATEGORIES)


def test_sku123_is_a_clean_photo_of_a_mug_with_further_shots(truth):
    mine = [row for row in truth if row["sku"] == "sku123"]
    assert [row["image"] for row in mine] == [f"train/mugs/sku123{end}.jpg" for end in ("", "-2", "-3")]
    assert mine[0]["background"] in ("white", "studio")
    assert not any(row["fault"] for row in mine)


def test_no_product_is_in_both_splits_but_for_the_planted_leak(truth):
    splits = defaultdict(set)
    for row in truth:
        splits[row["sku"]].add(row["split"])
    assert all(len(names) == 1 for names in splits.values())
    leaks = [row for row in truth if row["fault"] == "leak"]
    assert [(row["split"], row["copy_of"].split("/")[0]) for row in leaks] == [("test", "train")]


def test_each_planted_fault_is_what_the_manifest_calls_it(truth):
    faults = defaultdict(list)
    for row in truth:
        if row["fault"]:
            faults[row["fault"]].append(row)
    assert {name: len(rows) for name, rows in faults.items()} == {
        "wrong-label": 1,
        "near-duplicate": 2,
        "exact-copy": 1,
        "leak": 1,
        "truncated": 1,
        "rotated": 1,
        "transparent": 1,
        "cmyk": 1,
    }
    wrong = faults["wrong-label"][0]
    assert wrong["category"] != wrong["folder"]
    copy = faults["exact-copy"][0]
    assert (DATA / copy["image"]).read_bytes() == (DATA / copy["copy_of"]).read_bytes()
    for row in (*faults["near-duplicate"], *faults["leak"]):
        assert (DATA / row["image"]).read_bytes() != (DATA / row["copy_of"]).read_bytes()
        with Image.open(DATA / row["image"]) as near, Image.open(DATA / row["copy_of"]) as first:
            a, b = (np.asarray(image.convert("L").resize((16, 16)), dtype=float).ravel() for image in (near, first))
        assert np.corrcoef(a, b)[0, 1] > 0.9
    with Image.open(DATA / faults["truncated"][0]["image"]) as broken, pytest.raises(OSError, match="truncated"):
        broken.load()
    with Image.open(DATA / faults["transparent"][0]["image"]) as cut:
        assert (cut.mode, cut.format, cut.getpixel((0, 0))[3]) == ("RGBA", "PNG", 0)
    with Image.open(DATA / faults["cmyk"][0]["image"]) as press:
        assert press.mode == "CMYK"


def test_the_phone_photo_is_upright_once_its_orientation_is_followed(truth):
    row = next(row for row in truth if row["fault"] == "rotated")
    with Image.open(DATA / row["image"]) as phone:
        assert phone.getexif()[0x0112] == 6
        upright = phone.transpose(Image.Transpose.ROTATE_270)
    drawn = draw_photo(product(int(row["sku"][3:]) - 101), int(row["shot"]))
    difference = np.abs(np.asarray(upright, dtype=float) - np.asarray(drawn, dtype=float))
    assert difference.mean() < 6


@settings(max_examples=25, deadline=None)
@given(
    position=st.integers(0, 200_000), number=st.integers(1, 40), seed=st.integers(0, 2**32), size=st.integers(16, 72)
)
def test_any_product_can_be_drawn_in_any_small_size(position, number, seed, size):
    item = product(position, seed)
    picture = draw_photo(item, number, size=size, seed=seed)
    assert (picture.size, picture.mode) == ((size, size), "RGB")
    # The product stands out from what is behind it.
    assert np.asarray(picture).std() > 3


def test_shots_of_one_product_differ_and_its_facts_do_not():
    shots = [np.asarray(draw_photo(product(22), number, size=48)) for number in (1, 2, 3)]
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(shots))
    assert product(22) == product(22)


def test_every_product_number_belongs_to_one_product_of_a_large_shop():
    items = [product(position) for position in range(700)]
    assert len({item.sku for item in items}) == 700
    assert set(Counter(item.category for item in items).values()) == {50}


def test_demo_without_running_writes_the_catalogue_and_says_what_to_type(featx, tmp_path):
    done = featx("demo", "shop", "--no-run", "--products", "28", "--shots", "1", "--size", "32", "--json")
    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout)
    listed = [name for name in files_in(tmp_path / "shop/data") if name.startswith(("train/", "test/"))]
    assert (output["photos"], output["categories"], output["ran"]) == (len(listed), len(CATEGORIES), [])
    assert (tmp_path / "shop/data/train/mugs/sku123.jpg").is_file()
    again = featx("demo", "shop2", "--no-run", "--products", "2", "--shots", "1", "--size", "32")
    assert again.returncode == 0
    assert "cd shop2 && featx extract data/train" in again.stderr
    assert again.stdout.strip() == str(Path("shop2/data"))


def test_demo_leaves_a_folder_that_is_not_empty_alone_unless_forced(featx, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep me")
    flags = ("--no-run", "--products", "1", "--shots", "1", "--size", "32")
    refused = featx("demo", "mine", *flags)
    assert refused.returncode == 2
    assert "not empty" in refused.stderr
    assert files_in(tmp_path / "mine") == ["notes.txt"]
    assert featx("demo", "mine", "--force", *flags).returncode == 0
    assert (tmp_path / "mine/notes.txt").read_text() == "keep me"
    assert featx("demo", "mine/notes.txt", *flags).returncode == 2
    inside_a_file = featx("demo", "mine/notes.txt/deeper", *flags)
    assert inside_a_file.returncode == 6
    assert "cannot write" in inside_a_file.stderr


def test_drawing_again_leaves_no_photo_that_the_manifest_does_not_know_and_no_other_file_is_touched(tmp_path):
    write_catalogue(tmp_path / "shop", products=20, shots=2, size=24)
    (tmp_path / "precious.jpg").write_bytes(b"mine")
    (tmp_path / "shop/train/mugs/own.jpg").write_bytes(b"mine")
    with (tmp_path / "shop/products.csv").open("a", encoding="utf-8") as file:
        file.write("../precious.jpg,x\ntrain/mugs/own.jpg,x\n")
    rows = write_catalogue(tmp_path / "shop", products=3, shots=1, size=24, faults=False)
    photos = {name for name in files_in(tmp_path / "shop") if name.endswith((".jpg", ".png"))}
    assert photos == {row.image for row in rows} | {"train/mugs/own.jpg"}
    assert (tmp_path / "precious.jpg").read_bytes() == b"mine"


def test_demo_draws_the_committed_sample_unless_told_otherwise():
    import inspect

    from featx.cli.demo import demo

    defaults = {name: parameter.default for name, parameter in inspect.signature(demo).parameters.items()}
    assert (defaults["products"], defaults["shots"], defaults["size"], defaults["seed"]) == (PRODUCTS, SHOTS, SIZE, 0)


@pytest.mark.long  # `make demo` runs the three lines too
def test_demo_runs_the_headline_commands_in_the_new_folder(featx, tmp_path):
    done = featx("demo", "shop", "--products", "28", "--shots", "2", "--size", "32", FEATX_ARTIFACTS="elsewhere")
    assert done.returncode == 0, done.stderr
    at = [
        done.stderr.index(f"$ featx {step}") for step in ("extract data/train", "fit --clf svm", "similar sku123.jpg")
    ]
    assert at == sorted(at)
    assert any((tmp_path / "shop/artifacts").rglob("*.h5"))
    assert not (tmp_path / "elsewhere").exists()
