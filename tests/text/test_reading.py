"""Each photo is read once, and what was read is never lost."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

from featx.errors import FeatxError
from featx.store import open_store
from featx.text import read_texts
from featx.text.loose_photos import read_photos
from featx.text.of_store import photo_texts, text_facts
from featx.text.reader import TWO_LOOKS
from featx.text.reading import read_store
from featx.text.records import PhotoText, TextLine
from featx.text.text_file import TextFile, TextWriter, load_texts, texts_beside
from tests.conftest import command_environment
from tests.text.readers import ListReader, by_shade, shaded


def texts_by_stem(store):
    return {Path(item).stem: text for item, text in read_texts(store).items()}


def test_the_text_of_each_photo_is_known_by_its_id(shades):
    report = read_store(shades, reader=ListReader(by_shade))
    assert (report.read, report.with_text, report.known) == (5, 4, 0)
    assert texts_by_stem(shades) == {
        "item0": "Havre Dryck 1 L", "copy0": "Havre Dryck 1 L", "item1": "GRÄDDFIL", "item2": "",
        "item3": "VANILJ yoghurt", "item4": "",
    }  # fmt: skip
    text = next(iter(photo_texts(shades).values()))
    assert text.lines[0].box == (1, 2, 30, 14) and text.lines[0].confidence == pytest.approx(0.9)
    assert text.size == (48, 40)


def test_a_photo_is_read_once_whatever_its_name_and_however_many_copies(shades):
    reader = ListReader(by_shade)
    read_store(shades, reader=reader)
    again = read_store(shades, reader=reader)
    assert sorted(reader.seen) == [10, 60, 110, 160, 210]
    assert (again.read, again.known, again.with_text) == (0, 5, 4)


def test_two_looks_read_again_what_was_looked_at_once_and_later_runs_look_twice_too(shades, monkeypatch):
    def opened(looks: int) -> ListReader:
        return ListReader(by_shade, "list/1" + (TWO_LOOKS if looks == 2 else ""))

    monkeypatch.setattr("featx.text.reading.open_reader", opened)
    assert [read_store(shades, looks=looks).read for looks in (None, 2, None, 1)] == [5, 5, 0, 0]
    assert read_store(shades, force=True).reader.endswith(TWO_LOOKS)
    assert not read_store(shades, force=True, looks=1).reader.endswith(TWO_LOOKS)


def test_three_looks_are_refused(shades):
    with pytest.raises(FeatxError, match="once or twice, not 3 times"):
        read_store(shades, looks=3)


def test_nothing_is_known_of_photos_that_were_never_read(shades):
    assert read_texts(shades) == {} and text_facts(shades.path, shades.digests) is None


def test_a_run_stopped_half_way_goes_on_where_it_was(shades):
    stop = threading.Event()
    first = ListReader(lambda image: stop.set() or by_shade(image))
    half = read_store(shades, reader=first, workers=1, stop=stop)
    assert half.stopped and 0 < half.read < 5
    second = ListReader(by_shade)
    whole = read_store(shades, reader=second)
    assert whole.known == half.read and sorted(first.seen + second.seen) == [10, 60, 110, 160, 210]
    assert len(read_texts(shades)) == 6


KILLED = """
import os, sys
from pathlib import Path
from featx.text.records import PhotoText, TextLine
from featx.text.text_file import TextWriter
writer = TextWriter.open(Path(sys.argv[1]))
text = PhotoText((TextLine("HAVRE", 0.8, (0, 0, 9, 9)),), "list/1")
writer.add({"a": text})
writer._put("b", text)
os.kill(os.getpid(), 9)
"""


def test_photos_in_no_store_come_as_they_are_read_and_are_kept_where_nobody_waits_for_the_rest(tmp_path):
    paths = [str(shaded(tmp_path / f"p{shade}.png", shade)) for shade in (10, 60, 110, 160)]
    reader = ListReader(by_shade)
    answers = read_photos([*paths, paths[0]], tmp_path / "kept.text", workers=1, reader=reader)
    assert next(answers)[0] == paths[0] and len(reader.seen) < 4
    answers.close()
    assert load_texts(tmp_path / "kept.text")
    again = list(read_photos([*paths, paths[0]], tmp_path / "kept.text", workers=1, reader=ListReader(by_shade)))
    assert [path for path, _ in again] == [*paths, paths[0]]


def test_a_killed_run_loses_no_text_that_it_kept(shades):
    path = texts_beside(shades.path)
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], env=command_environment({})).returncode == -9
    assert set(load_texts(texts_beside(shades.path))) == {"a"}
    report = read_store(shades, reader=ListReader(by_shade))
    assert report.read == 5 and len(load_texts(texts_beside(shades.path))) == 6


def test_no_text_is_read_as_another_after_damage(shades):
    read_store(shades, reader=ListReader(by_shade))
    path, whole = texts_beside(shades.path), load_texts(texts_beside(shades.path))
    data = path.read_bytes()
    random = np.random.default_rng(0)
    for at in random.integers(0, len(data), 150).tolist():
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        try:
            left = load_texts(texts_beside(shades.path))
        except FeatxError as error:
            assert error.code in ("store-broken", "store-newer", "no-permission"), error
            continue
        assert all(text == whole[digest] for digest, text in left.items() if digest in whole)


def test_a_changed_letter_is_found_by_a_check(shades):
    read_store(shades, reader=ListReader(by_shade))
    path = texts_beside(shades.path)
    path.write_bytes(path.read_bytes().replace(b"Havre", b"Hafre"))
    file = TextFile.open(path)
    assert file is not None
    with file:
        assert "not what was written" in file.damage()[0]
    with pytest.raises(FeatxError, match="cannot be used") as error:
        read_texts(shades)
    assert error.value.code == "store-broken" and "featx read" in error.value.hint


def test_a_file_that_knows_no_sizes_is_read_and_written_to(shades):
    path = texts_beside(shades.path)
    with TextWriter.open(path):
        pass
    lines = '[["HAVRE", 0.8, 0, 0, 9, 9]]'
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO reader VALUES (1, 'list/1')")
        database.execute("INSERT INTO photo VALUES (1, 'a', 1, ?, ?)", (lines, zlib.crc32(f"a {lines}".encode())))
        database.execute("PRAGMA user_version = 1")
    database.close()
    assert load_texts(path)["a"] == PhotoText((TextLine("HAVRE", 0.8, (0, 0, 9, 9)),), "list/1")
    read_store(shades, reader=ListReader(by_shade))
    texts = load_texts(path)
    assert texts["a"].size is None and all(text.size for digest, text in texts.items() if digest != "a")


def test_a_file_of_another_program_is_refused_and_stays(shades):
    path = texts_beside(shades.path)
    path.write_text(json.dumps({"my": "notes"}) * 90)
    with pytest.raises(FeatxError):
        read_store(shades, reader=ListReader(by_shade))
    assert "notes" in path.read_text()


def test_a_file_with_a_trigger_in_it_is_not_used(shades):
    read_store(shades, reader=ListReader(by_shade))
    path = texts_beside(shades.path)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TRIGGER t AFTER INSERT ON photo BEGIN DELETE FROM photo; END")
    database.close()
    with pytest.raises(FeatxError, match="its tables"):
        read_texts(shades)


def test_text_of_another_store_is_copied_not_read_again(shades, tmp_path):
    read_store(shades, reader=ListReader(by_shade))
    (tmp_path / "other.h5").write_bytes(shades.path.read_bytes())
    other = open_store(tmp_path / "other.h5")
    reader = ListReader(by_shade)
    report = read_store(other, reader=reader)
    assert (report.copied, report.read, reader.seen) == (5, 0, [])
    assert read_texts(other) == read_texts(shades)


def test_another_reader_reads_again_only_by_force(shades):
    read_store(shades, reader=ListReader(by_shade))
    better = ListReader(lambda image: ["better"], fingerprint="list/2")
    report = read_store(shades, reader=better)
    assert (report.read, report.by_other_reader) == (0, 0) and better.seen == []
    assert read_store(shades, reader=better, force=True).read == 5
    assert set(read_texts(shades).values()) == {"better"}


def test_bad_photos_are_named_and_the_others_read(tmp_path, monkeypatch):
    from featx.extraction import extract

    monkeypatch.chdir(tmp_path)
    for shade in (10, 60, 110, 160):
        shaded(tmp_path / "photos" / f"p{shade}.png", shade)
    store = extract(tmp_path / "photos", backbone="colour", store=tmp_path / "s.h5")
    (tmp_path / "photos" / "p10.png").unlink()
    shaded(tmp_path / "photos" / "p60.png", 61)

    def odd(image):
        if image[0, 0, 0] == 110:
            raise RuntimeError("no such shape")
        return by_shade(image)

    report = read_store(store, reader=ListReader(odd))
    assert sorted((Path(skip.path).name, skip.reason) for skip in report.unread) == [
        ("p10.png", "missing"), ("p110.png", "reader-failed"), ("p60.png", "changed"),
    ]  # fmt: skip
    assert report.read == 1 and len(read_texts(store)) == 1
    assert report.to_dict()["unread"][0]["detail"]


def test_auto_leaves_photos_unread_where_a_sample_has_no_text(shades, monkeypatch):
    monkeypatch.setattr("featx.text.reading.SAMPLE", 2)
    report = read_store(shades, auto=True, reader=ListReader(lambda image: []))
    assert (report.read, report.left) == (2, 3)
    again = read_store(shades, auto=True, reader=ListReader(by_shade))
    assert (again.read, again.left) == (0, 3)
    assert read_store(shades, reader=ListReader(by_shade)).read == 3


def test_auto_reads_all_where_a_sample_has_text(shades, monkeypatch):
    monkeypatch.setattr("featx.text.reading.SAMPLE", 2)
    reader = ListReader(lambda image: ["HAVREDRYCK"])
    report = read_store(shades, auto=True, reader=reader)
    assert (report.read, report.left, report.with_text, len(reader.seen)) == (5, 0, 6, 5)
