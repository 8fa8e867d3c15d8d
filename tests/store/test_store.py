"""The store keeps what it said it kept: kills, cut files, flipped bits, full disks, hostile files, two writers."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featx.catalogue.items import Item, Skipped
from featx.errors import FeatxError
from featx.store import Row, StoreWriter, ensure_room, open_store
from featx.store.in_memory import store_in_memory
from featx.workspace import is_store
from tests.conftest import toy_fingerprint

ROOT = Path(__file__).resolve().parents[2]
MAKING = toy_fingerprint(4)


def vector(i: int, width: int = 4) -> np.ndarray:
    return np.random.default_rng(i).random(width, dtype=np.float32)


def row(i: int, **facts: object) -> Row:
    fields = {"item_id": f"i{i}", "path": f"p/{i}.jpg", "digest": f"{i:064x}", "label": f"l{i % 3}", "product": None}
    fields |= {"split": None, "extra": {}, "features": vector(i)}
    return Row(**{**fields, **facts})  # type: ignore[arg-type]


def writer(path: Path, **options: object) -> StoreWriter:
    return StoreWriter.open(path, MAKING, **{"provenance": {"source": "x"}, **options})  # type: ignore[arg-type]


def test_rows_in_memory_are_not_copied_and_cannot_be_changed_through_the_store():
    rows = np.stack([vector(i) for i in range(1, 4)])
    store = store_in_memory("x.h5", [row(i).item for i in range(1, 4)], rows, MAKING, {})
    assert np.shares_memory(store.features, rows) and (store.features == rows).all()
    with pytest.raises(ValueError, match="read-only"):
        store.features[0] = 0
    rows[0] = 1  # who made them may
    assert (np.concatenate(list(store.feature_blocks())) == rows).all()


def held(path: Path) -> dict[str, tuple[object, bytes]]:
    store = open_store(path)
    return {known.item_id: (known, store.features[i].tobytes()) for i, known in enumerate(store.known().values())}


def expected(rows: list[Row]) -> dict[str, tuple[object, bytes]]:
    return {row.item_id: (row.item, row.features.tobytes()) for row in rows}


def datasets(path: Path) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, node: contents.update({name: node[()].tobytes()}) if isinstance(node, h5py.Dataset) else None
        )
    return contents


# --- what is written is what is read ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("sealing_process")
def test_every_fact_survives_sealing_and_missing_is_not_empty(tmp_path):
    rows = [
        row(0, label="", product="P", split="train", path="odd\udcff name\n.jpg"),
        row(1, label=None, extra={"price": 3, "tag": None, "new": True, "note": "é", "mixed": 1}),
        row(2, extra={"price": 9, "x/y": 2.5, "mixed": "1", "..": 1, "": "empty name", "big": 2**80}),
    ]
    with writer(tmp_path / "a.h5") as w:
        w.append(rows)
        w.note_skipped([Skipped("bad.jpg", "truncated", "half", 12, 34)])
        assert held(tmp_path / "a.h5") == expected(rows)
        w.seal()
    assert held(tmp_path / "a.h5") == expected(rows)
    store = open_store(tmp_path / "a.h5")
    assert store.labels == ["", None, "l2"] and store.check() == [] and store.unsealed == 0
    assert store.known_skipped()["bad.jpg"].mtime_ns == 34
    assert isinstance(store.features_map(), np.memmap) and np.array_equal(store.features_map(), store.features)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "a.h5.lock", "a.json"]


def test_plain_h5py_reads_the_store(tmp_path):
    with writer(tmp_path / "a.h5") as w:
        w.append([row(i) for i in range(5)])
        w.seal()
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["features"].shape == (5, 4) and file["features"].chunks is None
        assert file["path"].asstr()[2] == "p/2.jpg"
        assert file.attrs["schema_version"] == 1


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_views_and_number_formats(tmp_path, dtype):
    features = np.random.default_rng(0).random((3, 4), dtype=np.float32)
    with StoreWriter.open(tmp_path / "a.h5", toy_fingerprint(4, views=3), dtype=dtype) as w:
        w.append([row(0, features=features)])
        w.seal()
    store = open_store(tmp_path / "a.h5")
    assert store.all_views.shape == (1, 3, 4) and store.dtype == dtype
    np.testing.assert_array_equal(store.all_views[0], features.astype(dtype).astype(np.float32))
    np.testing.assert_array_equal(store.features[0], store.all_views[0, 0])
    np.testing.assert_array_equal(np.concatenate(list(store.feature_blocks())), store.features)


def test_features_of_a_known_digest_are_copied_before_and_after_sealing(tmp_path):
    with writer(tmp_path / "a.h5") as w:
        w.append([row(i) for i in range(3)])
        assert np.array_equal(w.copy_features(f"{1:064x}"), vector(1))
        w.seal()
        assert np.array_equal(w.copy_features(f"{1:064x}"), vector(1)) and f"{1:064x}" in w.digests()


def test_features_that_are_not_finite_are_refused_by_name(tmp_path):
    for bad, dtype in ((np.nan, "float32"), (np.inf, "float32"), (1e6, "float16")):
        with writer(tmp_path / f"{bad}.h5", dtype=dtype) as w:
            with pytest.raises(FeatxError, match=r"p/1\.jpg"):
                w.append([row(0), row(1, features=np.full(4, bad, dtype=np.float32))])
            assert not w.known()


@pytest.mark.usefixtures("sealing_process")
def test_an_interrupted_run_ends_with_the_bytes_of_an_uninterrupted_one(tmp_path):
    order = [f"i{i}" for i in range(2500)]
    with writer(tmp_path / "whole.h5") as w:
        w.append([row(i) for i in range(2500)])
        w.seal(order=order)
    for part in (range(2000, 2500), range(700), range(700, 2000)):
        with writer(tmp_path / "parts.h5") as w:
            w.append([row(i) for i in part])
            w.update([Item(f"i{part[0]}", "other", "else")])
            w.update([Item(f"i{i}", f"p/{i}.jpg", f"l{i % 3}") for i in part[:1]])
    with writer(tmp_path / "parts.h5") as w:
        assert w.recovered == 1300
        w.seal(order=order)
    assert datasets(tmp_path / "whole.h5") == datasets(tmp_path / "parts.h5")


def test_what_a_killed_writer_left_of_the_card_is_gone_after_the_next_run(tmp_path):
    for name in (".a.json.123.abcdef.new", ".a.h5.123.abcdef.new"):
        (tmp_path / name).write_bytes(b"half of it")
    with writer(tmp_path / "a.h5") as w:
        w.append([row(0)])
        w.seal()
    assert not list(tmp_path.glob("*.new"))


def test_sealing_an_unchanged_store_leaves_the_file_alone(tmp_path):
    with writer(tmp_path / "a.h5") as w:
        w.append([row(0)])
        w.seal()
    before = (tmp_path / "a.h5").stat()
    with writer(tmp_path / "a.h5") as w:
        w.seal(order=["i0"])
    assert (tmp_path / "a.h5").stat().st_ino == before.st_ino


TEXT = st.text(st.characters(exclude_characters="\0"), max_size=5)
VALUE = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT)
STEP = st.one_of(
    st.tuples(st.just("append"), st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 99)),
    st.tuples(st.just("update"), st.integers(0, 9), st.dictionaries(TEXT, VALUE, max_size=2)),
    st.tuples(st.just("remove"), st.lists(st.integers(0, 9), max_size=3), st.none()),
    st.tuples(st.just("rename"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.sampled_from(["seal", "reopen"]), st.none(), st.none()),
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, max_size=10))
def test_a_store_is_a_dictionary_whatever_is_done_to_it(steps):
    folder = Path(tempfile.mkdtemp())
    path, model = folder / "a.h5", {}
    w = writer(path)
    try:
        for what, a, b in steps:
            if what == "append":
                rows = [row(i, digest=f"{b}-{i}", features=vector(b + i)) for i in dict.fromkeys(a)]
                w.append(rows)
                model |= expected(rows)
            elif what == "update" and f"i{a}" in model:
                known, features = model[f"i{a}"]
                fresh = Item(known.item_id, "new", None, "", "s", b, digest=known.digest)
                w.update([fresh])
                model[f"i{a}"] = (fresh, features)
            elif what == "remove":
                w.remove([f"i{i}" for i in a])
                model = {k: v for k, v in model.items() if k not in {f"i{i}" for i in a}}
            elif what == "rename" and f"i{a}" in model and a != b:
                w.rename({f"i{a}": f"i{b}"})
                known, features = model.pop(f"i{a}")
                model[f"i{b}"] = (replace(known, item_id=f"i{b}"), features)
            elif what == "seal":
                w.seal(order=sorted(model))
            elif what == "reopen":
                w.close()
                w = writer(path)
            if path.exists() or log_of(path).exists():
                assert held(path) == model
    finally:
        w.close()
        shutil.rmtree(folder)


def log_of(path: Path) -> Path:
    return path.with_name(path.name + ".journal")


# --- kills, cuts, flips ----------------------------------------------------------------------------------------------

KILLED = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from tests.store.test_store import row, writer
with writer(Path({path!r})) as w:
    start = len(w.known())
    for i in range(start, start + 4000, 2):
        w.append([row(i), row(i + 1)])
        print(i + 1, flush=True)
        if i % 60 == 58:
            w.seal()
"""


