"""Shards by processes of this machine: one that is killed costs its shard, which is begun again."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from featx.extraction.shard_task import Backlog, Outcome, Task, outcome_of


def run_here(tasks: Backlog, jobs: int) -> Iterator[None]:
    """Work on all tasks with so many processes; yields whenever one is done."""
    with _Pool(min(jobs, len(tasks))) as pool:
        yield from pool.run(tasks)


class _Worker:
    """A process that extracts shards one after the other, and the shard it is at."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.task: Task | None = None

    def give(self, task: Task) -> None:
        self.task = task
        with suppress(OSError):  # a process that has just died is noticed by its end
            self.pipe.send(task)

    def answer(self) -> Outcome | None:
        """What came of the task; None where the process died."""
        try:
            answer: Outcome = self.pipe.recv()
            return answer
        except (EOFError, OSError):
            return None

    def end(self) -> None:
        self.pipe.close()
        self.process.join(timeout=30)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class _Pool:
    """Some workers; one that dies is replaced."""

    def __init__(self, jobs: int) -> None:
        self._workers = [_Worker() for _ in range(jobs)]

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()

    def run(self, tasks: Backlog) -> Iterator[None]:
        """Work on all tasks; yields whenever one is done."""
        self._busy(tasks)
        while by_pipe := {worker.pipe: worker for worker in self._workers if worker.task}:
            for pipe in wait(list(by_pipe)):
                yield from self._ended(by_pipe[pipe], tasks)  # type: ignore[index]
            self._busy(tasks)

    def _busy(self, tasks: Backlog) -> None:
        for worker in self._workers:
            if worker.task is None and (task := tasks.take()) is not None:
                worker.give(task)

    def _ended(self, worker: _Worker, tasks: Backlog) -> Iterator[None]:
        task, answer = worker.task, worker.answer()
        assert task is not None
        worker.task = None
        if answer is None:
            self._replace(worker)
            tasks.again(task)
        else:
            answer.require_done()
            yield

    def _replace(self, dead: _Worker) -> None:
        dead.end()
        self._workers[self._workers.index(dead)] = _Worker()


def _work(pipe: Connection[Any, Any]) -> None:
    """A worker: shards come in, what came of each goes out, until nobody is there any more."""
    while True:
        try:
            task = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        pipe.send(outcome_of(task))
