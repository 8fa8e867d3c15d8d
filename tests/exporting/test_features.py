"""What is exported is what the store holds, in files other programs read."""

from __future__ import annotations

import csv
import errno
import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from featx.backbones import Fingerprint
from featx.cli.export import export
from featx.errors import FeatxError
from featx.exporting import features as exporting
from featx.exporting.features import FORMATS, export_store, format_of
from featx.files.cells import safe_cell
from featx.store import Store, open_store
from tests.conftest import toy_fingerprint


@dataclass
class ToyStore:
    path: Path
    features: np.ndarray
    ids: list[str]
    paths: list[str]
    labels: list[str | None]
    products: list[str | None]
    splits: list[str | None]
    digests: list[str]
    columns: dict[str, list] = field(default_factory=dict)
    fingerprint: Fingerprint = field(default_factory=lambda: toy_fingerprint(3, backbone="colour"))

    @property
    def own_columns(self) -> dict[str, list]:
        return self.columns

    @property
    def width(self) -> int:
        return self.features.shape[1]

    def feature_blocks(self):
        return (self.features[start : start + 1024] for start in range(0, len(self.features), 1024))


def toy(folder: Path, n: int = 5, width: int = 3, **columns: list) -> ToyStore:
    rng = np.random.default_rng(0)
    return ToyStore(
        folder / "toy.h5",
        rng.normal(size=(n, width)).astype(np.float32),
        [f"sku{i}" for i in range(n)],
        [f"data/boots/sku{i}.jpg" for i in range(n)],
        [None if i % 2 else "boots" for i in range(n)],
        [None] * n,
        ["train"] * n,
        [f"{i:064x}" for i in range(n)],
        columns,
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def rows_of(to: str, files: list[Path]) -> tuple[list[str], list[str | None], np.ndarray]:
    """Ids, labels and features, read back with each format's own reader."""
    if to == "npz":
        with np.load(files[0], allow_pickle=False) as archive:
            return archive["id"].tolist(), archive["label"].tolist(), archive["features"]
    if to in ("npy", "csv"):
        rows = read_csv(files[-1])
        width = len([name for name in rows[0] if name.startswith("f")])
        read = np.array([[row[f"f{i}"] for i in range(width)] for row in rows], dtype=np.float32)
        features = np.load(files[0], allow_pickle=False) if to == "npy" else read
        return [row["id"] for row in rows], [row["label"] for row in rows], features
    if to == "jsonl":
        lines = [json.loads(line) for line in files[0].read_bytes().splitlines()]
        features = np.array([line["features"] for line in lines], dtype=np.float32)
        return [line["id"] for line in lines], [line["label"] for line in lines], features
    if to == "parquet":
        pq = pytest.importorskip("pyarrow.parquet")
        table = pq.read_table(files[0])
        features = np.array(table["features"].to_pylist(), dtype=np.float32)
        return table["id"].to_pylist(), table["label"].to_pylist(), features
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(files[0], "numpy") as file:
        about = file.metadata()
        return json.loads(about["id"]), json.loads(about["label"]), file.get_tensor("features")


@pytest.mark.parametrize("block", [2, 4096])
@pytest.mark.parametrize("to", FORMATS)
def test_every_format_gives_back_every_row_exactly(tmp_path, monkeypatch, to, block):
    monkeypatch.setattr(exporting, "BLOCK", block)
    store = toy(tmp_path)
    steps: list[int] = []
    files = export_store(store, to, tmp_path / ("out" if to == "npy" else f"out.{to}"), progress=steps.append)
    ids, labels, features = rows_of(to, files)
    assert ids == store.ids
    assert [label or None for label in labels] == store.labels
    assert np.array_equal(features, store.features)
    assert steps[-1] == 5
    assert not list(tmp_path.rglob("*.tmp"))


def test_features_are_never_all_in_memory(tmp_path, monkeypatch, colour_shop):
    wanted = colour_shop.features
    fresh = open_store(colour_shop.path)
    monkeypatch.setattr(Store, "all_views", None)
    monkeypatch.setattr(exporting, "BLOCK", 1)
    assert np.array_equal(np.load(export_store(fresh, "npz", tmp_path / "all.npz")[0])["features"], wanted)


@pytest.mark.parametrize("to", FORMATS)
def test_an_empty_store_makes_a_readable_file(tmp_path, to):
    files = export_store(toy(tmp_path, n=0), to, tmp_path / ("out" if to == "npy" else f"out.{to}"))
    assert all(file.exists() for file in files)
    if to == "npz":
        assert np.load(files[0], allow_pickle=False)["features"].shape == (0, 3)


def test_features_are_named_like_the_store_when_no_file_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export_store(toy(tmp_path), "csv") == [Path("toy.csv")]
    assert export_store(toy(tmp_path), "npy") == [Path("toy-features/features.npy"), Path("toy-features/items.csv")]
    assert export_store(toy(tmp_path), "npy", Path("x.npy")) == [Path("x.npy"), Path("x.csv")]


def test_other_columns_travel_with_their_types(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    store = toy(
        tmp_path, 2, price=[9.5, None], stock=[3, -4], sale=[True, False], note=["=1+1", None], mixed=[1, "two"]
    )
    table = pq.read_table(export_store(store, "parquet", tmp_path / "a.parquet")[0])
    assert table["price"].to_pylist() == [9.5, None]
    assert table["stock"].to_pylist() == [3, -4]
    assert table["sale"].to_pylist() == [True, False]
    assert table["note"].to_pylist() == ["=1+1", None]
    assert table["mixed"].to_pylist() == ["1", "two"]
    archive = np.load(export_store(store, "npz", tmp_path / "a.npz")[0], allow_pickle=False)
    assert archive["stock"].tolist() == [3, -4]
    assert archive["sale"].dtype == bool
    assert np.isnan(archive["price"][1])
    assert json.loads(str(archive["fingerprint"]))["backbone"] == "colour"
    rows = read_csv(export_store(store, "csv", tmp_path / "a.csv")[0])
    assert [row["stock"] for row in rows] == ["3", "-4"]
    assert rows[0]["note"] == "'=1+1"
    assert "f0" in rows[0]
    assert "f0" not in read_csv(export_store(store, "npy", tmp_path / "b")[1])[0]


def test_a_column_that_has_a_taken_name_keeps_its_values(tmp_path):
    store = toy(tmp_path, 1, label=["theirs"], f1=["x"], features=["y"])
    line = json.loads(export_store(store, "jsonl", tmp_path / "a.jsonl")[0].read_text())
    assert line["label"] == "boots"
    assert (line["label_"], line["f1_"], line["features_"]) == ("theirs", "x", "y")


PAYLOADS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|'/c calc'!A0"]


@pytest.mark.parametrize("to", ["csv", "npy"])
def test_no_cell_of_a_csv_is_a_formula(tmp_path, to):
    n = len(PAYLOADS)
    store = toy(tmp_path, n)
    store.ids = store.paths = store.labels = store.products = store.splits = PAYLOADS
    store.columns = dict.fromkeys(PAYLOADS, PAYLOADS)
    file = export_store(store, to, tmp_path / "out.csv" if to == "csv" else tmp_path / "out")[-1]
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.reader(lines))
    text = 6 + n
    for row in rows:
        assert not [cell for cell in row[:text] if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


@given(st.text())
def test_a_safe_cell_never_begins_like_a_formula_and_keeps_its_text(text):
    shown = safe_cell(text)
    assert isinstance(shown, str)
    assert not shown.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert shown.removeprefix("'") == text or shown == text


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0")), min_size=1, max_size=4), st.sampled_from(FORMATS))
def test_any_name_survives_every_format(names, to):
    with tempfile.TemporaryDirectory() as folder:
        store = toy(Path(folder), len(names))
        store.ids = names
        files = export_store(store, to, Path(folder) / ("out" if to == "npy" else f"out.{to}"))
        ids, _, features = rows_of(to, files)
    want = [safe_cell(name) for name in names] if to in ("csv", "npy") else names
    assert ids == [str(name).encode("utf-8", "backslashreplace").decode() for name in want]
    assert np.array_equal(features, store.features)


@pytest.mark.parametrize("to", FORMATS)
def test_a_file_name_that_is_no_utf8_ends_no_export(tmp_path, to):
    store = toy(tmp_path, 1)
    store.paths = ["data/caf\udce9.jpg"]
    assert export_store(store, to, tmp_path / ("out" if to == "npy" else f"out.{to}"))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3))
