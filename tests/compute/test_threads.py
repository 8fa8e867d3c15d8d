"""Trainings side by side: the same answers in the same order, and matrix products get their threads back."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from featx.classifiers.fit import fit
from featx.classifiers.kinds import NAMES
from featx.classifiers.pipelines import parallel_fits
from featx.classifiers.spec import ClassifierSettings
from featx.comparison import compare
from featx.compute.threads import NoLongerWanted, one_thread, side_by_side, still_wanted
from featx.extraction import extract
from tests.conftest import photo

# Seconds after which a test that hangs fails; no answer depends on it.
PATIENCE = 300


def blas_threads() -> int:
    """Of the library that numpy multiplies matrices with; others may be loaded by other tests."""
    return next(pool["num_threads"] for pool in threadpool_info() if "numpy" in pool["filepath"])


@pytest.fixture
def three_threads():
    with threadpool_limits(3, user_api="blas"):
        if blas_threads() != 3:
            pytest.skip("this library of matrix products cannot be told how many threads to use")
        yield


def test_answers_come_in_order_whoever_is_done_first():
    others_done = threading.Semaphore(0)

    def last_is_first(number: int) -> int:
        if number == 0:
            assert all(others_done.acquire(timeout=PATIENCE) for _ in range(7))
        else:
            others_done.release()
        return number

    assert list(side_by_side(last_is_first, range(8), 4)) == list(range(8))
    assert list(side_by_side(lambda number: number, range(8), 1)) == list(range(8))
    assert list(side_by_side(lambda number: number, [], 4)) == []


def test_no_more_run_at_once_than_were_asked_for():
    running, most, lock, three = 0, 0, threading.Lock(), threading.Barrier(3)

    def count(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        three.wait(PATIENCE)  # nobody goes on before three are here
        with lock:
            running -= 1

    list(side_by_side(count, range(12), 3))
    assert most == 3


def test_what_fails_is_told_and_what_has_not_begun_never_begins(three_threads):
    begun, failed = [], threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            failed.set()
            raise ValueError("number 1")
        # The other training ends only once the whole was stopped.
        while failed.wait(PATIENCE):
            still_wanted()

    with pytest.raises(ValueError, match="number 1"):
        list(side_by_side(work, [1, *range(2, 100)], 2))
    assert len(begun) <= 3
    assert blas_threads() == 3


def test_long_work_ends_early_when_the_whole_is_stopped():
    ended, stopped = [], threading.Event()

    def endless_work(number: int) -> None:
        if number == 0:
            raise KeyboardInterrupt
        try:
            while not stopped.wait(0.001):
                still_wanted()
        except NoLongerWanted:
            ended.append(number)
            raise

    guard = threading.Timer(PATIENCE, stopped.set)
    guard.start()
    with pytest.raises(KeyboardInterrupt):
        list(side_by_side(endless_work, range(4), 2))
    guard.cancel()
    assert not stopped.is_set() and len(ended) <= 2
    still_wanted()


def test_matrix_products_have_one_thread_while_trainings_go_side_by_side_and_get_theirs_back(three_threads):
    def product(_: int) -> int:
        with one_thread():
            return blas_threads()

    assert list(side_by_side(product, range(20), 4)) == [1] * 20
    assert blas_threads() == 3
    assert list(side_by_side(lambda _: blas_threads(), range(20), 4)) == [1] * 20
    assert list(side_by_side(lambda _: blas_threads(), range(3), 1)) == [3] * 3
    assert blas_threads() == 3


def test_large_features_are_not_copied_for_every_core_at_once():
    huge = np.broadcast_to(np.float32(0), (10_000_000, 2048))
    assert parallel_fits(ClassifierSettings("svm"), huge) == 1
    assert all(
        parallel_fits(ClassifierSettings(name), np.zeros((9, 9))) == 1 for name in ("rf", "extra-trees", "centroid")
    )
    assert parallel_fits(ClassifierSettings("svm", threads=1), np.zeros((9, 9))) == 1


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("svm", "knn") else pytest.mark.long)
        for name in NAMES
        if name not in ("rf", "extra-trees")
    ],
)
def test_how_many_train_side_by_side_changes_no_answer(tmp_path, name):
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for item in range(8):
            photo(tmp_path / "photos" / category / f"{item}.jpg", seed=100 * c + item)
    store = extract(tmp_path / "photos", backbone="colour", store=tmp_path / "store.h5")
    alone, together = (fit(store, name, folds=4, threads=threads) for threads in (1, 4))
    assert alone.card.cv == together.card.cv and alone.card.settings == together.card.settings
    compared = compare(store, name, folds=4, colour=False)
    entry = next(row for row in compared.to_dict()["entries"] if row["clf"] == name)
    assert entry["cv"]["accuracy"]["mean"] == pytest.approx(alone.card.cv.accuracy, abs=0.02)