def kill_often(tmp_path: Path, kills: int, seed: int) -> None:
    path = tmp_path / "a.h5"
    code = KILLED.format(root=str(ROOT), tests=str(ROOT / "tests"), path=str(path))
    chance = random.Random(seed)
    reported = -1
    for _ in range(kills):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.random() * 0.25)  # any moment will do
        process.send_signal(signal.SIGKILL)
        lines = [first, *process.stdout.read().split("\n")]
        process.wait()
        process.stdout.close()
        reported = max([reported, *(int(line) for line in lines if line.strip())])
        kept = held(path)
        assert len(kept) >= reported + 1
        assert kept == expected([row(i) for i in range(len(kept))])


def test_a_killed_writer_loses_nothing_it_reported(tmp_path):
    kill_often(tmp_path, 3, seed=1)


@pytest.mark.long
def test_a_thousand_kills_lose_nothing(tmp_path):
    for i in range(40):
        (tmp_path / str(i)).mkdir()
        kill_often(tmp_path / str(i), 25, seed=i)


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.long)])
def test_a_journal_cut_at_any_byte_gives_every_committed_row(tmp_path, every):
    path = tmp_path / "a.h5"
    with writer(path) as w:
        w.append([row(100)])
        w.seal()
        ends, states = [], []
        for change in (
            lambda: w.append([row(0, digest="a"), row(1, digest="b")]),
            lambda: w.update([Item("i0", "new")]),
            lambda: w.remove(["i1"]),
        ):
            change()
            ends.append(log_of(path).stat().st_size)
            states.append(held(path))
    data = log_of(path).read_bytes()
    before = expected([row(100)])
    edges = {end + by for end in ends for by in (-1, 0, 1)} - {len(data) + 1}
    for cut in sorted({*range(0, len(data) + 1, every), *edges}):
        log_of(path).write_bytes(data[:cut])
        whole = [state for end, state in zip(ends, states, strict=True) if end <= cut]
        assert held(path) == (whole[-1] if whole else before), cut
    log_of(path).write_bytes(data[: ends[0] + 9])
    with writer(path) as w:
        w.append([row(7)])
        w.seal()
    assert held(path) == {**states[0], **expected([row(7)])}