def test_decimals_give_back_the_same_floats(numbers):
    with tempfile.TemporaryDirectory() as folder:
        store = toy(Path(folder), 1)
        store.features = np.array([numbers], dtype=np.float32)
        for to in ("csv", "jsonl"):
            _, _, read = rows_of(to, export_store(store, to, Path(folder) / f"out.{to}"))
            assert np.array_equal(read, store.features)


@pytest.mark.parametrize("to", FORMATS)
def test_a_file_that_is_there_is_replaced_only_when_asked(tmp_path, to):
    output = tmp_path / ("out" if to == "npy" else f"out.{to}")
    first = export_store(toy(tmp_path), to, output)
    before = first[-1].read_bytes()
    with pytest.raises(FeatxError, match="already exists") as caught:
        export_store(toy(tmp_path, 2), to, output)
    assert "--force" in caught.value.hint
    assert first[-1].read_bytes() == before
    assert len(rows_of(to, export_store(toy(tmp_path, 2), to, output, force=True))[0]) == 2


def test_whoever_reads_the_old_file_meanwhile_reads_it_whole(tmp_path):
    old = export_store(toy(tmp_path), "npz", tmp_path / "a.npz")[0]
    before = old.read_bytes()
    with old.open("rb") as reader:
        export_store(toy(tmp_path, 2), "npz", old, force=True)
        assert reader.read() == before


