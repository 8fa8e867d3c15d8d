"""Bad input of every kind: an answer or a sentence, never a crash, a hang, or a wrong answer for its neighbour."""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import featx
from featx import extraction
from featx.catalogue.items import Catalogue
from featx.catalogue.reading import read_catalogue
from featx.errors import EXIT_CODES, FeatxError
from featx.images import UnreadablePhoto, decode_photo
from featx.store import open_store
from tests.conftest import ROOT, photo
from tests.counting import counted_calls
from tests.faults import make_bad_images
from tests.store.test_store import row, writer

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]
BAD = make_bad_images.bad_images()
# What the largest of them needs; nothing in a file may make its reader go round and round.
MOST_CALLS = 200_000


# --- photos ----------------------------------------------------------------------------------------------------------


def test_two_hundred_bad_files_are_named_with_a_reason_and_good_ones_beside_them_keep_their_features(workplace):
    assert len(BAD) >= 200
    for i in range(8):
        photo(workplace / "mixed" / f"good{i}.jpg", seed=i)
    alone = featx.extract("mixed", backbone="colour", store="alone.h5")
    make_bad_images.write(workplace / "mixed")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    summary = extraction.run_extraction(
        read_catalogue("mixed"), extraction.ExtractionOptions(backbone="colour", batch_size=4), store=Path("mixed.h5")
    )
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    mixed = open_store("mixed.h5")
    assert len(mixed) + len(summary.skipped) == len(BAD) + 8
    assert all(skip.reason and Path(skip.path).exists() for skip in summary.skipped)
    assert len(summary.skipped) > 100
    kept = {path: mixed.features[i].tobytes() for i, path in enumerate(mixed.paths)}
    for i, path in enumerate(alone.paths):
        assert kept[path] == alone.features[i].tobytes()
    listed = list(csv.DictReader(Path("artifacts/skipped.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert {row["path"] for row in listed} == {skip.path for skip in summary.skipped}
    assert grown < 600, f"{grown:.0f} MB"


def one_mutant(chance: random.Random) -> bytes:
    """A bad file made worse, or a good one spoilt in some places."""
    data = bytearray(BAD[chance.choice(sorted(BAD))])
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randrange(1, 64)]
            case 2:
                data[at:at] = chance.randbytes(chance.randrange(1, 64))
            case 3:
                data[at : at + 4] = chance.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
            case _:
                piece = bytes(data[at : at + 40])
                data[at:at] = piece * chance.randrange(1, 20)
    return bytes(data)


def fuzz_photos(count: int, seed: int) -> dict[str, float]:
    chance = random.Random(seed)
    counts = {"files": 0.0, "pictures": 0.0, "refused": 0.0, "most_calls": 0.0}
    for _ in range(count):
        data = one_mutant(chance)
        with counted_calls() as calls:
            try:
                assert decode_photo(data, "mutant").mode == "RGB"
                counts["pictures"] += 1
            except UnreadablePhoto as refused:
                assert refused.path == "mutant" and refused.reason
                counts["refused"] += 1
        counts["files"] += 1
        counts["most_calls"] = max(counts["most_calls"], calls.made)
    assert counts["most_calls"] < MOST_CALLS
    return counts


def test_mutated_photos_give_a_picture_or_a_reason():
    fuzz_photos(400, seed=3)


@pytest.mark.long
def test_twenty_thousand_mutated_photos_give_a_picture_or_a_reason():
    # Other tests may have run in this process before, and its peak is the largest of all.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts = fuzz_photos(20_000, seed=4)
    counts["grown_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    print(json.dumps(counts))
    assert counts["grown_mb"] < 2000


# --- tables ----------------------------------------------------------------------------------------------------------

PIECES = [
    b"image,label\n",
    b"path\tlabel\n",
    b"a.jpg,boots\n",
    b"a.jpg\tboots\n",
    b"../../etc/passwd,x\n",
    b"/etc/passwd,x\n",
    b"=cmd|'/c calc'!A1,+1\n",
    b'"a.jpg',
    b'"',
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\r\n",
    b"\r",
    b"\n",
    b",",
    b";",
    b"\t",
    b'{"image": "a.jpg", "label": "x"}\n',
    b'{"image": ["a.jpg"], "label": {"x": NaN}}\n',
    b'{"image": "\\ud800.jpg"}\n',
    b"[1]\n",
    b"null\n",
    b"{}\n",
    b"[" * 300,
    b"image,image\n",
    b"caf\xe9.jpg,x\n",
    "caf\u00e9.jpg,\u202e\n".encode(),
    b"x" * 3000,
    b'{"image": "a.jpg", "n": 1e999, "m": 99999999999999999999999999}\n',
    b"label,image,split\n",
    b"b.jpg,,train\n",
    b"image,price\n",
    b"a.jpg,007\n",
    b"a.jpg,1e5\n",
    b"a.jpg," + b"9" * 5000 + b"\n",
    b"a.jpg,nan\n",
    b'{"image": 3}\n',
    b"a.jpg\n",
    b'{"image": "a\\u0000.jpg"}\n',
    b"C:\\x\\a.jpg,w\n",
    b"\x1b[31m.jpg,\x07\n",
    b"http://example.com/a.jpg,x\n",
    b"~/a.jpg,x\n",
]


def only_a_catalogue_or_a_sentence(table: Path) -> str:
    try:
        catalogue = read_catalogue(table)
    except FeatxError as error:
        assert error.code in EXIT_CODES and error.message and "Traceback" not in error.message
        return error.code
    assert isinstance(catalogue, Catalogue)
    assert len({item.item_id for item in catalogue.items}) == len(catalogue.items)
    root = os.path.realpath(table.parent)
    for item in catalogue.items:
        assert os.path.commonpath([root, os.path.realpath(item.path)]) == root
    return "ok"


def fuzz_tables(folder: Path, count: int, seed: int) -> dict[str, int]:
    for name in ("a.jpg", "b.jpg"):
        photo(folder / name, seed=1)
    chance, counts = random.Random(seed), {}
    for _ in range(count):
        data = b"".join(chance.choice(PIECES) for _ in range(chance.randint(0, 8)))
        if data and chance.random() < 0.3:
            at = chance.randrange(len(data))
            data = data[:at] + chance.randbytes(chance.randint(0, 3)) + data[at + chance.randint(0, 3) :]
        table = folder / f"t{chance.choice(['.csv', '.tsv', '.txt', '.jsonl', '.ndjson'])}"
        table.write_bytes(data)
        code = only_a_catalogue_or_a_sentence(table)
        counts[code] = counts.get(code, 0) + 1
        table.unlink()
    return counts


def test_mutated_tables_give_a_catalogue_inside_their_folder_or_a_sentence(tmp_path):
    counts = fuzz_tables(tmp_path, 1500, seed=5)
    assert counts["ok"] > 20 and counts["bad-manifest"] > 100


@pytest.mark.long
def test_twenty_thousand_mutated_tables_give_a_catalogue_or_a_sentence(tmp_path):
    print(json.dumps(fuzz_tables(tmp_path, 20_000, seed=6)))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=400), suffix=st.sampled_from([".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet"]))
def test_any_bytes_as_a_table_give_a_catalogue_or_a_sentence(tmp_path, data, suffix):
    (tmp_path / f"t{suffix}").write_bytes(data)
    only_a_catalogue_or_a_sentence(tmp_path / f"t{suffix}")


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("image,label\na.jpg,b\nb.jpg,x,y\n", "bad-manifest", "line 3"),
        ("image,image\na.jpg,b.jpg\n", "bad-manifest", "two columns called `image`"),
        ("image,label\n../../../etc/passwd,x\n", "path-escapes", "outside"),
        ("image,label\n/etc/passwd,x\n", "path-escapes", "outside"),
    ],
)
def test_a_bad_line_is_named(tmp_path, text, code, says):
    photo(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(FeatxError) as caught:
        read_catalogue(tmp_path / "t.csv")
    assert caught.value.code == code and says in caught.value.message


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"])
def test_a_table_in_another_encoding_is_read_and_says_which(tmp_path, encoding):
    photo(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_bytes("image,label\na.jpg,Stövel\n".encode(encoding))
    catalogue = read_catalogue(tmp_path / "t.csv")
    assert catalogue.labels == ["Stövel"]
    name = "Windows-1252" if encoding in ("latin-1", "cp1252") else encoding.upper()[:6]
    assert (name in "".join(catalogue.notes)) == (encoding != "utf-8-sig")


@pytest.mark.parametrize(
    "data", [b"image,label\na.jpg,St\x81vel\n", "image,label\na.jpg,Stövel ÄÖÜ ".encode() + b"\xff\n"]
)
def test_a_table_in_no_known_encoding_and_one_of_broken_utf8_are_refused_by_line(tmp_path, data):
    photo(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(FeatxError) as caught:
        read_catalogue(tmp_path / "t.csv")
    assert caught.value.code == "bad-manifest" and "line 2" in caught.value.message


def test_cells_of_ten_megabytes_and_formulas_travel_as_text(workplace):
    photo(workplace / "a.jpg")
    photo(workplace / "b.jpg", seed=1)
    with Path("t.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [["image", "label", "note"], ["a.jpg", "=HYPERLINK(1)", "x" * 10_000_000], ["b.jpg", "@SUM", "-1+1"]]
        )
    store = featx.extract("t.csv", backbone="colour", store="a.h5")
    assert sorted(map(len, store.columns["note"])) == [4, 10_000_000]
    assert sorted(store.labels) == ["=HYPERLINK(1)", "@SUM"]


def test_half_a_character_in_a_table_is_refused_in_words(workplace):
    photo(workplace / "a.jpg")
    Path("t.jsonl").write_text('{"image": "a.jpg", "label": "\\ud800"}\n')
    with pytest.raises(FeatxError) as caught:
        featx.extract("t.jsonl", backbone="colour", store="a.h5")
    assert caught.value.code == "bad-manifest"


MOST_A_ROW = 60
READING = """
import json, resource, sys
from featx.catalogue.reading import read_catalogue
from tests.counting import counted_calls
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with counted_calls() as calls:
    items = read_catalogue(sys.argv[1]).items
cost = {"rows": len(items), "calls": calls.made}
print(json.dumps(cost | {"grown_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before)}))
"""


def read_rows(folder: Path, rows: int) -> dict[str, float]:
    """A table of so many rows, read in a process of its own: how much work and memory that took."""
    photo(folder / "a.jpg")
    with (folder / "t.csv").open("w") as file:
        file.write("id,image,label,price\n")
        file.writelines(f"{i},a.jpg,c{i % 100},{i}\n" for i in range(rows))
    ran = subprocess.run(
        [sys.executable, "-c", READING, str(folder / "t.csv")],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    cost: dict[str, float] = json.loads(ran.stdout)
    assert cost["rows"] == rows
    return cost


@pytest.mark.parametrize(
    ("rows", "megabytes"),
    [(20_000, 50), *(pytest.param(*size, marks=pytest.mark.long) for size in ((100_000, 120), (1_000_000, 900)))],
)
def test_a_long_table_takes_the_same_work_for_each_row_and_little_memory(tmp_path, rows, megabytes):
    costs = read_rows(tmp_path, rows)
    print(json.dumps(costs))
    assert costs["calls"] < MOST_A_ROW * rows and costs["grown_mb"] < megabytes, costs


# --- stores ----------------------------------------------------------------------------------------------------------


def spoilt_store(path: Path, kind: str) -> str:
    with writer(path) as w:
        w.append([row(i) for i in range(3)])
        w.seal()
    with h5py.File(path, "r+") as file:
        if kind == "object references":
            del file["label"]
            file.create_dataset("label", data=np.array([file["path"].ref] * 3, dtype=h5py.ref_dtype))
        elif kind == "pickled attribute":
            file.attrs["fingerprint"] = np.void(b"\x80\x04cos\nsystem\n.")
        elif kind == "features of text":
            del file["features"]
            file["features"] = np.full((3, 4), b"x")
        elif kind == "whole numbers as features":
            del file["features"]
            file["features"] = np.zeros((3, 4), np.int64)
        elif kind == "other shape":
            del file["features"]
            file["features"] = np.zeros((3, 5), np.float32)
        elif kind == "other count":
            del file["id"]
            file["id"] = np.array([b"a", b"b"])
        elif kind == "doubled ids":
            del file["id"]
            file["id"] = np.array([b"a", b"a", b"b"])
        elif kind == "NaN features":
            features = file["features"]
            features[1, 2] = np.nan
        elif kind == "no fingerprint":
            del file.attrs["fingerprint"]
        elif kind == "fingerprint is no object":
            file.attrs["fingerprint"] = np.bytes_(b"[1]")
        elif kind == "fingerprint is no JSON":
            file.attrs["fingerprint"] = np.bytes_(b"{")
        elif kind == "fingerprint without a backbone":
            file.attrs["fingerprint"] = np.bytes_(b'{"width": 4}')
        elif kind == "fingerprint of another width":
            file.attrs["fingerprint"] = np.bytes_(b'{"backbone": "toy", "width": 5}')
        elif kind == "negative count":
            file.attrs["n"] = -3
        elif kind == "zero width":
            file.attrs["width"] = 0
        elif kind == "group instead of data":
            del file["label"]
            file.create_group("label")
        elif kind == "named type":
            file["label2"] = np.dtype("f4")
        elif kind == "deep JSON":
            file.attrs["provenance"] = np.bytes_(b"[" * 50_000)
        elif kind == "provenance is a list":
            file.attrs["provenance"] = np.bytes_(b"[]")
    return kind


SPOILT = ["object references", "pickled attribute", "features of text", "whole numbers as features", "other shape",
          "other count", "doubled ids", "NaN features", "no fingerprint", "fingerprint is no object", "negative count",
          "fingerprint is no JSON", "zero width", "group instead of data", "named type", "deep JSON",
          "provenance is a list", "fingerprint without a backbone", "fingerprint of another width"]  # fmt: skip


@pytest.mark.parametrize("kind", SPOILT)
def test_a_store_with_wrong_things_in_it_is_refused_before_they_are_used(tmp_path, kind):
    path = tmp_path / "a.h5"
    spoilt_store(path, kind)
    with pytest.raises(FeatxError) as caught:
        _ = open_store(path).features
    assert caught.value.code == "store-broken", kind
    with pytest.raises(FeatxError) as caught, writer(path) as w:
        w.append([row(7)])
        w.seal()
    assert caught.value.code == "store-broken", kind


def cut_store(tmp_path: Path, cuts: int) -> int:
    path = tmp_path / "a.h5"
    with writer(path) as w:
        w.append([row(i) for i in range(20)])
        w.seal()
    data, refused = path.read_bytes(), 0
    for cut in sorted({len(data) * i // cuts for i in range(cuts)}):
        path.write_bytes(data[:cut])
        try:
            store = open_store(path)
            assert store.check() == [] and len(store) == 20
        except FeatxError as error:
            assert error.code == "store-broken"
            refused += 1
    return refused


def test_a_store_cut_anywhere_is_refused(tmp_path):
    assert cut_store(tmp_path, 150) >= 149
