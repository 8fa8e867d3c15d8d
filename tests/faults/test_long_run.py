"""A night's work: very many photos, some of them bad, killed and resumed twenty times, ends like a run left alone."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

import featx.store.sealed_file  # noqa: F401  (loaded before the memory is measured)
from featx import extraction
from featx.catalogue.reading import read_catalogue
from featx.store import open_store
from tests.conftest import photo
from tests.faults.test_kills import features_of, killed_run

# What happens to the process that seals, or to this one meanwhile, is what is promised.
pytestmark = pytest.mark.usefixtures("sealing_process")
BAD_SHARE = 50  # one photo in fifty


def photos_with_bad_ones(folder: Path, count: int) -> tuple[Path, int]:
    bad = 0
    for i in range(count):
        path = photo(folder / f"c{i % 20:02d}" / f"p{i:06d}x.jpg", seed=i, size=(64, 48))
        if i % BAD_SHARE == 7:
            data, bad = path.read_bytes(), bad + 1
            path.write_bytes([data[: len(data) // 2], b"", b"<html>no photo</html>"][bad % 3])
    return folder, bad


class Watch:
    """Memory and open files of this process and of what it started, looked at ten times a second."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._stop.wait(0.1):
            memory, files = 0.0, 0
            for process in [Path("/proc/self"), *sealing_processes()]:
                with suppress(OSError):  # one that ended meanwhile
                    memory += int((process / "statm").read_text().split()[1]) * page / 2**20
                    files += len(list((process / "fd").iterdir()))
            self.seen.append((memory, files))

    def tenths(self) -> tuple[list[int], list[int]]:
        """The most memory in MB and the most open files in each tenth of the time."""
        edges = [len(self.seen) * i // 10 for i in range(11)]
        parts = [self.seen[begin : max(end, begin + 1)] for begin, end in pairwise(edges)]
        return [round(max(sample[0] for sample in part)) for part in parts], [
            max(sample[1] for sample in part) for part in parts
        ]


def sealing_processes() -> list[Path]:
    processes = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            processes += [Path("/proc") / number for number in (task / "children").read_text().split()]
    return processes


def a_long_run(folder: Path, count: int, kills: int) -> dict[str, object]:
    request = extraction.ExtractionOptions(backbone="colour", batch_size=16, workers=2)
    photos, bad = photos_with_bad_ones(folder / "photos", count)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Watch() as watch:
        begun = time.monotonic()
        clean = extraction.run_extraction(read_catalogue(photos), request, store=folder / "clean.h5")
        seconds = time.monotonic() - begun
    assert len(clean.skipped) == bad and clean.total == count - bad
    left_open = len(list(Path("/proc/self/fd").iterdir())) - before
    chance, done = random.Random(3), 0
    memory, files = watch.tenths()
    store, reported, lost = folder / "killed.h5", set(), 0
    while done < kills:
        output, ended = killed_run(photos, store, request, 60 + 9 * seconds, chance.random() * 1.6 * count / kills)
        done += not ended
        reported |= output
        if reported:
            lost += len(reported - set(open_store(store).paths))
        if ended:
            break
    kills_while_running = done
    last = extraction.run_extraction(read_catalogue(photos), request, store=store)
    while done < kills:  # it was finished before it was killed so often: what is there already is killed over, too
        _, ended = killed_run(photos, store, request, chance.uniform(0.05, 0.5))
        done += not ended
        if ended:
            break
    assert lost == 0
    mine, other = open_store(store), open_store(folder / "clean.h5")
    assert mine.ids == other.ids and mine.labels == other.labels and mine.digests == other.digests
    assert features_of(store) == features_of(folder / "clean.h5")
    assert len(last.skipped) == bad and mine.check() == []
    return {
        "photos": count, "bad": bad, "kills_while_running": kills_while_running, "reported_rows": len(reported),
        "seconds_undisturbed": round(seconds, 1), "images_per_second": round(clean.images_per_second),
        "rows_lost": lost, "mb_in_tenths": memory, "files_in_tenths": files,
        "most_open_files": max(files) - before, "left_open": left_open,
    }  # fmt: skip


@pytest.mark.long
def test_a_small_long_run_killed_and_resumed_ends_like_a_clean_one(workplace):
    measured = a_long_run(workplace, 300, kills=2)
    assert measured["left_open"] <= 2 and measured["most_open_files"] < 60, measured


@pytest.mark.long
def test_a_hundred_thousand_photos_killed_twenty_times_end_like_a_clean_run(workplace):
    count = int(os.environ.get("FEATX_TEST_PHOTOS", "100000"))
    tenth = a_long_run(workplace / "tenth", count // 10, kills=2)
    measured = a_long_run(workplace / "whole", count, kills=20)
    print(json.dumps([tenth, measured]))
    assert measured["most_open_files"] <= tenth["most_open_files"] + 4
    # The list of items is there from the first tenth on; what a photo costs beyond that does not pile up.
    memory = measured["mb_in_tenths"]
    assert max(memory) < max(memory[:3]) + 1e-3 * count + 50, measured