def flips(path: Path, victim: Path, count: int, seed: int) -> None:
    before = held(path)
    data = victim.read_bytes()
    chance = random.Random(seed)
    for _ in range(count):
        at, bit = chance.randrange(len(data)), chance.randrange(8)
        spoilt = bytearray(data)
        spoilt[at] ^= 1 << bit
        victim.write_bytes(spoilt)
        try:
            store = open_store(path)
            damage, after = store.check(), None
            after = held(path)
        except FeatxError as error:
            assert error.code in ("store-broken", "store-newer"), error
            continue
        assert damage or after == before, f"byte {at} bit {bit} changed the store silently"
    victim.write_bytes(data)


def flipped(tmp_path: Path, count: int) -> None:
    path = tmp_path / "a.h5"
    with writer(path) as w:
        w.append([row(i, extra={"n": i, "t": str(i)}) for i in range(30)])
        w.seal()
        flips(path, path, count, 1)
        for i in range(4):
            w.append([row(40 + i)])
    flips(path, log_of(path), count, 2)


def test_no_flipped_bit_is_silent(tmp_path):
    flipped(tmp_path, 60)


@pytest.mark.long
def test_no_flipped_bit_of_many_is_silent(tmp_path):
    flipped(tmp_path, 10_000)


# --- disks and systems that fail -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("sealing_process")
@pytest.mark.parametrize("few", [True, pytest.param(False, marks=pytest.mark.long)])
@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync", "replace", "ftruncate"])
def test_any_failing_system_call_loses_no_reported_row(tmp_path, monkeypatch, call, few):
    real = getattr(os, call)
    for n in (1, 3) if few else range(1, 9):
        path = tmp_path / f"{n}.h5"
        reported: list[Row] = []
        left = [n]

        def failing(*args: object, left: list[int] = left, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **named)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                with writer(path) as w:
                    for i in range(0, 4, 2):
                        w.append([row(i), row(i + 1)])
                        reported += [row(i), row(i + 1)]
                    w.seal()
            except FeatxError as error:
                assert error.code == "disk-full" and f"{len(reported)} photos are saved" in error.hint
        if reported:
            assert held(path) == expected(reported)
        with writer(path) as w:
            w.append([row(9)])
            w.seal()
        assert held(path) == expected([*reported, row(9)])


