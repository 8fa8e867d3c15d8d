"""`featx read`, and its text in `info`, `similar` and `export`; a stranger's text is harmless in all of them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from featx.retrieval.query import open_index
from featx.text.reading import read_store
from tests.text.readers import ListReader, by_shade, shaded

STORE = ("--store", "store.h5")


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> ListReader:
    """The reader that commands open."""
    reader = ListReader(by_shade)
    for place in ("reading", "reader", "loose_photos"):
        monkeypatch.setattr(f"featx.text.{place}.open_reader", lambda looks=1: reader)
    return reader


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_read_says_on_how_many_photos_there_is_text(featx, shades, reader):
    ran = featx("read", *STORE)
    assert ran.returncode == 0 and "text on 4 of 6 photos" in ran.stderr and "store.h5.text" in ran.stderr
    assert "nothing new" in featx("read", "store.h5").stderr
    report = json.loads(featx("read", *STORE, "--json", "--force").stdout)
    assert (report["read"], report["with_text"], report["unread"]) == (5, 4, [])


def test_photos_in_no_store_are_read_and_printed(featx, shades, reader, tmp_path):
    shaded(tmp_path / "new" / "a.png", 60)
    (answer,) = lines(featx("read", "new/a.png", "--json").stdout)
    assert "no photo at `new/b.png`" in featx("read", "new/b.png").stderr
    assert answer["text"] == "GRÄDDFIL" and answer["lines"] == [["GRÄDDFIL", 0.9, 1, 2, 30, 14]]
    assert featx("read", "new").stdout.rstrip().endswith("GRÄDDFIL")


def test_extract_reads_where_it_is_told_to(featx, shades, reader, tmp_path):
    shaded(tmp_path / "photos" / "a.png", 10)
    ran = featx("extract", "photos", "-b", "colour", "--store", "new.h5", "--read", "auto", "--json")
    assert json.loads(ran.stdout)["text"]["with_text"] == 1
    assert "text" not in json.loads(featx("extract", "photos", "--store", "new.h5", "--json").stdout)


@pytest.mark.parametrize("words", [("photos", "--read"), ("--read", "photos"), ("--read", "all", "photos")])
def test_read_without_a_value_reads_all(featx, shades, reader, tmp_path, words):
    shaded(tmp_path / "photos" / "a.png", 10)
    ran = featx("extract", *words, "-b", "colour", "--store", "new.h5", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["text"]["with_text"] == 1


def test_an_odd_value_of_read_is_refused_by_name(featx, tmp_path):
    shaded(tmp_path / "photos" / "a.png", 10)
    assert "some" in featx("extract", "photos", "--read=some", "-b", "colour").stderr


def test_a_folder_in_no_store_is_read_once_and_a_store_takes_its_text(featx, shades, reader, tmp_path):
    for shade in (10, 60):
        shaded(tmp_path / "new" / f"p{shade}.png", shade)
    (tmp_path / "new" / "bad.png").write_bytes(b"no photo")
    ran = featx("read", "new")
    assert ran.returncode == 0 and "text on 2 of 2 photos, kept in artifacts/photos.text" in ran.stderr
    assert "bad.png" in ran.stderr and sorted(reader.seen) == [10, 60]
    assert len(lines(featx("read", "new", "--json").stdout)) == 2 and len(reader.seen) == 2
    featx("read", "new", "--force")
    assert len(reader.seen) == 4
    featx("extract", "new", "-b", "colour", "--store", "new.h5")
    assert json.loads(featx("read", "new.h5", "--json").stdout)["copied"] == 2 and len(reader.seen) == 4


def test_info_counts_photos_with_text(featx, shades, reader):
    assert json.loads(featx("info", *STORE, "--json").stdout)["text"] is None
    featx("read", *STORE)
    ran = featx("info", *STORE)
    assert re.search(r"text +on 4 of 6 photos · 6 lines", ran.stdout)
    assert json.loads(featx("info", *STORE, "--json").stdout)["text"]["with_text"] == 4


def test_similar_finds_photos_by_the_words_on_them(featx, shades, reader):
    assert featx("similar", "--text", "havre", *STORE).returncode == 4
    featx("read", *STORE)
    found = lines(featx("similar", "--text", "hávre dryck", *STORE, "--json").stdout)
    assert [(Path(str(one["path"])).stem, one["score"], one["text"]) for one in found] == [
        ("copy0", 1.0, "Havre Dryck 1 L"), ("item0", 1.0, "Havre Dryck 1 L"),
    ]  # fmt: skip
    assert lines(featx("similar", "--text", "graddf1l", *STORE, "--json").stdout)[0]["text"] == "GRÄDDFIL"
    none = featx("similar", "--text", "blueberry", *STORE)
    assert none.returncode == 0 and none.stdout == "" and re.search("no product .* matches `blueberry`\n", none.stderr)


def test_words_narrow_what_looks_alike(featx, shades, reader):
    featx("read", *STORE)
    for flags in (["--text", "vanilj"], ["--where", 'text ~ "vanilj"'], ["--where", "read_text contains 'VANILJ'"]):
        found = lines(featx("similar", "item2", *flags, *STORE, "--json").stdout)
        assert [one["text"] for one in found] == ["VANILJ yoghurt"], flags
    assert len(lines(featx("similar", "item2", "--where", "text is null", *STORE, "--json").stdout)) == 0


def test_answers_show_the_text_only_of_photos_that_were_read(featx, shades, reader):
    assert "text" not in lines(featx("similar", "item2", *STORE, "--json").stdout)[0]
    featx("read", *STORE)
    assert {one["text"] for one in lines(featx("similar", "item2", *STORE, "--json").stdout)} >= {"GRÄDDFIL", ""}


def test_a_known_photo_is_found_without_what_reads_photos(shades):
    read_store(shades, reader=ListReader(by_shade))
    open_index(shades.path)  # so that the index is kept
    code = (
        "import sys, featx\n"
        f"featx.similar('item2', store={str(shades.path)!r}, where=\"text ~ 'havre'\")\n"
        "print([name for name in ('torch', 'sklearn', 'h5py', 'cv2', 'rapidocr', 'openvino') if name in sys.modules])"
    )
    import subprocess
    import sys

    from tests.conftest import command_environment

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=command_environment({}))
    assert ran.stdout.strip() == "[]", ran.stderr


@pytest.mark.parametrize("to", ["csv", "jsonl", "npz"])
def test_export_has_the_text_of_each_photo(featx, shades, reader, tmp_path, to):
    featx("read", *STORE)
    assert featx("export", "--to", to, "-o", f"out.{to}", *STORE).returncode == 0
    if to == "csv":
        rows = list(csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8-sig").splitlines()))
        assert sorted(row["text"] for row in rows) == ["", "", "GRÄDDFIL", *["Havre Dryck 1 L"] * 2, "VANILJ yoghurt"]
    elif to == "jsonl":
        assert "GRÄDDFIL" in {row["text"] for row in lines((tmp_path / "out.jsonl").read_text(encoding="utf-8"))}


def test_damaged_text_is_named_by_a_check_and_the_store_is_not_blamed(featx, shades, reader):
    featx("read", *STORE)
    path = shades.path.with_name("store.h5.text")
    path.write_bytes(path.read_bytes().replace(b"VANILJ", b"VANILL"))
    ran = featx("info", *STORE, "--check")
    assert ran.returncode == 5 and "the store is intact" in ran.stderr and "featx read" in ran.stderr


def test_the_nightly_run_reads_new_photos_where_the_others_were_read(shades, reader, tmp_path):
    import featx

    photos = tmp_path / "mine"
    for shade in (10, 60):
        shaded(photos / f"p{shade}.png", shade)
    store = featx.extract(photos, backbone="colour", store=tmp_path / "mine.h5")
    assert featx.update(store=store.path).reading == "" and reader.seen == []
    featx.read(store)
    shaded(photos / "p160.png", 160)
    report = featx.update(store=store.path)
    assert report.read == 1 and "text: read on 1 new photo" in report.lines()
    assert len(featx.read_texts(store.path)) == 3


def test_a_search_says_how_many_photos_were_not_read(featx, shades, reader, monkeypatch):
    monkeypatch.setattr("featx.text.reading.SAMPLE", 2)
    monkeypatch.setattr(reader, "say", lambda image: [])
    featx("read", "--auto", *STORE)
    assert "3 photos not read yet" in featx("similar", "--text", "havre", *STORE).stderr
    featx("read", *STORE)
    assert "not read yet" not in featx("similar", "--text", "havre", *STORE).stderr
