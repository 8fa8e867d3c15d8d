"""Pipes, devices, folders and links under the names that featx uses; streams that are closed or full."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from featx import extraction
from featx.backbones import weights
from featx.catalogue.reading import read_catalogue
from featx.classifiers.listing import facts_of
from featx.classifiers.model import load_classifier
from featx.cli import completion
from featx.comparison import baselines
from featx.errors import FeatxError
from featx.extraction.stat_cache import StatCache
from featx.reporting import map_layout, read_document
from featx.retrieval import index_of, repair_index
from featx.retrieval.approximate import damage
from featx.store import StoreWriter, open_store
from featx.workspace import Workspace
from tests.conftest import ROOT, photo, toy_fingerprint


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


STRANGE = [a_pipe, a_device, a_folder, a_loop]


def extracted(photos: Path, store: Path, **options: object) -> extraction.ExtractionReport:
    request = extraction.ExtractionOptions(backbone="colour", batch_size=4, **options)  # type: ignore[arg-type]
    return extraction.run_extraction(read_catalogue(photos), request, store=store)


@pytest.fixture(autouse=True)
def nobody_waits_for_ever():
    """Reading a pipe that nobody writes into does not end: then the test does."""
    import faulthandler

    faulthandler.dump_traceback_later(240, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize(
    "name",
    [
        "a.h5.journal",
        "a.h5.lock",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("a.h5.seen", "a.h5.index", "a.json")),
    ],
)
def test_what_is_no_plain_file_beside_a_store_hangs_nothing_and_costs_no_row(workplace, folder, strange, name):
    extracted(folder, Path("a.h5"))
    before = Path("a.h5").read_bytes()
    Path(name).unlink(missing_ok=True)
    strange(Path(name))
    photo(folder / "boots" / "new.jpg", seed=77)
    for step in (
        lambda: extracted(folder, Path("a.h5")), lambda: index_of(open_store("a.h5")),
        lambda: open_store("a.h5").check(), lambda: repair_index(open_store("a.h5")),
    ):  # fmt: skip
        try:
            step()
        except FeatxError as error:
            assert error.code in ("no-permission", "store-broken"), error
    assert Path("a.h5").read_bytes() == before or len(open_store("a.h5")) == 13


@pytest.mark.parametrize("strange", STRANGE)
def test_notes_and_caches_that_are_no_plain_files_count_as_none(workplace, strange):
    """Each of them is read by its own code; a wrong one must answer as if it were not there, or in a sentence."""
    for name in (
        "current.json",
        "b.seen",
        "c.json",
        "d.json",
        "d.safetensors",
        "e.npz",
        "f.h5.approx",
        "net-12345678.pth",
    ):
        strange(Path(name))
    assert Workspace(Path()).noted() is None
    assert StatCache(Path("b")).digest("a.jpg", (1, 2)) is None
    assert facts_of(Path("c.safetensors")).accuracy is None
    for codes, refused in ((["model-broken"], lambda: load_classifier(Path("d.safetensors"))),
                          (["no-permission", "no-such-file"], lambda: read_document(Path("d.json"))),
                          (["weights-broken"], lambda: weights.load_state_dict(Path("net-12345678.pth")))):  # fmt: skip
        with pytest.raises(FeatxError) as caught:
            refused()
        assert caught.value.code in codes
    assert map_layout.read_layout(Path("e.npz"), 3) is None and baselines.read_colours(Path("e.npz")) == {}
    damage(Path("f.h5"))
    assert completion.category_names("x") == []


def test_json_whose_brackets_go_too_deep_is_refused_in_words(workplace):
    Path("a.json").write_text("[" * 200_000)
    Path("current.json").write_text("[" * 200_000)
    Path("a.safetensors").write_bytes(b"")
    for refused in (lambda: read_document(Path("a.json")), lambda: load_classifier(Path("a.safetensors"))):
        with pytest.raises(FeatxError) as caught:
            refused()
        assert caught.value.code in ("bad-manifest", "model-broken")
    assert Workspace(Path()).noted() is None


@pytest.mark.parametrize("name", ["a.h5.lock", "a.h5.journal", "a.h5", "a.json"])
def test_nothing_is_ever_written_through_a_link(workplace, folder, name):
    """In a folder that others may write into, a link could have any file of this user emptied."""
    Path("victim").write_text("keep")
    Path(name).symlink_to("victim")
    with_words = None
    try:
        extracted(folder, Path("a.h5"))
    except FeatxError as error:
        with_words = error.code
    assert Path("victim").read_text() == "keep"
    assert with_words in (None, "no-permission", "store-broken")


def test_the_lock_of_another_program_is_not_emptied(workplace, folder):
    Path("shop.lock").write_text('[[package]]\nname = "numpy"\n')
    with pytest.raises(FeatxError) as caught:
        extracted(folder, Path("shop"))
    assert caught.value.code == "no-permission" and "not a lock of featx" in caught.value.message
    assert Path("shop.lock").read_text().startswith("[[package]]")


def test_a_json_file_of_ones_own_beside_a_store_is_neither_overwritten_nor_removed(workplace, folder):
    Path("shop.json").write_text('{"mine": true}')
    extracted(folder, Path("shop.h5"))
    extracted(folder, Path("shop.h5"), replace=True)
    assert Path("shop.json").read_text() == '{"mine": true}'
    Path("shop.json").unlink()
    extracted(folder, Path("shop.h5"), replace=True)
    assert '"n": 12' in Path("shop.json").read_text()
    photo(folder / "boots" / "new.jpg", seed=77)
    extracted(folder, Path("shop.h5"))
    assert '"n": 13' in Path("shop.json").read_text()


def test_replace_never_removes_what_is_no_store(workplace, folder):
    table = Path("prices.csv")
    table.write_text("id,price\n")
    for wrong in (folder, folder / "boots" / "boots0.jpg", table):
        with pytest.raises(FeatxError) as caught:
            extracted(folder, wrong, replace=True)
        assert caught.value.code == "bad-flag" and "is not replaced" in caught.value.message
    assert table.read_text() == "id,price\n" and (folder / "boots" / "boots0.jpg").stat().st_size > 100
    Path("broken.h5").write_bytes(b"no store any more")
    assert extracted(folder, Path("broken.h5"), replace=True).total == 12


def test_a_store_whose_name_is_a_pattern_sweeps_up_only_its_own(workplace):
    other = Path(".other.h5.123.abc.new")
    other.write_bytes(b"somebody is writing this")
    with StoreWriter.open(Path("*.h5"), toy_fingerprint(3)):
        pass
    assert other.exists()


# --- what may not be read or written ---------------------------------------------------------------------------------


def like_anybody() -> None:
    """Root may read and write everything; without its capabilities it is a user like others."""
    call = ctypes.CDLL(None, use_errno=True).prctl
    for capability in range(64):
        call(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: what follows does not get it any more


def ran(where: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "featx", *words], cwd=where, capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FEATX_OFFLINE": "1"}, preexec_fn=like_anybody,
    )  # fmt: skip
    assert "Traceback" not in done.stderr and "broke" not in done.stderr, done.stderr
    return done.returncode, done.stderr


@pytest.fixture
def rights_come_back(workplace):
    yield
    for path in [workplace, *workplace.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o700)


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_what_may_not_be_written_is_named_and_what_only_reads_goes_on(
    featx, featx_commands, workplace, folder, rights_come_back
):
    extract = ("extract", "photos", "-b", "colour")
    assert featx(*extract).returncode == 0
    assert featx("fit", "--clf", "centroid", "--folds", "2").returncode == 0
    for path in [workplace / "artifacts", *(workplace / "artifacts").rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    photo(folder / "boots" / "new.jpg", seed=77)
    writes = {extract: "artifacts/embeddings", ("fit", "--clf", "knn", "--folds", "2"): "knn.safeten",
              ("compare", "--clf", "knn", "--folds", "2"): "artifacts/reports"}  # fmt: skip
    reads = (("similar", "boots0"), ("predict", "photos"), ("info", "--check"), ("duplicates",), ("issues",))
    answers = featx_commands(*writes, *reads, prepare=like_anybody)
    for ran, named in zip(answers, [*writes.values(), *[""] * len(reads)], strict=True):
        assert "Traceback" not in ran.stderr and "broke" not in ran.stderr, ran.stderr
        assert ran.returncode == (6 if named else 0), ran
        assert named in ran.stderr.replace("\n       ", ""), ran


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_what_may_not_be_read_is_named(workplace, folder, rights_come_back):
    extract = ("extract", "photos", "-b", "colour", "--store", "a.h5")
    (folder / "boots" / "boots0.jpg").chmod(0)
    code, complained = ran(workplace, *extract)
    assert code == 0 and "no permission to read it" in complained and len(open_store("a.h5")) == 11
    (folder / "boots" / "boots0.jpg").chmod(0o600)
    (folder / "hats").chmod(0)
    code, complained = ran(workplace, *extract)
    assert code == 6 and "photos/hats" in complained
    (folder / "hats").chmod(0o700)
    Path("a.h5").chmod(0)
    for words in (extract, ("info", "--check", "--store", "a.h5"), ("similar", "boots1", "--store", "a.h5")):
        code, complained = ran(workplace, *words)
        assert code in (2, 6) and "read" in complained, complained


@pytest.mark.parametrize("name", ["skipped.csv", "current.json"])
def test_a_list_that_cannot_be_written_is_said_and_the_store_is_complete(workplace, folder, name):
    (folder / "boots" / "bad.jpg").write_bytes(b"no photo")
    (workplace / "artifacts" / name).mkdir(parents=True)
    with pytest.raises(FeatxError) as caught:
        extracted(folder, Path("a.h5"))
    assert caught.value.code == "no-permission" and name in caught.value.message
    assert len(open_store("a.h5")) == 12 and open_store("a.h5").unsealed == 0


# --- streams ---------------------------------------------------------------------------------------------------------


def in_a_shell(where: Path, command: str) -> subprocess.CompletedProcess[str]:
    command = command.replace("featx", f"'{sys.executable}' -m featx")
    return subprocess.run(
        ["bash", "-c", command], cwd=where, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FEATX_OFFLINE": "1"}, timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "closed", ["<&- >&- 2>&-", *(pytest.param(closed, marks=pytest.mark.long) for closed in (">&-", "2>&-", "<&-"))]
)
def test_a_closed_stream_is_no_error_and_never_becomes_the_store(workplace, folder, closed):
    ran = in_a_shell(workplace, f"featx extract photos -b colour --store a.h5 {closed}")
    assert ran.returncode == 0 and "broke" not in ran.stderr, ran.stderr
    assert len(open_store("a.h5")) == 12 and open_store("a.h5").check() == []
    again = in_a_shell(workplace, f"featx info --store a.h5 {closed}")
    assert again.returncode == 0 and "broke" not in again.stderr, again.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize(
    "command",
    [
        "info --store a.h5",
        *(pytest.param(words, marks=pytest.mark.long) for words in ("backbones", "info --store a.h5 --json", "--help")),
    ],
)
def test_results_that_cannot_be_written_are_an_error_in_words(workplace, folder, command):
    extracted(folder, Path("a.h5"))
    ran = in_a_shell(workplace, f"featx {command} > /dev/full")
    assert ran.returncode == 6, ran.stderr
    assert "cannot write the output: No space left" in ran.stderr and "broke" not in ran.stderr
    assert "Traceback" not in ran.stderr and "ignored" not in ran.stderr
