"""Stores of every released format open, now and later; one of a later format is refused before anything is read."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featx.catalogue.items import Item, Skipped
from featx.errors import FeatxError
from featx.store import Row, StoreWriter, open_store, sealed_file
from tests.conftest import toy_fingerprint
from tests.store.test_store import row, writer

KEPT = Path(__file__).parent / "old_stores"
ODD = "photos/odd\udcff name.jpg"
ROWS = [
    Item("a1", "photos/boots/a1.jpg", "boots", "a", "train",
         {"price": 12.5, "stock": 7, "new": True, "note/text": "é", "mixed": 1}, digest="a" * 64),
    Item("Stövel 靴", ODD, "", None, None,
         {"price": None, "stock": -1, "new": False, "note/text": None, "mixed": "one"}, digest="b" * 64),
    Item("c", "photos/c.jpg", None, "a", "test",
         {"price": 3.0, "new": True, "note/text": "x", "mixed": True}, digest="c" * 64),
]  # fmt: skip
WAITING = Item("d", "photos/d.jpg", "hats", None, "train", {"price": 1.0}, digest="d" * 64)
FEATURES = np.array([[1, 0, 0.5], [0, 1, -2], [3.5, 0.25, 1e-6], [0.5, 0.5, 0.5]], dtype=np.float32)


@pytest.fixture(params=["sealed", "with rows that wait"])
def old(request, tmp_path):
    """A copy of the store the first release wrote; its path, and how many rows are in it."""
    path = Path(shutil.copy(KEPT / "format-1.h5", tmp_path / "old.h5"))
    if request.param != "sealed":
        shutil.copy(KEPT / "format-1.h5.journal", tmp_path / "old.h5.journal")
        return path, 4
    return path, 3


def test_there_is_a_kept_store_of_every_format():
    assert sorted(path.name for path in KEPT.glob("*.h5")) == [
        f"format-{n}.h5" for n in range(1, sealed_file.SCHEMA + 1)
    ]


def test_a_store_of_format_1_opens_with_every_fact(old):
    path, n = old
    store = open_store(path)
    assert list(store.known().values()) == [*ROWS, WAITING][:n]
    assert np.array_equal(store.features, FEATURES[:n]) and store.check() == []
    assert store.fingerprint.backbone == "toy" and store.provenance == {"source": "photos"}
    skipped = {"photos/bad.jpg": Skipped("photos/bad.jpg", "truncated", "half of it", 12, 34)}
    if n == 4:
        skipped["photos/e.jpg"] = Skipped("photos/e.jpg", "empty", "", 0, 1)
    assert dict(store.known_skipped()) == skipped


def test_a_store_of_format_1_is_written_on_and_keeps_what_it_held(old):
    path, n = old
    fresh = Row("e", "photos/e2.jpg", "e" * 64, None, None, None, {}, np.ones(3, dtype=np.float32))
    with StoreWriter.open(path, open_store(path).fingerprint) as w:
        w.append([fresh])
        w.seal()
    store = open_store(path)
    assert list(store.known().values())[:n] == [*ROWS, WAITING][:n] and store.ids[-1] == "e"
    assert np.array_equal(store.features[:n], FEATURES[:n])
    with h5py.File(path, "r", locking=False) as file:
        assert file.attrs["schema_version"] == sealed_file.SCHEMA


def test_a_store_of_format_1_answers_commands(old, featx):
    path, n = old
    ran = featx("info", "--store", path.name, "--json")
    assert ran.returncode == 0 and json.loads(ran.stdout)["n"] == n, ran.stderr
    ran = featx("similar", "a1", "--store", path.name, "--json")
    assert ran.returncode == 0, ran.stderr


def newer(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = sealed_file.SCHEMA + 1
        # A later format may have other things in it: nothing beyond the number is looked at.
        del file["label"]
        file["label"] = h5py.SoftLink("/elsewhere")


def framed(*records: tuple[int, object, bytes]) -> bytes:
    """A journal of these frames, every checksum right."""
    frames = []
    for sequence, (kind, record, features) in enumerate(records):
        text = record if isinstance(record, bytes) else json.dumps(record).encode()
        crc = zlib.crc32(text + features)
        front = struct.pack("<4sBxxxQIQI", b"FXJ1", kind, sequence, len(text), len(features), crc)
        frames.append(front + struct.pack("<I", zlib.crc32(front)) + text + features)
    return b"".join(frames)


@pytest.mark.parametrize("what", ["file", "journal", "journal alone"])
def test_a_store_of_a_later_format_is_refused_in_words(old, featx, what):
    path, _ = old
    if what == "file":
        newer(path)
    else:
        path.with_name("old.h5.journal").write_bytes(framed((1, {"schema": 2, "all": "else is unknown"}, b"")))
        if what == "journal alone":
            path.unlink()
    before = {path.name: path.read_bytes() for path in path.parent.iterdir()}
    for opened in (open_store, lambda path: StoreWriter.open(path, toy_fingerprint(3))):
        with pytest.raises(FeatxError) as caught:
            opened(path)
        assert caught.value.code == "store-newer" and "newer featx" in caught.value.message
        assert "upgrade" in caught.value.hint
    for words in (("info",), ("similar", "a1"), ("fit",), ("export", "--to", "npy", "-o", "x.npy")):
        ran = featx(*words, "--store", "old.h5")
        assert ran.returncode == 5 and "newer featx" in ran.stderr and "Traceback" not in ran.stderr, ran.stderr
    assert {name: (path.parent / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("number", [0, -1])
def test_a_format_that_never_was_is_refused(old, number):
    path, _ = old
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = number
    with pytest.raises(FeatxError) as caught:
        open_store(path)
    assert caught.value.code == "store-broken"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
HEAD = {"schema": 1, "journal": "j", "base": "", "fingerprint": {}, "width": 4, "views": 1, "dtype": "float32",
        "provenance": {}}  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    head=ANYTHING | st.builds(lambda key, value: {**HEAD, key: value}, st.sampled_from(sorted(HEAD)), ANYTHING),
    kind=st.integers(0, 9),
    record=ANYTHING | st.lists(st.lists(ANYTHING, min_size=7, max_size=7), max_size=2),
    features=st.binary(max_size=40),
)
def test_a_journal_that_somebody_made_up_is_a_store_or_a_sentence(tmp_path, head, kind, record, features):
    path = tmp_path / "a.h5"
    path.with_name("a.h5.journal").write_bytes(framed((1, head, b""), (kind, record, features)))
    try:
        store = open_store(path)
        assert len(store.features) == len(store)
        assert all(isinstance(text, str) for text in (*store.ids, *store.paths, *store.digests))
    except FeatxError as error:
        assert error.code in ("store-broken", "store-newer")


def test_a_journal_of_nested_brackets_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    for frames in ([(1, b"[" * 100_000, b"")], [(1, HEAD, b""), (2, b"[" * 100_000, b"")]):
        path.with_name("a.h5.journal").write_bytes(framed(*frames))
        with pytest.raises(FeatxError) as caught:
            open_store(path)
        assert caught.value.code == "store-broken"
    path.with_name("a.h5.journal").unlink()
    with writer(path) as w:
        w.append([row(1)])
    assert len(open_store(path)) == 1
