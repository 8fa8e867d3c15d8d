"""What lies beside a store, and classifiers and reports: a killed writer leaves the old one or the new one, whole."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from featx.audit import perceptual_hashes as hashes
from featx.audit.perceptual_hashes import HashCache
from featx.classifiers.model import Classifier, load_classifier, save
from featx.classifiers.novelty import NoveltyDetector
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.comparison import baselines
from featx.comparison.result import Comparison
from featx.errors import FeatxError
from featx.extraction.stat_cache import StatCache
from featx.files.atomic import ABANDONED
from featx.reporting import files as report_files
from featx.reporting import map_layout, newest, read_document
from featx.retrieval import SimilarityIndex, approximate, index_of, repair_index
from featx.retrieval.cache import cache_of, open_cached, write_cache
from featx.retrieval.calibration import calibrate
from featx.retrieval.rows import IndexRows
from featx.store import open_store
from tests.conftest import card_of, toy_fingerprint
from tests.faults.recording import Recorder, killed, power_lost
from tests.reporting import documents as report_documents
from tests.retrieval.test_search import catalogue, make_store

MARK = (7, 11)


@dataclass
class Kept:
    """Something that is written again and again, and which of its versions is left; None where there is none."""

    write: Callable[[int], object]
    version_left: Callable[[], int | None]


# --- the things that are kept ----------------------------------------------------------------------------------------


def classifier(folder: Path) -> Kept:
    classes, settings = ["boots", "hats"], ClassifierSettings("centroid")
    labels = np.array(classes)[np.arange(40) % 2]
    novelty = NoveltyDetector(np.ones((4, 6), np.float16), 0.1)

    def trained(n: int) -> Pipeline:
        features = np.random.default_rng(n).normal(size=(40, 6)).astype(np.float32)
        return train_classifier(settings, features, labels)

    def write(n: int) -> None:
        card = card_of(classes, 6, clf="centroid", n=n)
        model = Classifier(settings, trained(n), classes, 1.0, toy_fingerprint(6), novelty, card)
        save(model, folder / "svm.safetensors")

    def version_left() -> int | None:
        try:
            model = load_classifier(folder / "svm.safetensors")
        except FeatxError as error:
            assert error.code == "no-model", error
            return None
        n = model.card.n
        # The card and the file beside it are of one writing.
        assert np.array_equal(model.pipeline[-1].centroids_, trained(n)[-1].centroids_)
        return n

    return Kept(write, version_left)


def comparison_file(folder: Path) -> Kept:
    base = {
        "schema": "featx-comparison/1",
        "best": {"why": "x" * 50_000, "store": "a", "clf": "svm"},
        "stores": [],
        "entries": [],
    }

    def version_left() -> int | None:
        path = folder / "comparison.json"
        return int(json.loads(path.read_text(encoding="utf-8"))["written"]) if path.exists() else None

    return Kept(lambda n: Comparison({**base, "written": n}).save(folder / "comparison.json"), version_left)


def photo_notes(folder: Path) -> Kept:
    mark = (10, 20)

    def write(n: int) -> None:
        seen = StatCache(folder / "s.h5")
        for i in range(300):
            seen.note(f"photos/{i}.jpg", mark, f"{n:064d}")
        seen.write()

    def version_left() -> int | None:
        seen = StatCache(folder / "s.h5")
        digests = {seen.digest(f"photos/{i}.jpg", mark) for i in range(300)}
        assert len(digests) == 1
        return None if digests == {None} else int(str(digests.pop()))

    return Kept(write, version_left)


def search_index(folder: Path) -> Kept:
    """The store stays, so every version is the same: 0 is left, or None where the store must be read again."""
    features, labels, products = catalogue(150)
    path = make_store(folder / "s.h5", features, products, labels)
    store = open_store(path)
    index = SimilarityIndex(IndexRows.of_store(store))
    index.words = calibrate(index.rows)
    wanted = index.query("item3", 9)

    def version_left() -> int | None:
        cached = open_cached(path)
        assert cached is None or (cached.query("item3", 9) == wanted and cached.words == index.words)
        return None if cached is None else 0

    return Kept(lambda n: write_cache(store, index), version_left)


def graph(folder: Path) -> Kept:
    """The graph of nearest neighbours, written as it is again and again."""
    pytest.importorskip("usearch", reason="usearch is not installed")
    features, labels, products = catalogue(150)
    path = make_store(folder / "s.h5", features, products, labels)
    index = index_of(path)
    nearby = approximate.open_nearby(index.rows, make=True)
    approximate.approximate_of(path).unlink()
    assert nearby is not None

    def write(n: int) -> None:
        approximate.write_approximate(approximate.approximate_of(path), "store", "making", nearby)

    def version_left() -> int | None:
        held = approximate.read_approximate(approximate.approximate_of(path))
        assert held is None or approximate.damage(path) is None
        return None if held is None else 0

    return Kept(write, version_left)


def picture_hashes(folder: Path) -> Kept:
    features, labels, products = catalogue(60)
    store = open_store(make_store(folder / "s.h5", features, products, labels))

    path = HashCache(store).path

    def write(n: int) -> None:
        crops = np.zeros((len(hashes.CROPS), hashes.BYTES), np.uint8)
        crops[0, :4] = np.frombuffer(n.to_bytes(4, "big"), np.uint8)
        hashes.write_hashes(path, dict.fromkeys(store.digests, crops))

    def version_left() -> int | None:
        known = hashes.read_hashes(path)
        versions = {int.from_bytes(crops[0, :4].tobytes(), "big") for crops in known.values()}
        assert len(versions) <= 1 and len(known) in (0, 60)
        return versions.pop() if versions else None

    return Kept(write, version_left)


def colour_cache(folder: Path) -> Kept:
    path = folder / "colour.npz"

    def version_left() -> int | None:
        versions = {int(row[0]) for row in baselines.read_colours(path).values()}
        assert len(versions) <= 1
        return versions.pop() if versions else None

    return Kept(lambda n: baselines.write_colours(path, {f"{i:064x}": np.full(99, n) for i in range(40)}), version_left)


def report_map(folder: Path) -> Kept:
    path = folder / "map.npz"

    def version_left() -> int | None:
        layout = map_layout.read_layout(path, 500)
        return None if layout is None else int(layout.seconds)

    return Kept(
        lambda n: map_layout.write_layout(path, map_layout.Layout(np.zeros((500, 2)), "t-SNE", float(n))), version_left
    )


SINGLE = [classifier, comparison_file, photo_notes, search_index, graph, picture_hashes, colour_cache, report_map]
ONE_VERSION = (search_index, graph)


# --- every moment between two system calls, and power cuts -----------------------------------------------------------


def recorded(make: Callable[[Path], Kept], folder: Path, patch: pytest.MonkeyPatch, deaf_to: tuple[str, ...] = ()):
    """Three versions written one after the other; every moment of it."""
    work = folder / "work"
    work.mkdir()
    kept = make(work)
    there = {path.name: path.read_bytes() for path in work.iterdir()}
    recorder = Recorder(work, deaf_to)
    with patch.context() as inner, recorder.watching(inner):
        for n in MARK:
            kept.write(n)
            recorder.step += 1
    recorder.close()
    return recorder.moments, there


def replay(
    make: Callable[[Path], Kept], folder: Path, patch: pytest.MonkeyPatch, losses: int, deaf_to=(), may_go: bool = False
) -> int:
    """Every crash and some power cuts; what may go is a copy of something, which is never used unless it is whole."""
    moments, there = recorded(make, folder, patch, deaf_to)
    crashed = folder / "crashed"
    crashed.mkdir()
    kept = make(crashed)
    chance = random.Random(3)
    states = [(moment, killed(moment)) for moment in moments]
    states += [(moment, power_lost(moment, chance)) for moment in chance.choices(moments, k=losses)]
    for moment, files in states:
        for old in crashed.iterdir():
            old.unlink()
        # What was there before the writing began is on the disk for certain, and is not written again.
        for name, data in {**files, **there}.items():
            (crashed / name).write_bytes(data)
        version = kept.version_left()
        allowed: set[int | None] = {(None, *MARK)[moment.step], (None, *MARK)[min(moment.step + 1, len(MARK))]}
        if make in ONE_VERSION:
            allowed = {None, 0} if moment.step == 0 else {0}
        if may_go:
            allowed |= {None, *MARK[: moment.step + 1]}
        assert version in allowed, f"after `{moment.call}` in step {moment.step}: {version}"
    return len(moments)


@pytest.mark.parametrize("make", SINGLE)
def test_after_a_kill_or_a_power_cut_at_any_moment_the_old_one_or_the_new_one_is_there(make, tmp_path, monkeypatch):
    assert replay(make, tmp_path, monkeypatch, losses=60) > 6


@pytest.mark.long
@pytest.mark.parametrize("make", SINGLE)
def test_after_thousands_of_power_cuts_the_old_one_or_the_new_one_is_there(make, tmp_path, monkeypatch):
    print(make.__name__, replay(make, tmp_path, monkeypatch, losses=5_000))


@pytest.mark.parametrize("make", [classifier, comparison_file, search_index])
def test_these_tests_would_notice_a_writer_that_does_not_sync(make, tmp_path, monkeypatch):
    with pytest.raises((AssertionError, FeatxError, ValueError)):
        replay(make, tmp_path, monkeypatch, losses=300, deaf_to=("fsync",))


# --- cut or altered ones ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [photo_notes, search_index, graph, picture_hashes, colour_cache, report_map])
def test_a_side_file_cut_anywhere_is_not_used(make, tmp_path):
    kept = make(tmp_path)
    before = set(tmp_path.rglob("*"))
    kept.write(3)
    (path,) = set(tmp_path.rglob("*")) - before
    whole = path.read_bytes()
    for cut in sorted({len(whole) * i // 60 for i in range(60)} | {len(whole) - 1}):
        path.write_bytes(whole[:cut])
        assert kept.version_left() is None, cut
    path.write_bytes(whole)
    assert kept.version_left() is not None


def test_no_flipped_bit_of_a_search_index_passes_the_check_and_it_is_made_anew(tmp_path):
    kept = search_index(tmp_path)
    kept.write(0)
    store = open_store(tmp_path / "s.h5")
    path = cache_of(tmp_path / "s.h5")
    whole = path.read_bytes()
    assert repair_index(store) == []
    for at in np.random.default_rng(0).integers(0, 8 * len(whole), 60).tolist():
        data = bytearray(whole)
        data[at // 8] ^= 1 << at % 8
        path.write_bytes(data)
        (note,) = repair_index(store)
        assert "not what was written" in note
        assert kept.version_left() == 0 and path.read_bytes() == whole


def test_info_check_says_that_a_search_index_was_damaged_and_mends_only_that(featx, folder, tmp_path):
    assert featx("extract", "photos", "-b", "colour", "--store", "a.h5").returncode == 0
    answer = featx("similar", "boots0", "--store", "a.h5").stdout
    path = cache_of(tmp_path / "a.h5")
    whole, store = path.read_bytes(), (tmp_path / "a.h5").read_bytes()
    path.write_bytes(whole[:-70] + bytes([whole[-70] ^ 1]) + whole[-69:])
    ran = featx("info", "--check", "--store", "a.h5")
    assert ran.returncode == 0 and "a.h5.index" in ran.stderr and "rebuilt" in ran.stderr, ran.stderr
    assert path.read_bytes() == whole and (tmp_path / "a.h5").read_bytes() == store
    assert featx("similar", "boots0", "--store", "a.h5").stdout == answer


def test_what_a_killed_writer_left_is_swept_up_later_and_what_another_is_writing_stays(tmp_path):
    kept = comparison_file(tmp_path)
    old, fresh = tmp_path / ".comparison.json.1.abc.new", tmp_path / ".comparison.json.2.abc.new"
    for path in (old, fresh):
        path.write_text("half")
    long_ago = time.time() - ABANDONED - 5
    os.utime(old, (long_ago, long_ago))
    kept.write(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [fresh.name, "comparison.json"]


def test_classifiers_trained_at_the_same_time_never_get_each_others_card(tmp_path):
    kept = classifier(tmp_path)
    children = []
    for start in (0, 1000, 2000):
        child = os.fork()
        if child == 0:
            try:
                for n in range(start, start + 6):
                    kept.write(n)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    kept.version_left()
    while children:
        done, status = os.waitpid(-1, os.WNOHANG)
        if done:
            assert status == 0
            children.remove(done)
        kept.version_left()
    assert kept.version_left() in (5, 1005, 2005)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["svm.json", "svm.md", "svm.safetensors"]


# --- really killed ---------------------------------------------------------------------------------------------------


def report_folder(folder: Path) -> Kept:
    """A report among others; the version left is that which `latest` leads to and `featx report` would write from."""
    shop = report_documents.catalogue(folder / "photos", ["boots", "hats", "mugs"], 12, photos=4)
    document = report_documents.comparison(shop)
    root = folder / "reports"
    from featx.reporting import write_report

    def write(n: int) -> None:
        write_report({**document, "written": stamp(n)}, shop, root=root, formats=("json", "md", "html"))

    def version_left() -> int | None:
        report = newest(root)
        if report is not None:
            report_files.write_files(read_document(report), folder / "again", ("html",), pictures=report.parent)
        latest = root / "latest"
        if not latest.exists():
            return None
        for folder_of_one in [path.parent for path in root.glob("*/report.html")]:
            assert (folder_of_one / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
            assert (folder_of_one / "report.md").read_text(encoding="utf-8").endswith("\n")
        number = read_document(latest / "report.json").written
        return int(number[:4]) - 2000

    return Kept(write, version_left)


def stamp(n: int) -> str:
    return f"{2000 + n % 7000:04d}-01-01T00:00:00"


def killed_writer(kept: Kept, begin: int, after: float) -> int:
    """A process that writes one version after the other until it is killed; the last one it said was written."""
    reading, telling = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            n = begin
            while True:
                n += 1
                kept.write(n)
                os.write(telling, n.to_bytes(4, "big"))
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(1)
    os.close(telling)
    until, heard = time.monotonic() + after, b""
    while (left := until - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        piece = os.read(reading, 1 << 16)
        assert piece, "the writer ended by itself"
        heard += piece
    os.kill(child, signal.SIGKILL)
    while piece := os.read(reading, 1 << 16):
        heard += piece
    os.close(reading)
    os.waitpid(child, 0)
    return int.from_bytes(heard[-4:], "big") if heard else begin


def kill_often(kept: Kept, kills: int, *, numbered: bool = True, longest: float = 0.08) -> int:
    chance, last, versions = random.Random(8), 0, 0
    kept.write(0)
    begun = time.monotonic()
    kept.write(0)
    longest = max(longest, 3 * (time.monotonic() - begun))
    for _ in range(kills):
        reported = killed_writer(kept, last, chance.random() * longest)
        versions += reported - last
        version = kept.version_left()
        assert version is not None, "nothing is left"
        if numbered:
            assert reported <= version <= reported + 1, f"version {reported} was written, and {version} is there"
        last = max(reported, version) if numbered else reported
    return versions


EVERY = [*SINGLE, report_folder]


@pytest.mark.parametrize("make", [*SINGLE, pytest.param(report_folder, marks=pytest.mark.long)])
def test_a_killed_writer_leaves_the_old_one_or_the_new_one(make, tmp_path):
    kept = make(tmp_path)
    kill_often(kept, 1 if make is report_folder else 4, numbered=make not in ONE_VERSION)
    if make is not report_folder:  # each version of a report has a folder of its own
        long_ago = time.time() - ABANDONED - 5
        for left in tmp_path.iterdir():
            os.utime(left, (long_ago, long_ago))
        kept.write(1_000_000)
        assert not list(tmp_path.glob(".*"))


@pytest.mark.long
@pytest.mark.parametrize("make", EVERY)
def test_a_writer_killed_hundreds_of_times_leaves_the_old_one_or_the_new_one(make, tmp_path):
    kills = int(os.environ.get("FEATX_TEST_KILLS", "300"))
    versions = kill_often(make(tmp_path), kills, numbered=make not in ONE_VERSION)
    print(json.dumps({"what": make.__name__, "kills": kills, "versions_written": versions}))
