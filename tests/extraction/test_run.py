"""Extraction: nothing computed twice, nothing lost, nothing mixed up."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import featx
from featx import extraction
from featx.backbones import OutOfMemory, open_backbone
from featx.catalogue.reading import read_catalogue
from featx.errors import FeatxError
from featx.extraction import network
from featx.extraction.options import ExtractionReport
from featx.images import read_photo
from featx.store import open_store
from tests.conftest import ROOT, command_environment, many_photos, photo, run_here
from tests.counting import wait_until


def summary_of(source, **options):
    return extraction.run_extraction(read_catalogue(source), extraction.ExtractionOptions(backbone="colour", **options))


def rows(store):
    return {
        item_id: (store.paths[i], store.labels[i], store.features[i].tobytes()) for i, item_id in enumerate(store.ids)
    }


@pytest.fixture
def counted(monkeypatch):
    """How many photos went through the network."""
    seen = []
    real = network.open_backbone

    def opened(*words, **options):
        backbone = real(*words, **options)
        prepare = backbone.prepare
        backbone.prepare = lambda image: (seen.append(1), prepare(image))[1]
        return backbone

    monkeypatch.setattr(network, "open_backbone", opened)
    return seen


def test_every_row_holds_the_features_of_its_own_photo(workplace, folder):
    store = featx.extract(folder, backbone="colour")
    backbone = open_backbone("colour")
    assert len(store) == 12
    for i, path in enumerate(store.paths):
        alone = backbone.features([backbone.prepare(read_photo(path).image)])[0]
        np.testing.assert_array_equal(store.features[i], alone)
        assert store.labels[i] == Path(path).parent.name


def test_running_again_reads_and_computes_nothing(workplace, folder, counted):
    summary_of(folder)
    first = len(counted)
    for path in folder.rglob("*.jpg"):
        os.utime(path, ns=(1_000_000_000, 1_000_000_000))
    summary_of(folder)
    again = summary_of(folder)
    assert (first, len(counted)) == (12, 12)
    assert (again.new, again.changed, again.unchanged) == (0, 0, 12)


def test_the_same_bytes_are_computed_once_and_keep_all_their_rows(workplace, folder, counted):
    shutil.copy(folder / "boots/boots0.jpg", folder / "hats/twin.jpg")
    store = featx.extract(folder, backbone="colour")
    assert len(counted) == 12
    assert len(store) == 13
    kept = rows(store)
    assert kept["twin"][2] == kept["boots0"][2]


def test_added_changed_renamed_and_removed_are_told_apart(workplace, folder, counted):
    summary_of(folder)
    photo(folder / "mugs/fresh.jpg", seed=99)
    photo(folder / "mugs/mugs0.jpg", seed=98)
    (folder / "hats/hats0.jpg").rename(folder / "hats/renamed.jpg")
    (folder / "boots/boots3.jpg").unlink()
    planned = summary_of(folder, dry_run=True)
    done = summary_of(folder)
    for summary in (planned, done):
        assert (summary.new, summary.changed, summary.renamed, summary.unchanged) == (1, 1, 1, 9)
        assert summary.gone == ["boots3"]
    assert len(counted) == 14
    kept = rows(featx.open_store())
    assert set(kept) >= {"fresh", "renamed", "boots3"} and "hats0" not in kept
    assert summary_of(folder, prune=True).pruned == 1
    assert "boots3" not in rows(featx.open_store())


def test_a_dry_run_writes_nothing(workplace, folder):
    summary_of(folder, dry_run=True)
    assert not list(Path("artifacts").rglob("*.h5*"))


def test_labels_refresh_without_computing(workplace, folder, counted):
    summary_of(folder)
    (folder / "mugs").rename(folder / "cups")
    summary = summary_of(folder)
    assert len(counted) == 12
    assert summary.renamed == 4
    assert set(featx.open_store().labels) == {"boots", "cups", "hats"}


def test_a_table_with_other_labels_refreshes_them(workplace, folder, counted):
    table = folder / "t.csv"
    table.write_text("image,label\nboots/boots0.jpg,boots\nhats/hats0.jpg,hats\n")
    summary_of(table)
    table.write_text("image,label,price\nboots/boots0.jpg,wellies,9.5\nhats/hats0.jpg,hats,3\n")
    assert summary_of(table).refreshed == 2
    store = featx.open_store()
    assert len(counted) == 2
    assert dict(zip(store.ids, store.labels, strict=True))["boots0"] == "wellies"
    assert sorted(store.columns["price"]) == [3, 9.5]


def test_an_unreadable_photo_is_named_and_shifts_no_row(workplace, folder):
    clean = rows(featx.extract(folder, backbone="colour"))
    shutil.rmtree("artifacts")
    (folder / "boots/boots1.jpg").write_bytes((folder / "boots/boots1.jpg").read_bytes()[:300])
    (folder / "hats/page.jpg").write_text("<html>not found</html>")
    summary = summary_of(folder)
    assert {Path(skip.path).name: skip.reason for skip in summary.skipped} == {
        "boots1.jpg": "truncated",
        "page.jpg": "not-an-image",
    }
    listed = list(csv.DictReader(Path("artifacts/skipped.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert {Path(row["path"]).name for row in listed} == {"boots1.jpg", "page.jpg"}
    del clean["boots1"]
    assert rows(featx.open_store()) == clean


def test_a_mended_photo_is_tried_again(workplace, folder):
    good = (folder / "boots/boots1.jpg").read_bytes()
    (folder / "boots/boots1.jpg").write_bytes(good[:300])
    assert len(summary_of(folder).skipped) == 1
    assert len(summary_of(folder).skipped) == 1
    (folder / "boots/boots1.jpg").write_bytes(good)
    summary = summary_of(folder)
    assert (summary.new, len(summary.skipped)) == (1, 0)
    assert not Path("artifacts/skipped.csv").exists()


def test_a_photo_that_went_bad_stops_answering_with_old_features(workplace, folder):
    summary_of(folder)
    (folder / "boots/boots1.jpg").write_bytes(b"now broken")
    summary_of(folder)
    assert "boots1" not in rows(featx.open_store())


def test_nothing_readable_is_an_error_with_reasons(workplace, folder):
    for path in folder.rglob("*.jpg"):
        path.write_bytes(b"junk")
    with pytest.raises(FeatxError, match="none of the 12 photos could be read") as caught:
        summary_of(folder)
    assert caught.value.code == "all-corrupt"


def test_strict_stops_at_a_bad_photo(workplace, folder):
    (folder / "boots/boots1.jpg").write_bytes(b"junk")
    with pytest.raises(FeatxError, match=r"boots1\.jpg") as caught:
        summary_of(folder, strict=True)
    assert caught.value.exit_code == 3


def test_a_store_of_another_making_is_refused_with_the_mend(workplace, folder):
    featx.extract(folder, backbone="colour", store="one.h5")
    with pytest.raises(FeatxError, match="squeezenet1_0") as caught:
        featx.extract(folder, backbone="squeezenet1_0", weights="random", store="one.h5")
    assert caught.value.code == "other-backbone"
    assert "--store" in caught.value.hint


def test_later_extractions_keep_to_the_first_choice(workplace, folder):
    summary_of(folder)
    photo(folder / "mugs/fresh.jpg", seed=77)
    summary = extraction.run_extraction(read_catalogue(folder), extraction.ExtractionOptions())
    assert (summary.backbone, summary.new) == ("colour", 1)


def test_two_folders_with_the_same_names_share_a_store_without_collision(workplace, folder):
    summary_of(folder)
    for path in list(folder.rglob("*.jpg")):
        photo(workplace / "others" / path.relative_to(folder), seed=len(path.name) + hash(path.name) % 1000 + 500)
    summary_of(workplace / "others")
    summary_of(workplace / "others")
    store = featx.open_store()
    assert len(store) == len(set(store.ids)) == 24
    assert summary_of(folder).unchanged == 12


def test_memory_running_out_halves_the_batch_and_goes_on(workplace, folder, monkeypatch):
    clean = rows(featx.extract(folder, backbone="colour"))
    shutil.rmtree("artifacts")
    real = network.open_backbone

    def small(*words, **options):
        backbone = real(*words, **options)
        whole = backbone.features

        def features(prepared):
            if len(prepared) > 2:
                raise OutOfMemory("too much")
            return whole(prepared)

        backbone.features = features
        return backbone

    monkeypatch.setattr(network, "open_backbone", small)
    summary = summary_of(folder)
    assert (summary.batch_size, summary.halved) == (2, True)
    assert rows(featx.open_store()) == clean


def test_views_are_seeded_and_the_first_is_the_photo_itself(workplace, folder):
    plain = featx.extract(folder, backbone="colour", store="plain.h5")
    once = featx.extract(folder, backbone="colour", views=3, store="a.h5")
    again = featx.extract(folder, backbone="colour", views=3, store="b.h5", workers=1)
    assert once.all_views.shape == (12, 3, plain.width)
    np.testing.assert_array_equal(once.all_views, again.all_views)
    np.testing.assert_array_equal(once.features, plain.features)
    assert not np.array_equal(once.all_views[:, 1], once.all_views[:, 2])


def corrupt_and_extract(folder: Path, data: st.DataObject) -> None:
    """Whatever is broken, whenever: every readable photo has exactly its own features."""
    shutil.rmtree("artifacts", ignore_errors=True)
    files = sorted(folder.rglob("*.jpg"))
    good = {path: path.read_bytes() for path in files}
    try:
        for _ in range(2):
            for path in data.draw(st.lists(st.sampled_from(files), max_size=4)):
                cut = data.draw(st.integers(0, 600))
                path.write_bytes(data.draw(st.sampled_from([good[path][:cut], b"", b"junk" * cut, good[path]])))
            try:
                store = featx.extract(folder, backbone="colour", workers=data.draw(st.integers(1, 4)))
            except FeatxError as error:
                assert error.code == "all-corrupt"
                continue
            backbone = open_backbone("colour")
            for i, path in enumerate(store.paths):
                alone = backbone.features([backbone.prepare(read_photo(path).image)])[0]
                np.testing.assert_array_equal(store.features[i], alone)
    finally:
        for path, content in good.items():
            path.write_bytes(content)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_survive_any_corruption_in_any_order(workplace, folder, data):
    corrupt_and_extract(folder, data)


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_survive_many_corruptions_in_any_order(workplace, folder, data):
    corrupt_and_extract(folder, data)


def start(workplace: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "featx", "extract", *words],
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background of a shell passes on that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_killed_extraction_resumes_to_the_same_bytes(workplace):
    photos = many_photos(workplace / "many", 120)
    whole = featx.extract(photos.relative_to(workplace), backbone="colour", store="whole.h5", batch_size=4)
    kills = 0
    words = ("many", "-b", "colour", "--store", "killed.h5", "--batch-size", "4", "--workers", "1", "-q")
    journal = workplace / "killed.h5.journal"
    for grown in (1, 8_000):
        size = (journal.stat().st_size if journal.exists() else 0) + grown
        process = start(workplace, *words)

        def far_enough(process: subprocess.Popen[str] = process, size: int = size) -> bool:
            return process.poll() is not None or (journal.exists() and journal.stat().st_size >= size)

        wait_until(far_enough)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
    resumed = featx.extract("many", backbone="colour", store="killed.h5", batch_size=4)
    assert kills
    assert list(resumed.ids) == list(whole.ids)
    assert resumed.features.tobytes() == whole.features.tobytes()


def test_ctrl_c_saves_the_work_and_says_how_to_go_on(workplace):
    many_photos(workplace / "many", 300)
    process = start(workplace, "many", "-b", "colour", "--batch-size", "2", "--workers", "1")
    journal = workplace / "artifacts/embeddings/colour.h5.journal"
    wait_until(lambda: journal.exists() and journal.stat().st_size > 20_000)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 130, messages
    assert "run the same command again to continue" in messages
    ran = run_here(("extract", "many", "-b", "colour", "--batch-size", "2"), workplace, "", command_environment({}))
    assert ran.returncode == 0 and "resuming" in ran.stderr
    assert len(featx.open_store(workplace / "artifacts/embeddings/colour.h5")) == 300


def test_the_command_prints_its_result_to_stdout_only(featx, folder):
    ran = featx("extract", "photos", "-b", "colour")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "artifacts/embeddings/colour.h5"
    assert "12 photos in 3 categories" in ran.stderr and "features of 12 photos" in ran.stderr
    assert "\x1b" not in ran.stderr
    again = featx("extract", "photos", "-b", "colour", "--json", "--quiet")
    result = json.loads(again.stdout)
    assert (result["n"], result["new"], again.stderr) == (12, 0, "")


def test_paths_on_stdin_are_a_catalogue(featx, folder, tmp_path):
    paths = "\n".join(str(path.relative_to(tmp_path)) for path in sorted(folder.rglob("*.jpg"))[:5])
    ran = featx("extract", "-", "-b", "colour", "--json", stdin=paths)
    assert json.loads(ran.stdout)["n"] == 5, ran.stderr


def test_info_check_finds_nothing_wrong_and_names_what_is(featx, folder, tmp_path):
    featx("extract", "photos", "-b", "colour")
    fine = featx("info", "--check", "--json")
    assert fine.returncode == 0 and json.loads(fine.stdout)["damage"] == [], fine.stderr
    store = tmp_path / "artifacts/embeddings/colour.h5"
    data = bytearray(store.read_bytes())
    features = open_store(store).features[3].tobytes()
    at = bytes(data).index(features)
    data[at + 5] ^= 16
    store.write_bytes(data)
    broken = featx("info", "--check")
    assert broken.returncode == 5
    assert "damaged" in broken.stderr and "Traceback" not in broken.stderr


def test_grey_and_tiny_pictures_are_photos_too(workplace):
    Path("tiny/a").mkdir(parents=True)
    Image.new("L", (28, 28), 90).save("tiny/a/grey.png")
    Image.new("RGB", (1, 1), "red").save("tiny/a/dot.png")
    assert len(featx.extract("tiny", backbone="colour")) == 2


@pytest.mark.parametrize(
    ("device", "engine", "precision", "remedies"),
    [
        ("cpu", "openvino", "fp32", "a GPU, `--precision bf16` or a smaller backbone"),
        ("cpu", "openvino", "bf16", "a GPU or a smaller backbone"),
        ("cpu", "torch", "fp32", "a GPU or a smaller backbone"),
        ("cuda:0", "torch", "fp32", "a smaller backbone"),
    ],
)
def test_a_slow_network_is_told_what_makes_it_faster_on_this_machine(monkeypatch, device, engine, precision, remedies):
    monkeypatch.setattr("featx.extraction.options.multiplies_bf16", lambda: True)
    report = ExtractionReport(Path("s.h5"), "builtin", device=device, engine=engine, precision=precision)
    assert report.bottleneck.endswith(f": {remedies} would help")
    monkeypatch.setattr("featx.extraction.options.multiplies_bf16", lambda: False)
    assert "bf16" not in report.bottleneck
