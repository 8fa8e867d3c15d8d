"""The extractor killed at any moment: every row it reported is there and right, and resuming ends like a clean run."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import featx.store.sealed_file  # noqa: F401  (loaded once here, so that a forked extraction begins at once)
from featx import extraction
from featx.catalogue.reading import read_catalogue
from featx.store import StoreWriter, open_store
from tests.conftest import ROOT, photo
from tests.counting import wait_until

Rows = dict[str, bytes]

# What happens to the process that seals, or to this one meanwhile, is what is promised.
pytestmark = pytest.mark.usefixtures("sealing_process")


def many_photos(folder: Path, count: int) -> Path:
    for i in range(count):
        photo(folder / f"c{i % 5}" / f"p{i:05d}x.jpg", seed=i, size=(64, 48))
    return folder


def request_of(chance: random.Random) -> extraction.ExtractionOptions:
    return extraction.ExtractionOptions(
        backbone="colour", batch_size=chance.choice([2, 4, 8]), workers=chance.choice([1, 3])
    )


def features_of(store: Path) -> Rows:
    opened = open_store(store)
    matrix = opened.features
    return {path: matrix[i].tobytes() for i, path in enumerate(opened.paths)}


def extract_and_tell(photos: Path, store: Path, request: extraction.ExtractionOptions, tell: int) -> None:
    """In a process of its own: the paths of rows go down a pipe once the store has said that they are safe."""
    real = StoreWriter.append

    def append(writer, rows):
        real(writer, rows)
        os.write(tell, b"".join(json.dumps(row.path).encode() + b"\n" for row in rows))

    StoreWriter.append = append
    extraction.run_extraction(read_catalogue(photos), request, store=store)


def killed_run(
    photos: Path, store: Path, request: extraction.ExtractionOptions, after: float, rows: float = float("inf")
) -> tuple[set[str], bool]:
    """One extraction killed after some seconds or rows: what it had reported, and whether it had ended by itself."""
    reading, telling = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            extract_and_tell(photos, store, request, telling)
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    os.close(telling)
    until, heard = time.monotonic() + after, b""
    while (left := until - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            piece = os.read(reading, 1 << 16)
            if not piece:
                break
            heard += piece
            rows -= piece.count(b"\n")
            if rows <= 0:
                break
    os.kill(child, signal.SIGKILL)
    while piece := os.read(reading, 1 << 16):
        heard += piece
    os.close(reading)
    _, status = os.waitpid(child, 0)
    ended = os.WIFEXITED(status)
    assert not ended or os.WEXITSTATUS(status) == 0, "the extraction failed by itself"
    return {json.loads(line) for line in heard.split(b"\n")[:-1]}, ended


def kill_often(folder: Path, kills: int, seed: int, photos_count: int = 300) -> dict[str, int]:
    """Kill extractions of one catalogue again and again; the store may never lose or change a reported row."""
    chance = random.Random(seed)
    photos = many_photos(folder / "photos", photos_count)
    clean = folder / "clean.h5"
    begun = time.monotonic()
    extraction.run_extraction(read_catalogue(photos), request_of(chance), store=clean)
    whole = time.monotonic() - begun
    wanted = features_of(clean)
    count = {"kills": 0, "finished": 0, "rows_checked": 0, "stores": 0, "sealing": 0}
    store, reported = folder / "a.h5", set()
    while count["kills"] < kills:
        output, ended = killed_run(
            photos, store, request_of(chance), chance.random() * chance.choice([0.3, 1.0]) * whole
        )
        reported |= output
        count["sealing"] += any(folder.glob(".a.h5.*.new"))
        if reported or store.exists():
            kept = features_of(store)
            assert reported <= set(kept), f"{len(reported - set(kept))} reported rows are lost"
            assert all(wanted[path] == features for path, features in kept.items())
            count["rows_checked"] += len(kept)
        if not ended:
            count["kills"] += 1
            continue
        count["finished"] += 1
        begin_again(folder, store, clean)
        reported, count["stores"] = set(), count["stores"] + 1
    extraction.run_extraction(read_catalogue(photos), request_of(chance), store=store)
    begin_again(folder, store, clean)
    return count


def begin_again(folder: Path, store: Path, clean: Path) -> None:
    """A store that was finished at last equals the one of a run nobody disturbed; then it goes."""
    mine, other = open_store(store), open_store(clean)
    assert mine.ids == other.ids and mine.labels == other.labels and mine.digests == other.digests
    assert mine.features.tobytes() == other.features.tobytes()
    assert mine.check() == [] and mine.unsealed == 0
    for name in folder.glob("*a.h5*"):
        name.unlink()
    store.with_suffix(".json").unlink(missing_ok=True)


@pytest.mark.long
def test_an_extractor_killed_at_random_moments_loses_no_reported_row(workplace):
    counts = kill_often(workplace, kills=6, seed=7, photos_count=120)
    assert counts["kills"] == 6


@pytest.mark.long
def test_an_extractor_killed_a_thousand_times_loses_no_reported_row(workplace):
    counts = kill_often(workplace, kills=int(os.environ.get("FEATX_TEST_KILLS", "1000")), seed=1)
    print(json.dumps(counts))


def ended(process: Path) -> bool:
    """What is left of a process that ended waits for whoever takes over the orphans of this machine."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_sealing_process_that_was_begun_ahead_ends_with_the_one_that_began_it(workplace):
    script = """if True:
        import os, sys, time
        from featx.backbones import Fingerprint
        from featx.store import StoreWriter
        writer = StoreWriter.open("a.h5", Fingerprint.from_dict({"backbone": "toy", "width": 4}))
        writer.make_ready()
        print(open(f"/proc/self/task/{os.getpid()}/children").read(), flush=True)
        if sys.argv[1] == "close":
            writer.close()
            print("closed", flush=True)
        time.sleep(600)
    """
    for how in ("kill", "close"):
        child = subprocess.Popen(
            [sys.executable, "-c", script, how], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert child.stdout is not None
        sealing = Path("/proc") / child.stdout.readline().strip()
        if how == "close":
            assert child.stdout.readline() == "closed\n" and not sealing.exists()
        else:
            assert sealing.exists()
        child.kill()
        child.wait()
        child.stdout.close()
        wait_until(lambda sealing=sealing: ended(sealing))
        assert not Path("a.h5").exists() and not list(Path().glob(".a.h5*new"))


def test_a_killed_sealing_process_is_an_error_that_says_what_is_safe(workplace, monkeypatch):
    from featx.errors import FeatxError

    photos = many_photos(workplace / "photos", 20)
    monkeypatch.setattr(sys, "executable", shutil.which("false") or "false")
    with pytest.raises(FeatxError) as caught:
        extraction.run_extraction(
            read_catalogue(photos), extraction.ExtractionOptions(backbone="colour"), store=Path("a.h5")
        )
    assert caught.value.code == "worker-died" and "20 photos are saved" in caught.value.hint
    assert len(open_store("a.h5")) == 20
    monkeypatch.undo()
    os.chdir(workplace)
    extraction.run_extraction(
        read_catalogue(photos), extraction.ExtractionOptions(backbone="colour"), store=Path("a.h5")
    )
    assert open_store("a.h5").unsealed == 0 and np.isfinite(open_store("a.h5").features).all()