@pytest.mark.usefixtures("sealing_process")
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_keeps_every_reported_row(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        reported = []
        with pytest.raises(FeatxError) as caught, StoreWriter.open(disk / "a.h5", MAKING) as w:
            for i in range(100_000):
                w.append([row(j) for j in range(32 * i, 32 * i + 32)])
                reported = list(w.known())
        assert caught.value.code == "disk-full" and f"{len(reported):,} photos are saved" in caught.value.hint
        assert list(open_store(disk / "a.h5").ids) == reported
        with pytest.raises(FeatxError) as caught:
            StoreWriter.open(disk / "a.h5", MAKING)
        assert caught.value.code == "disk-full"
        assert list(open_store(disk / "a.h5").ids) == reported
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def test_room_is_asked_for_before_the_work_begins(tmp_path):
    ensure_room(tmp_path / "new" / "a.h5", 10, 4)
    with pytest.raises(FeatxError, match="the disk is full") as caught:
        ensure_room(tmp_path / "a.h5", 10**12, 2048)
    assert caught.value.code == "disk-full"


# --- others ----------------------------------------------------------------------------------------------------------


def test_a_second_writer_is_refused_by_name_and_readers_are_not(tmp_path):
    path = tmp_path / "a.h5"
    with writer(path) as w:
        w.append([row(0)])
        with pytest.raises(FeatxError, match=str(os.getpid())) as caught:
            writer(path)
        assert caught.value.code == "store-busy" and len(open_store(path)) == 1
    writer(path).close()


@pytest.mark.long
def test_a_reader_sees_whole_batches_while_a_writer_seals(tmp_path):
    path = tmp_path / "a.h5"
    code = KILLED.format(root=str(ROOT), tests=str(ROOT / "tests"), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", code.replace("% 60 == 58", "% 6 == 4")], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        seen, looks = 0, 0
        while looks < 40 or seen <= 6:
            kept = held(path)
            assert len(kept) >= seen and len(kept) % 2 == 0
            assert kept == expected([row(i) for i in range(len(kept))])
            seen, looks = len(kept), looks + 1
            assert process.poll() is None or seen > 6, "the writer ended by itself"
    finally:
        process.kill()
        process.communicate()


def test_a_store_sealed_while_it_is_looked_for_is_found(tmp_path, monkeypatch):
    path, look = tmp_path / "a.h5", Path.exists
    with writer(path) as w:
        w.append([row(0)])
        sealed: list[bool] = []

        def look_and_seal(where: Path) -> bool:
            found = look(where)
            if not sealed:
                sealed.append(True)
                w.seal()
            return found

        monkeypatch.setattr(Path, "exists", look_and_seal)
        assert is_store(path)
    assert sealed


def test_a_photo_that_became_usable_is_no_longer_listed_as_skipped(tmp_path):
    with writer(tmp_path / "a.h5") as w:
        w.note_skipped([Skipped("p/0.jpg", "truncated")])
        w.append([row(0)])
        w.seal()
    assert not open_store(tmp_path / "a.h5").known_skipped()


def test_a_store_of_another_making_is_refused(tmp_path):
    with writer(tmp_path / "a.h5") as w:
        w.append([row(0)])
    with pytest.raises(FeatxError, match="toy") as caught:
        StoreWriter.open(tmp_path / "a.h5", toy_fingerprint(4, backbone="other"))
    assert caught.value.code == "other-backbone"


def test_a_journal_that_was_already_sealed_is_not_applied_twice(tmp_path):
    path = tmp_path / "a.h5"
    with writer(path) as w:
        w.append([row(0)])
        w.rename({"i0": "i1"})
        w.append([row(0)])
        stale = log_of(path).read_bytes()
        w.seal()
    before = held(path)
    log_of(path).write_bytes(stale)
    assert held(path) == before
    writer(path).close()
    assert held(path) == before and not log_of(path).exists()


def hostile(path: Path, kind: str, secret: Path) -> str:
    with h5py.File(path, "r+") as file:
        if kind == "external link":
            del file["label"]
            file["label"] = h5py.ExternalLink(str(secret), "/x")
        elif kind == "soft link":
            del file["label"]
            file["label"] = h5py.SoftLink("/path")
        elif kind == "external storage":
            del file["features"]
            file.create_dataset("features", (3, 4), "f4", external=[(str(secret), 0, 48)])
        elif kind == "virtual":
            del file["features"]
            layout = h5py.VirtualLayout((3, 4), "f4")
            layout[:] = h5py.VirtualSource(str(secret), "x", (3, 4))
            file.create_virtual_dataset("features", layout)
        elif kind == "variable-length text":
            del file["path"]
            file.create_dataset("path", data=["a", "b", "c"], dtype=h5py.string_dtype())
        elif kind == "variable-length attribute":
            file.attrs["fingerprint"] = "{}"
        elif kind == "huge":
            del file["id"]
            file.create_dataset("id", (10**12,), "S8", chunks=(1024,))
        elif kind == "huge chunk":
            del file["id"]
            file.create_dataset("id", (3,), "S8", chunks=(10**8,), maxshape=(None,))
        elif kind == "newer":
            file.attrs["schema_version"] = 2
    return "store-newer" if kind == "newer" else "store-broken"


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "virtual", "variable-length text",
                                  "variable-length attribute", "huge", "huge chunk", "newer"])  # fmt: skip
def test_a_file_that_could_harm_its_reader_is_refused(tmp_path, kind):
    path, secret = tmp_path / "a.h5", tmp_path / "secret"
    secret.write_bytes(b"x" * 100)
    with writer(path) as w:
        w.append([row(i) for i in range(3)])
        w.seal()
    code = hostile(path, kind, secret)
    for opened in (open_store, writer):
        with pytest.raises(FeatxError) as caught:
            opened(path)
        assert caught.value.code == code


def test_what_is_no_store_is_refused_in_words(tmp_path):
    path = tmp_path / "a.h5"
    with writer(path) as w:
        w.append([row(i) for i in range(3)])
        w.seal()
    data = path.read_bytes()
    with h5py.File(tmp_path / "foreign", "w") as file:
        file["x"] = [1]
    for spoilt in (b"", b"not hdf5", data[: len(data) // 2], data[:-1], (tmp_path / "foreign").read_bytes()):
        path.write_bytes(spoilt)
        with pytest.raises(FeatxError) as caught:
            open_store(path)
        assert caught.value.code == "store-broken"
