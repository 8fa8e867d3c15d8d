"""Files that are small and ask for much, and numbers that are none: a sentence, soon, in little memory."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from featx.backbones.weights import load_state_dict
from featx.catalogue.reading import read_catalogue
from featx.catalogue.tables import read_table
from featx.classifiers.fit import fit
from featx.errors import FeatxError
from featx.extraction import extract
from featx.retrieval import SimilarityIndex
from featx.retrieval.cache import cache_of, open_cached, write_cache
from featx.retrieval.rows import IndexRows
from featx.store import open_store
from featx.store.sealed_file import BLOCK
from tests.conftest import photo
from tests.counting import counted_calls
from tests.store.test_store import row, writer

SQUEEZED = {"maxshape": (None,), "compression": "gzip", "compression_opts": 1, "fletcher32": True}


@pytest.fixture
def sealed(tmp_path) -> Path:
    with writer(tmp_path / "a.h5") as w:
        w.append([row(i) for i in range(12)])
        w.seal()
    return tmp_path / "a.h5"


def never_filled(file: h5py.File) -> None:
    for name in ("path", "reason", "detail"):
        del file["skipped"][name]
        file["skipped"].create_dataset(name, shape=(80_000_000,), dtype="S1", chunks=(1 << 20,), **SQUEEZED)


def many_names(file: h5py.File) -> None:
    for number in range(40):
        file["columns"][f"again{number}"] = file["id"]


def too_many(file: h5py.File) -> None:
    for number in range(10_001):
        file["columns"].create_dataset(f"c{number}", data=np.zeros(12, np.int8))


def lists_in_json(file: h5py.File) -> None:
    text = json.dumps([[]] * 100).encode()
    kind = h5py.string_dtype("utf-8", len(text))
    file["columns"].create_dataset("c", data=np.array([text] * 12, dtype=kind)).attrs["kind"] = np.bytes_(b"json")
    file["columns_state"].create_dataset("c", data=np.ones(12, np.uint8))


def padded(file: h5py.File) -> None:
    kind = h5py.string_dtype("utf-8", 1 << 20)
    for number in range(30):
        name = f"c{number}"
        texts = file["columns"].create_dataset(name, (12,), chunks=(1,), dtype=kind, **SQUEEZED)
        texts.attrs["kind"] = np.bytes_(b"string")
        texts[:] = np.array([b"x"] * 12, dtype=kind)
        file["columns_state"].create_dataset(name, data=np.ones(12, np.uint8))


@pytest.mark.parametrize(
    "change",
    [never_filled, many_names, pytest.param(too_many, marks=pytest.mark.long), lists_in_json, padded],
    ids=lambda change: change.__name__,
)
def test_a_small_store_that_unfolds_to_much_is_refused(sealed, change):
    with h5py.File(sealed, "r+") as file:
        change(file)
    with pytest.raises(FeatxError) as refused:
        open_store(sealed)
    assert refused.value.code == "store-broken"


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=["nan", "inf"])
def test_features_that_are_no_numbers_are_found_though_every_checksum_holds(sealed, value):
    import zlib

    with h5py.File(sealed, "r+") as file:
        features = file["features"][()]
        features[3, 1] = value
        file["features"][()] = features
        file["features_crc32"][0] = zlib.crc32(features[:BLOCK].tobytes())
    store = open_store(sealed)
    for use in (lambda: store.features, lambda: SimilarityIndex(IndexRows.of_store(store)), lambda: fit(store)):
        with pytest.raises(FeatxError, match=r"not (all )?numbers"):
            use()
    assert store.check()


def test_a_nan_in_a_table_is_an_empty_cell_and_the_store_seals_again_and_again(tmp_path):
    for name in ("a", "b"):
        photo(tmp_path / f"{name}.jpg", seed=ord(name))
    lines = [
        {"image": f"{name}.jpg", "label": "x", "weight": value} for name, value in (("a", 1.5), ("b", float("nan")))
    ]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for _ in range(2):
        store = extract(read_catalogue(tmp_path / "list.jsonl"), backbone="colour", store=tmp_path / "s.h5")
        assert list(store.columns["weight"]) == [1.5, None]
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    pandas.DataFrame(lines).to_parquet(tmp_path / "list.parquet")
    assert [item.extra["weight"] for item in read_catalogue(tmp_path / "list.parquet").items] == [1.5, None]


def test_a_nan_that_a_program_stores_is_no_value_and_keeps_no_store_from_sealing(tmp_path):
    with writer(tmp_path / "t.h5") as w:
        w.append([row(0, extra={"weight": float("nan")})])
        w.seal()
    assert list(open_store(tmp_path / "t.h5").columns["weight"]) == [None]


@pytest.mark.parametrize("rows", ['a.jpg,"x\nb.jpg,y\n', 'a.jpg,x\nb.jpg,"y\nand more\n'])
def test_a_quote_that_is_never_closed_swallows_no_rows(tmp_path, rows):
    for name in ("a", "b"):
        photo(tmp_path / f"{name}.jpg", seed=ord(name))
    (tmp_path / "list.csv").write_text("image,label\n" + rows)
    with pytest.raises(FeatxError, match="never closed"):
        read_catalogue(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_text('image,label\na.jpg,x\nb.jpg,"two\nlines"\n')
    assert [item.label for item in read_catalogue(tmp_path / "list.csv").items] == ["x", "two\nlines"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "txt", "jsonl", "ndjson"])
def test_a_table_that_is_a_pipe_or_a_device_keeps_nobody_waiting(tmp_path, kind):
    os.mkfifo(tmp_path / f"pipe.{kind}")
    (tmp_path / f"zero.{kind}").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(FeatxError, match="cannot read"):
            read_table(tmp_path / f"{name}.{kind}")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_table_with_thousands_of_columns_is_refused_at_once(tmp_path, kind):
    photo(tmp_path / "a.jpg", seed=1)
    names = ["image", *(f"c{number}" for number in range(10_000))]
    row = {name: "a.jpg" if name == "image" else "1" for name in names}
    text = json.dumps(row) + "\n" if kind == "jsonl" else ",".join(names) + "\n" + ",".join(row.values()) + "\n"
    (tmp_path / f"list.{kind}").write_text(text)
    with pytest.raises(FeatxError, match="10,001 columns"):
        read_catalogue(tmp_path / f"list.{kind}")


def test_a_hole_of_a_terabyte_at_the_end_of_a_journal_takes_no_time(sealed):
    kept = shutil.copy(sealed, sealed.with_name("b.h5"))
    with writer(sealed) as w:
        w.append([row(50)])
        size = sealed.with_name("a.h5.journal").stat().st_size
    journal = Path(f"{kept}.journal")
    journal.write_bytes(bytes(size))
    try:
        os.truncate(journal, 1 << 40)
    except OSError:
        pytest.skip("this file system has no files with holes")
    with counted_calls() as calls:
        assert len(open_store(kept)) == 12
    assert calls.made < 100_000  # reading a terabyte would take a million reads


def test_a_note_of_what_was_seen_that_is_all_hole_is_not_believed_and_costs_nothing(tmp_path):
    photo(tmp_path / "photos/x/a.jpg", seed=1)
    extract(tmp_path / "photos", backbone="colour", store=tmp_path / "s.h5")
    os.truncate(tmp_path / "s.h5.seen", 1 << 38)
    assert len(extract(tmp_path / "photos", backbone="colour", store=tmp_path / "s.h5")) == 1
    assert (tmp_path / "s.h5.seen").stat().st_size < 10_000


def test_a_search_index_with_brackets_without_end_is_only_made_anew(sealed):
    import zlib

    store = open_store(sealed)
    assert write_cache(store, SimilarityIndex(IndexRows.of_store(store)))
    path = cache_of(sealed)
    whole = path.read_bytes()
    start = whole.index(b"{") - 24
    head = b"[" * 200_000
    path.write_bytes(whole[:start] + f"{len(head):>12}{zlib.crc32(head):>12}".encode() + head)
    assert open_cached(sealed) is None


# --- weights ---------------------------------------------------------------------------------------------------------


def named(tensors: dict[str, dict[str, object]], body: bytes = b"", length: int | None = None) -> bytes:
    head = json.dumps(tensors).encode()
    return (len(head) if length is None else length).to_bytes(8, "little") + head + body


def part(*shape: int, at: tuple[int, int] = (0, 16), kind: str = "F32") -> dict[str, object]:
    return {"dtype": kind, "shape": shape, "data_offsets": at}


ABSURD = {
    "a header longer than any disk": lambda: named({}, length=2**60),
    "a header of a negative length": lambda: named({}, length=2**63 + 5),
    "half a header": lambda: named({}, length=10),
    "two tensors in one place": lambda: named({"a": part(4), "b": part(4, at=(8, 24))}, bytes(24)),
    "a tensor before the file": lambda: named({"a": part(4, at=(-16, 0))}, bytes(16)),
    "a tensor after the file": lambda: named({"a": part(4, at=(16, 32))}, bytes(16)),
    "a shape that overflows": lambda: named({"a": part(2**62, 4, at=(0, 0))}),
    "a shape below nothing": lambda: named({"a": part(-4)}, bytes(16)),
    "numbers of no known kind": lambda: named({"a": part(4, kind="WORDS")}, bytes(16)),
    "brackets without end": lambda: (200_005).to_bytes(8, "little") + b'{"a":' + b"[" * 200_000,
    "a quarter of a million tensors": lambda: named({f"t{i}": part(0, at=(0, 0)) for i in range(250_000)}),
}


@pytest.fixture
def libraries_loaded(tmp_path) -> None:
    """Importing torch takes millions of calls, whichever test is the first to need it."""
    (tmp_path / "good.safetensors").write_bytes(named({"a": part(4)}, bytes(16)))
    assert load_state_dict(tmp_path / "good.safetensors")["a"].shape == (4,)


@pytest.mark.parametrize("how", ABSURD)
def test_weights_that_say_the_absurd_of_themselves_are_refused_at_once(tmp_path, libraries_loaded, how):
    (tmp_path / "w.safetensors").write_bytes(ABSURD[how]())
    with counted_calls() as calls, pytest.raises(FeatxError) as refused:
        load_state_dict(tmp_path / "w.safetensors")
    assert refused.value.code == "weights-broken" and calls.made < 10_000


@pytest.mark.parametrize("how", ["squeezed", "told again and again", "many"])
def test_a_torch_file_unfolds_to_no_more_than_itself(tmp_path, how, monkeypatch):
    import torch

    monkeypatch.setattr("featx.backbones.weights.loading.MOST_NAMES", 1 << 10)
    path, again = tmp_path / "w.pth", tmp_path / "again.pth"
    tensor = torch.zeros(1).expand(1 << 20, 1 << 20) if how == "told again and again" else torch.zeros(1 << 20)
    torch.save({f"a{i}": tensor for i in range(1_000 if how == "many" else 1)}, path)
    if how == "squeezed":
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
        again.replace(path)
    with pytest.raises(FeatxError, match=r"expand beyond|larger than|more tensors"):
        load_state_dict(path)


def test_what_torch_says_of_a_broken_file_is_told_without_its_advice_to_trust_it(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"\x80\x02\x8e" + bytes(20) + b".")
    with pytest.raises(FeatxError) as refused:
        load_state_dict(tmp_path / "w.pth")
    assert "weights_only" not in refused.value.message
