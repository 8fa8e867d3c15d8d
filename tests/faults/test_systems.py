"""Systems that misbehave: disks, permissions, signals, pipes, clocks, locales, other processes."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import featx
from featx import extraction
from featx.catalogue.reading import read_catalogue
from featx.errors import FeatxError
from featx.extraction import inspection, network, stat_cache
from featx.images import read_with_mark
from featx.store import open_store
from tests.conftest import ROOT, command_environment, many_photos, photo, run_here
from tests.counting import wait_until

# What happens to the process that seals, or to this one meanwhile, is what is promised.
pytestmark = pytest.mark.usefixtures("sealing_process")
ROOT_USER = hasattr(os, "geteuid") and os.geteuid() == 0


def started(where: Path, *words: str, prepare: Callable[[], None] | None = None, **environment: str):
    return subprocess.Popen(
        [sys.executable, "-m", "featx", *words],
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "FEATX_OFFLINE": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
        preexec_fn=prepare or in_front,
    )


def in_front() -> None:
    """Whatever started the tests, what they start hears Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ended(process, within: float = 120) -> tuple[int, str, str]:
    output, complaints = process.communicate(timeout=within)
    assert "Traceback" not in complaints, complaints
    return process.returncode, output, complaints


def contents(store: Path | str) -> dict[str, bytes]:
    opened = open_store(store)
    return {path: opened.features[i].tobytes() for i, path in enumerate(opened.paths)}


def extracted(source: Path | str, store: str, **options: object) -> extraction.ExtractionReport:
    request = extraction.ExtractionOptions(backbone="colour", batch_size=4, **options)  # type: ignore[arg-type]
    return extraction.run_extraction(read_catalogue(source), request, store=Path(store))


def wait_for_rows(store: Path, bytes_in_journal: int = 10_000) -> None:
    journal = store.with_name(store.name + ".journal")
    wait_until(lambda: journal.exists() and journal.stat().st_size > bytes_in_journal)


# --- disks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing_calls", [(1, 4), pytest.param((1, 2, 3, 4, 6, 9), marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "call", ["write", "fsync", *(pytest.param(call, marks=pytest.mark.long) for call in ("fdatasync", "replace"))]
)
def test_whichever_system_call_fails_the_next_run_ends_like_an_undisturbed_one(
    workplace, monkeypatch, call, failing_calls
):
    photos = many_photos(workplace / "many", 12)
    extracted(photos, "clean.h5")
    clean, real = contents("clean.h5"), getattr(os, call)
    failed = 0
    for n in failing_calls:
        left = [n]

        def failing(*words: object, left: list[int] = left, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*words, **named)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                extracted(photos, f"{n}.h5")
            except FeatxError as error:
                failed += 1
                assert error.code == "disk-full", error
        extracted(photos, f"{n}.h5")
        assert contents(f"{n}.h5") == clean
    assert failed


@pytest.mark.long
def test_a_quota_that_is_reached_keeps_the_rows_and_says_so(workplace):
    many_photos(workplace / "many", 60)
    limit = 60_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    words = ("extract", "many", "-b", "colour", "--store", "a.h5", "--batch-size", "4")
    code, output, complaints = ended(started(workplace, *words, prepare=limited))
    assert (code, output) == (6, ""), complaints
    assert "the disk is full" in complaints and "photos are saved" in complaints
    saved = len(open_store("a.h5"))
    assert saved > 4
    extracted("many", "a.h5")
    extracted("many", "clean.h5")
    assert contents("a.h5") == contents("clean.h5")


