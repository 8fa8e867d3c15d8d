"""Every moment between two system calls of a writer, rebuilt: whatever was committed is there, and right."""

from __future__ import annotations

import itertools
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from featx.catalogue.items import Item, Skipped
from featx.errors import FeatxError
from featx.store import StoreWriter, seal_process
from tests.faults.recording import Moment, Recorder, killed, power_lost
from tests.store.test_store import expected, held, row, writer


def seal_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sealing process writes a file nobody reads before it is renamed; here it runs in this process."""
    monkeypatch.setattr(StoreWriter, "write_aside", lambda self, target: seal_process.main(str(self.path), str(target)))


def a_writers_story(path: Path, recorder: Recorder, batches: int) -> list[dict[str, object]]:
    """What a writer does in two runs; the states the store goes through, one after the other."""
    states: list[dict[str, object]] = [{}]

    def change(act, state):
        states.append(state)
        act()
        recorder.step += 1

    number = 0
    for run in range(2):
        with writer(path) as w:
            for batch in range(batches):
                now = dict(states[-1])
                rows = [row(number), row(number + 1)]
                number += 2
                change(lambda w=w, rows=rows: w.append(rows), {**now, **expected(rows)})
                if batch % 5 == 3:
                    fresh = Item("i0", f"moved/{number}.jpg", "new label")
                    known, features = states[-1]["i0"]
                    updated = replace(fresh, digest=known.digest)
                    change(lambda w=w, fresh=fresh: w.update([fresh]), {**states[-1], "i0": (updated, features)})
                if batch % 7 == 6:
                    gone = f"i{number - 1}"
                    left = {name: content for name, content in states[-1].items() if name != gone}
                    change(lambda w=w, gone=gone: w.remove([gone]), left)
                if batch % 11 == 5:
                    change(lambda w=w: w.note_skipped([Skipped("bad.jpg", "truncated")]), states[-1])
            if run == 0:
                w.seal(order=sorted(w.known()))
        if run == 1:
            writer(path).close()  # what an interrupted run left behind is sealed when the next one begins
    return states


def recorded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, batches: int, deaf_to: tuple[str, ...] = ()
) -> tuple[list[Moment], list[dict[str, object]]]:
    seal_here(monkeypatch)
    work = folder / "work"
    work.mkdir()
    recorder = Recorder(work, deaf_to)
    with monkeypatch.context() as patch, recorder.watching(patch):
        states = a_writers_story(work / "a.h5", recorder, batches)
    recorder.close()
    return recorder.moments, states


def contents(folder: Path, files: dict[str, bytes]) -> dict[str, object]:
    """What a reader finds in a folder left like this; nothing at all is an empty store."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    try:
        return held(folder / "a.h5")
    except FeatxError as error:
        assert error.code == "no-store", error
        return {}


def must_be_whole(moment: Moment, states: list[dict[str, object]], folder: Path, files: dict[str, bytes]) -> None:
    kept = contents(folder, files)
    allowed = states[moment.step : moment.step + 2]
    assert kept in allowed, (
        f"after `{moment.call}` in step {moment.step}: {len(kept)} rows, {len(allowed[0])} committed"
    )


def goes_on(folder: Path) -> None:
    """The next run takes in what is there and adds to it."""
    before = contents_again(folder)
    with writer(folder / "a.h5") as w:
        w.append([row(9_999)])
        w.seal()
    assert held(folder / "a.h5") == {**before, **expected([row(9_999)])}
    assert not list(folder.glob("*.new"))


def contents_again(folder: Path) -> dict[str, object]:
    try:
        return held(folder / "a.h5")
    except FeatxError:
        return {}


def replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int, losses: int, deaf_to: tuple[str, ...] = ()
) -> dict[str, int]:
    moments, states = recorded(tmp_path, monkeypatch, batches, deaf_to)
    chance, crashed = random.Random(5), tmp_path / "crashed"
    for number, moment in enumerate(moments):
        must_be_whole(moment, states, crashed, killed(moment))
        if number % 25 == 0:
            goes_on(crashed)
    turns = itertools.islice(itertools.cycle(enumerate(moments)), losses)
    for _, moment in turns:
        must_be_whole(moment, states, crashed, power_lost(moment, chance))
        if chance.random() < 0.02:
            goes_on(crashed)
    return {"crash_points": len(moments), "power_losses": losses}


def test_every_crash_point_and_many_power_losses_keep_what_was_committed(tmp_path, monkeypatch):
    counts = replay(tmp_path, monkeypatch, batches=9, losses=100)
    assert counts["crash_points"] > 100


def test_the_recorder_would_notice_a_writer_that_does_not_sync(tmp_path, monkeypatch):
    with pytest.raises(AssertionError, match="committed"):
        replay(tmp_path, monkeypatch, batches=6, losses=200, deaf_to=("fdatasync",))


@pytest.mark.long
def test_a_run_of_two_hundred_batches_survives_a_hundred_thousand_power_losses(tmp_path, monkeypatch):
    losses = int(os.environ.get("FEATX_TEST_LOSSES", "100000"))
    print(replay(tmp_path, monkeypatch, batches=200, losses=losses))
