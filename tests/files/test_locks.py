"""Locks that keep writers apart, on every system featx runs on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.files import locks
from featx.files.locks import LockHeld, folder_lock, lock_file, wait_for_lock
from tests.conftest import ROOT
from tests.store.test_store import expected, held, row, writer

HOLDER = """
import sys
from pathlib import Path
from featx.files.locks import folder_lock, lock_file
with {lock}(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held_elsewhere():
    """Another process that holds a lock until the test ends it."""
    processes = []

    def hold(lock: str, path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER.format(lock=lock), str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        processes.append(process)
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        return process

    yield hold
    for process in processes:
        process.communicate()


def test_a_lock_file_is_held_by_one_process_which_is_named_and_is_free_when_that_one_is_killed(
    tmp_path, held_elsewhere
):
    holder = held_elsewhere("lock_file", tmp_path / "a.lock")
    with pytest.raises(LockHeld) as refused, lock_file(tmp_path / "a.lock"):
        pass
    assert refused.value.pid == holder.pid
    holder.kill()
    holder.wait()
    with lock_file(tmp_path / "a.lock"):
        assert int((tmp_path / "a.lock").read_text()) == os.getpid()


def test_the_lock_of_another_program_is_refused_and_stays_as_it_is(tmp_path):
    (tmp_path / "a.lock").write_text("version = 1\n")
    with pytest.raises(FeatxError, match="not a lock of featx"), lock_file(tmp_path / "a.lock"):
        pass
    assert (tmp_path / "a.lock").read_text() == "version = 1\n"


def test_a_folder_is_waited_for_and_given_up_when_its_writer_does_not_leave(tmp_path, held_elsewhere):
    holder = held_elsewhere("folder_lock", tmp_path)
    with pytest.raises(LockHeld), folder_lock(tmp_path, patience=0.2):
        pass
    holder.communicate()
    with folder_lock(tmp_path, patience=0):
        assert list(tmp_path.iterdir()) == []


def test_a_lock_is_waited_for_as_long_as_its_holder_makes_progress(monkeypatch):
    answers = iter([False] * 50 + [True])
    clock = iter(range(10**6))
    monkeypatch.setattr(locks, "try_lock", lambda fd: next(answers))
    monkeypatch.setattr(locks.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(locks.time, "monotonic", lambda: float(next(clock)))
    sizes = iter(range(10**6))
    wait_for_lock(3, patience=5, progress=lambda: next(sizes))
    with pytest.raises(LockHeld):
        answers = iter([False] * 50)
        wait_for_lock(3, patience=5, progress=lambda: 7)


def test_where_a_folder_cannot_be_locked_nobody_waits(tmp_path, monkeypatch):
    def unsupported(fd: int) -> bool:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks, "try_lock", unsupported)
    with folder_lock(tmp_path):
        pass
    with pytest.raises(FeatxError, match="not supported") as refused, lock_file(tmp_path / "a.lock"):
        pass
    assert refused.value.code == "no-permission" and "local disk" in refused.value.hint


@pytest.fixture
def another_system(monkeypatch):
    """What Windows has not: calls that read at an offset, folders that can be opened, some flags."""
    for name in ("pread", "pwrite", "fdatasync", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK", "O_NOFOLLOW"):
        monkeypatch.delattr(os, name, raising=False)
    real = os.open

    def only_files(path, *rest, **named):
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest, **named)

    monkeypatch.setattr(os, "open", only_files)


def test_a_store_is_written_sealed_and_read_where_the_system_has_only_the_common_calls(tmp_path, another_system):
    path = tmp_path / "a.h5"
    with writer(path) as open_writer:
        open_writer.append([row(0), row(1)])
        assert (open_writer.copy_features(row(0).digest) == row(0).features).all()
        open_writer.append([row(2)])
        assert held(path) == expected([row(i) for i in range(3)])
        open_writer.seal()
        open_writer.append([row(3)])
    assert held(path) == expected([row(i) for i in range(4)])
    with pytest.raises(FeatxError, match=str(os.getpid())), writer(path), writer(path):
        pass


def test_a_folder_that_cannot_be_opened_is_locked_by_a_file_in_it(tmp_path, another_system):
    with folder_lock(tmp_path), pytest.raises(LockHeld), folder_lock(tmp_path, patience=0):
        pass
    with folder_lock(tmp_path, patience=0):
        pass