@pytest.mark.skipif(not ROOT_USER, reason="only root can mount a small disk")
def test_a_full_disk_ends_an_extraction_in_words_and_room_lets_it_go_on(workplace):
    many_photos(workplace / "many", 300)
    disk = workplace / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        filler = disk / "filler"
        filler.write_bytes(b"\0" * 60_000)
        words = ("extract", "many", "-b", "colour", "--store", "disk/a.h5", "--batch-size", "4")
        code, _, complained = ended(started(workplace, *words))
        if code == 0:
            pytest.skip("the store was smaller than the disk")
        assert code == 6 and "disk is full" in complained, complained
        before = contents(disk / "a.h5") if any(disk.glob("a.h5*")) and (disk / "a.h5.journal").exists() else {}
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        extracted("many", "disk/a.h5")
        after = contents(disk / "a.h5")
        assert len(after) == 300 and before.items() <= after.items()
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def test_a_folder_one_may_not_write_into_is_refused_before_any_work(workplace, folder, monkeypatch):
    """The check is tested without the system's help: root may write anywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(network, "open_backbone", lambda *words, **named: pytest.fail("work was begun"))
    with pytest.raises(FeatxError) as caught:
        extracted(folder, "elsewhere/a.h5")
    assert caught.value.code == "no-permission" and "choose another `--store`" in caught.value.hint


# --- photos that move under our feet ---------------------------------------------------------------------------------


def test_photos_that_vanish_or_change_while_they_are_read_are_named_and_shift_no_row(workplace, monkeypatch):
    photos = many_photos(workplace / "many", 24)
    extracted(photos, "clean.h5")
    clean = contents("clean.h5")

    def reading(path):
        if path.endswith("0003x.jpg"):
            Path(path).unlink(missing_ok=True)
        return read_with_mark(path)

    monkeypatch.setattr(inspection, "read_with_mark", reading)
    summary = extracted(photos, "a.h5")
    assert [(Path(skip.path).name, skip.reason) for skip in summary.skipped] == [("p0003x.jpg", "missing")]
    assert contents("a.h5") == {path: data for path, data in clean.items() if not path.endswith("0003x.jpg")}


def test_a_folder_of_photos_that_vanishes_altogether_is_an_error_with_reasons(workplace, folder):
    catalogue = read_catalogue(folder)
    shutil.rmtree(folder)
    with pytest.raises(FeatxError) as caught:
        extraction.run_extraction(catalogue, extraction.ExtractionOptions(backbone="colour"), store=Path("a.h5"))
    assert caught.value.code == "all-corrupt" and "missing" in caught.value.message


# --- signals and pipes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_signal_saves_the_work_and_a_second_one_ends_at_once(workplace, first):
    many_photos(workplace / "many", 500)
    words = ("extract", "many", "-b", "colour", "--store", "a.h5", "--batch-size", "2", "--workers", "1")
    process = started(workplace, *words)
    wait_for_rows(workplace / "a.h5")
    process.send_signal(first)
    code, _, complained = ended(process)
    assert code == 130 and "run the same command again to continue" in complained, complained
    saved = contents("a.h5")
    # The journal of the run that was stopped still lies there: rows of this one are written when it has grown.
    before = Path("a.h5.journal").stat().st_size if Path("a.h5.journal").exists() else 0
    process = started(workplace, *words)
    wait_for_rows(workplace / "a.h5", before + 2_000)
    process.send_signal(first)
    process.send_signal(signal.SIGINT)
    code, _, _ = ended(process, within=60)
    assert code == 130
    assert saved.items() <= contents("a.h5").items()


@pytest.mark.long
def test_ctrl_c_means_nothing_to_a_run_that_was_started_in_the_background(workplace):
    """A shell has a job that it starts with `&` ignore Ctrl-C, which is meant for what runs in front."""
    many_photos(workplace / "many", 300)
    words = ("extract", "many", "-b", "colour", "--store", "a.h5", "--batch-size", "2", "--workers", "1")
    process = started(workplace, *words, prepare=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_for_rows(workplace / "a.h5")
    process.send_signal(signal.SIGINT)
    code, _, complained = ended(process)
    assert code == 0, complained
    assert len(open_store("a.h5")) == 300


@pytest.mark.parametrize(
    "words",
    [
        ("extract", "photos", "-b", "colour", "--json"),
        *(pytest.param((word,), marks=pytest.mark.long) for word in ("backbones", "info")),
    ],
)
def test_a_reader_that_closes_the_pipe_gets_no_traceback(workplace, folder, words):
    extracted(folder.relative_to(workplace), "artifacts/embeddings/colour.h5")
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "featx", *words],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    os.close(writing)
    assert "Traceback" not in ran.stderr and "BrokenPipe" not in ran.stderr, ran.stderr
    assert ran.returncode in (0, 1)
    assert len(open_store("artifacts/embeddings/colour.h5")) == 12


def test_a_second_featx_on_the_same_store_is_refused_in_words_and_readers_are_not(workplace):
    many_photos(workplace / "many", 500)
    words = ("extract", "many", "-b", "colour", "--store", "a.h5", "--batch-size", "2", "--workers", "1")
    first = started(workplace, *words)
    try:
        wait_for_rows(workplace / "a.h5")
        first.send_signal(signal.SIGSTOP)
        ran = run_here(words, workplace, "", command_environment({}))
        assert (ran.returncode, ran.stdout) == (5, ""), ran.stderr
        assert "another featx is writing a.h5" in ran.stderr and str(first.pid) in ran.stderr
        ran = run_here(("info", "--store", "a.h5"), workplace, "", command_environment({}))
        assert ran.returncode == 0 and "a.h5" in ran.stdout, ran.stderr
    finally:
        first.send_signal(signal.SIGCONT)
    assert ended(first)[0] == 0
    assert len(open_store("a.h5")) == 500


# --- clocks, places, languages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-400 * 86400, 400 * 86400])
def test_a_clock_that_jumps_never_makes_a_changed_photo_look_unchanged(workplace, folder, monkeypatch, jump):
    real = time.time_ns
    monkeypatch.setattr(stat_cache.time, "time_ns", lambda: real() + jump * 10**9)
    extracted(folder, "a.h5")
    monkeypatch.undo()
    os.chdir(workplace)
    before = contents("a.h5")
    changed = folder / "boots" / "boots0.jpg"
    photo(changed, seed=99)
    assert extracted(folder, "a.h5").changed == 1
    after = contents("a.h5")
    assert {path for path in after if after[path] != before[path]} == {str(changed)}


def test_a_photo_that_was_touched_during_the_run_is_read_again_next_time(workplace, folder, monkeypatch):
    """The same size and time stamp, other bytes: possible where a clock is coarse and a run takes a while."""
    victim = folder / "boots" / "boots0.bmp"
    photo(victim, seed=1)
    stamp = time.time_ns()
    os.utime(victim, ns=(stamp, stamp))
    started_at = stat_cache.StatCache(Path("a.h5"))
    started_at.note(str(victim), (victim.stat().st_size, stamp), "digest")
    monkeypatch.setattr(stat_cache.time, "time_ns", lambda: stamp + 3_600 * 10**9)
    started_at.write()
    assert stat_cache.StatCache(Path("a.h5")).digest(str(victim), (victim.stat().st_size, stamp)) is None


@pytest.mark.long
def test_temporary_files_may_lie_elsewhere_or_nowhere(featx_process, folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for temporary in (str(tmp_path / "elsewhere"), "/nonexistent/place"):
        ran = featx_process(
            "extract", "photos", "-b", "colour", "--store", f"{Path(temporary).name}.h5", TMPDIR=temporary
        )
        assert ran.returncode == 0, ran.stderr
    assert not list((tmp_path / "elsewhere").iterdir())


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NAMES = [os.fsencode("Stövel één.jpg"), b"caf\xe9.jpg", "靴.jpg".encode(), b"tab\tand\nnewline.jpg"]


def locale_of(name: str, folder: Path) -> dict[str, str]:
    """The environment of somebody whose locale is not UTF-8."""
    if name == "latin-1":
        made = shutil.which("localedef") and subprocess.run(
            ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", folder / "de_DE.ISO-8859-1"], check=False
        )
        if not made or not (folder / "de_DE.ISO-8859-1").exists():
            pytest.skip("no Latin-1 locale can be made here")
        return {"LC_ALL": "de_DE.ISO-8859-1", "LOCPATH": str(folder)}
    posix, spoken = {"LC_ALL": "POSIX"}, {"LC_ALL": "C", "PYTHONIOENCODING": "latin-1"}
    return {"ascii": ASCII, "posix": posix, "io in latin-1": spoken, "utf-8": {"LC_ALL": "C.UTF-8"}}[name]


def odd_photos(folder: Path) -> bytes:
    """Photos with names in any bytes, in folders whose names are not ASCII either; one of them."""
    for i, name in enumerate(NAMES * 3):
        where = folder / "odd" / ("Schürzen" if i % 2 else "Mützen")
        made = photo(where / f"{i}.jpg", seed=i)
        made.rename(where / os.fsdecode(b"%d " % i + name))
    return os.fsencode("odd/Mützen/") + b"4 " + NAMES[0]


FEW = (("export", "--to", "csv", "-o", "all.csv", "--force"),)
MORE = (("predict", "PHOTO", "--json"), ("info", "--check", "--json"), ("similar", "PHOTO", "--json"),
        ("predict", "odd", "-o", "told.csv"), ("duplicates", "--json"), ("suggest", "-n", "3", "--json"),
        ("export", "--to", "jsonl", "-o", "all.jsonl", "--force"), ("issues", "--json"))  # fmt: skip


def works_in(tmp_path: Path, locale: str, commands: tuple[tuple[str, ...], ...]) -> None:
    """Every command says in one locale what it says in UTF-8."""
    odd = odd_photos(tmp_path)

    def here(*words: str | bytes, **environment: str) -> bytes:  # as whoever runs the tests has it
        ran = run_here(tuple(map(os.fsdecode, words)), tmp_path, "", command_environment(environment))
        assert ran.returncode == 0, (words, ran.stderr)
        return os.fsencode(ran.stdout)

    def elsewhere(*words: str | bytes, **environment: str) -> bytes:
        ran = subprocess.run(
            [sys.executable, "-m", "featx", *words], cwd=tmp_path, capture_output=True, timeout=240, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "FEATX_OFFLINE": "1", **environment},
        )  # fmt: skip
        assert ran.returncode == 0, (words, ran.stderr.decode("utf-8", "replace"))
        return ran.stdout

    outputs = {}
    for name in ("utf-8", locale):
        environment = {**locale_of(name, tmp_path), "FEATX_STORE": f"{name}.h5"}
        ran = here if name == "utf-8" else elsewhere
        ran("extract", "odd", "-b", "colour", **environment)
        # Training loads the most, and reads names out of the store only.
        if commands is FEW:
            here("fit", "--clf", "centroid", "--folds", "2", FEATX_STORE=f"{name}.h5")
        else:
            ran("fit", "--clf", "centroid", "--folds", "2", **environment)
        answers = [ran(*(odd if word == "PHOTO" else word for word in words), **environment) for words in commands]
        files = [path.read_bytes() for path in sorted(tmp_path.glob("*.csv*")) + sorted(tmp_path.glob("*.jsonl"))]
        outputs[name] = [*map(without_times, answers), *files]
    stored = {
        os.fsencode(Path(path).name).lstrip(b"0123456789 ") for path in open_store(tmp_path / f"{locale}.h5").paths
    }
    assert stored == set(NAMES)
    assert contents(tmp_path / "utf-8.h5") == contents(tmp_path / f"{locale}.h5")
    assert outputs["utf-8"] == outputs[locale]


def test_names_in_any_bytes_work_in_a_plain_locale(tmp_path):
    works_in(tmp_path, "ascii", FEW)


@pytest.mark.long
@pytest.mark.parametrize("locale", ["ascii", "posix", "io in latin-1", "latin-1"])
def test_every_command_works_with_any_names_in_any_locale(tmp_path, locale):
    works_in(tmp_path, locale, FEW + MORE)


def without_times(output: bytes) -> object:
    """What a command said, without what differs from run to run."""
    lines = [json.loads(line) for line in output.splitlines() if line.strip()]
    for line in lines:
        for key in ("provenance", "machine", "store", "changed", "models", "bytes", "seconds"):
            line.pop(key, None)
    return lines


def test_a_program_that_reads_names_in_another_way_is_refused_in_words_before_a_wrong_one_is_stored(tmp_path):
    odd_photos(tmp_path)
    code = (
        "import featx, sys\nfrom featx.errors import FeatxError\n"
        "try: featx.extract('odd', backbone='colour', store='a.h5')\n"
        "except FeatxError as error: sys.exit(0 if 'PYTHONUTF8=1' in error.hint else str(error))\n"
        "sys.exit('stored')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT), **ASCII},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_paths_written_on_windows_find_their_photos(workplace, folder):
    table = folder / "list.csv"
    table.write_text("image,label\r\nboots\\boots0.jpg,boots\r\nhats\\hats1.jpg,hats\r\nC:\\photos\\gone.jpg,x\r\n")
    summary = extracted(table, "a.h5")
    assert summary.total == 2 and [skip.reason for skip in summary.skipped] == ["missing"]
    assert "C:\\photos\\gone.jpg" in summary.skipped[0].path


@pytest.mark.long
def test_one_core_is_enough(workplace, folder):
    def alone() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    assert ended(started(workplace, "extract", "photos", "-b", "colour", "--store", "a.h5", prepare=alone))[0] == 0
    extracted(folder.relative_to(workplace), "b.h5")
    assert contents("a.h5") == contents("b.h5")


def in_a_child(source: str, store: str) -> None:
    featx.extract(source, store=store, backbone="colour")


@pytest.mark.parametrize(
    "method", ["spawn", *(pytest.param(method, marks=pytest.mark.long) for method in ("fork", "forkserver"))]
)
def test_it_runs_inside_a_process_begun_in_any_way(workplace, folder, method):
    context = multiprocessing.get_context(method)
    child = context.Process(target=in_a_child, args=(str(folder), str(workplace / "a.h5")))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    assert len(open_store("a.h5")) == 12