def test_the_store_itself_is_never_replaced(tmp_path):
    store = toy(tmp_path)
    store.path.write_bytes(b"precious")
    with pytest.raises(FeatxError, match="the store itself"):
        export_store(store, "csv", store.path, force=True)
    assert store.path.read_bytes() == b"precious"


@pytest.mark.parametrize("to", FORMATS)
def test_an_export_that_breaks_leaves_nothing_and_harms_nothing(tmp_path, monkeypatch, to):
    monkeypatch.setattr(exporting, "BLOCK", 2)
    output = tmp_path / ("out" if to == "npy" else f"out.{to}")
    files = export_store(toy(tmp_path), to, output)
    before = [file.read_bytes() for file in files]

    def full(done: int) -> None:
        if done > 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(FeatxError) as caught:
        export_store(toy(tmp_path, 9), to, output, force=True, progress=full)
    assert caught.value.code == "disk-full"
    assert [file.read_bytes() for file in files] == before
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FeatxError) as caught:
        export_store(toy(tmp_path), "csv", tmp_path / "file" / "out.csv")
    assert caught.value.code == "no-permission"
    with pytest.raises(FeatxError, match="is a folder"):
        export_store(toy(tmp_path), "csv", tmp_path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FeatxError, match="pyarrow") as caught:
        export_store(toy(tmp_path), "parquet", tmp_path / "a.parquet")
    assert caught.value.code == "extra-missing"
    assert "featx[parquet]" in caught.value.hint
    assert not (tmp_path / "a.parquet").exists()


def test_features_that_are_no_numbers_are_not_written_as_text(tmp_path):
    store = toy(tmp_path)
    store.features[3, 1] = np.inf
    for to in ("csv", "jsonl"):
        with pytest.raises(FeatxError, match="not numbers"):
            export_store(store, to, tmp_path / f"out.{to}")
    assert not list(tmp_path.glob("out*"))


def test_the_format_is_read_from_the_flag_or_the_files_ending():
    assert format_of("npz", Path("a.csv")) == "npz"
    assert format_of(None, Path("a.CSV")) == "csv"
    for to, output in ((None, None), (None, Path("a.xlsx")), ("xlsx", None)):
        with pytest.raises(FeatxError) as caught:
            format_of(to, output)
        assert caught.value.code == "bad-flag"
        assert "parquet" in caught.value.hint


@pytest.fixture
def typed(tmp_path, monkeypatch):
    class Opened(ToyStore):
        def __len__(self) -> int:
            return len(self.ids)

    toy_store = toy(tmp_path)
    opened = Opened(**vars(toy_store))
    monkeypatch.setattr("featx.store.open_store", lambda path, blocks: opened)
    monkeypatch.setattr("featx.cli.export.store_in_use", lambda store, out: toy_store.path)
    monkeypatch.chdir(tmp_path)
    app = Typer()
    app.command()(export)

    def run(*words: str):
        result = CliRunner().invoke(app, words)
        if isinstance(result.exception, FeatxError):
            raise result.exception
        return result

    return run


def test_the_command_writes_the_file_and_keeps_stdout_clean(typed, tmp_path):
    result = typed("-o", "features.csv")
    assert result.stdout == ""
    assert "wrote 5 rows to features.csv" in result.stderr
    assert len(read_csv(tmp_path / "features.csv")) == 5


def test_the_command_tells_programs_what_it_wrote(typed):
    shown = json.loads(typed("--to", "npy", "--json").stdout)
    assert shown == {"rows": 5, "format": "npy", "files": ["toy-features/features.npy", "toy-features/items.csv"]}


def test_the_command_asks_for_a_format(typed):
    with pytest.raises(FeatxError, match="no format was named"):
        typed()
    with pytest.raises(FeatxError, match="does not write `xlsx`"):
        typed("--to", "xlsx")


def test_a_real_store_is_exported_with_and_without_its_unsealed_rows(tmp_path):
    store_module = pytest.importorskip("featx.store")
    source = toy(tmp_path, 4)
    path = tmp_path / "real.h5"
    rows = [
        store_module.Row(
            source.ids[i], source.paths[i], source.digests[i], source.labels[i], None, "train", {"price": i - 2}, values
        )
        for i, values in enumerate(source.features)
    ]
    with store_module.StoreWriter.open(path, toy_fingerprint(3, backbone="colour")) as writer:
        writer.append(rows[:2])
        writer.seal()
        writer.append(rows[2:])
    store = store_module.open_store(path)
    for to in FORMATS:
        files = export_store(store, to, tmp_path / ("out" if to == "npy" else f"out.{to}"))
        ids, labels, features = rows_of(to, files)
        assert ids == source.ids
        assert [label or None for label in labels] == source.labels
        assert np.array_equal(features, source.features)
    assert [row["price"] for row in read_csv(tmp_path / "out.csv")] == ["-2", "-1", "0", "1"]
