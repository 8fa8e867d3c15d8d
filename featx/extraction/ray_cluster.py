"""Shards by the workers of a Ray cluster: one that is killed costs its shard, which another begins again."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from featx.errors import FeatxError
from featx.extraction.options import ExtractionOptions
from featx.extraction.shard_task import Backlog, Driver, Outcome, Task, require_visible

# Shards that wait at the cluster for each one that runs: a worker that is free has its next at once.
WAITING = 2


@dataclass(frozen=True)
class Need:
    """What one shard occupies while it is extracted."""

    cpus: int
    gpus: int

    @classmethod
    def of(cls, options: ExtractionOptions) -> Need:
        """A core for each thread that decodes, and a GPU where one was asked for."""
        return cls(options.workers or 1, int(options.device.startswith("cuda")))

    def require(self, nodes: list[dict[str, Any]]) -> int:
        """How many shards fit at once; refuses a cluster on which none would ever run."""
        have = [node["Resources"] for node in nodes if node["Alive"]]
        fit = sum(self._fitting(resources) for resources in have)
        if not fit:
            most = max((int(resources.get("CPU", 0)) for resources in have), default=0)
            gpus = max((int(resources.get("GPU", 0)) for resources in have), default=0)
            raise FeatxError(
                "too-few-cpus",
                f"a shard takes {self}, and no machine of the cluster has more than {most} CPU and {gpus} GPU",
                "add machines, or let a shard take less: `--workers 1`, `--device cpu`",
            )
        return fit

    def _fitting(self, resources: dict[str, float]) -> int:
        cpus = int(resources.get("CPU", 0) // self.cpus)
        return min(cpus, int(resources.get("GPU", 0) // self.gpus)) if self.gpus else cpus

    def __str__(self) -> str:
        return f"{self.cpus} CPU" + (f" and {self.gpus} GPU" if self.gpus else "")


def run_on_ray(tasks: Backlog, on: str, options: ExtractionOptions, jobs: int | None) -> Iterator[None]:
    """Work on all tasks by the workers of a cluster; yields whenever one is done."""
    need = Need.of(options)
    with _connected(on) as ray:
        at_once = min(jobs or WAITING * need.require(ray.nodes()), len(tasks))
        # A shard that is lost is given out again here, where its deaths are counted, not by Ray.
        remote = ray.remote(num_cpus=need.cpus, num_gpus=need.gpus, max_retries=0)(extract_elsewhere)
        yield from _run(ray, remote, tasks, at_once)


def extract_elsewhere(driver: Driver, task: Task) -> Outcome:
    """The work of one worker: a shard, with the versions, in the folder and with the settings of the driver."""
    return driver.outcome_elsewhere(task)


def _run(ray: Any, remote: Any, tasks: Backlog, at_once: int) -> Iterator[None]:
    driver, running = Driver.here(), dict[Any, Task]()
    try:
        while True:
            while len(running) < at_once and (task := tasks.take()) is not None:
                running[remote.remote(driver, task)] = task
            if not running:
                return
            for ended in ray.wait(list(running), num_returns=1)[0]:
                yield from _ended(ray, ended, running.pop(ended), tasks)
    finally:
        for under_way in running:
            ray.cancel(under_way, force=True)


def _ended(ray: Any, ended: Any, task: Task, tasks: Backlog) -> Iterator[None]:
    try:
        outcome: Outcome = ray.get(ended)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError):
        tasks.again(task)
        return
    except ray.exceptions.RayError as error:
        raise FeatxError(
            "workers-differ",
            f"a worker could not begin shard {task.shard}: {_last_line(error)}",
            "install the same featx on every machine of the cluster",
        ) from error
    outcome.require_done()
    require_visible(task)
    yield


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


@contextmanager
def _connected(on: str) -> Iterator[Any]:
    """Ray, connected to the cluster of that address; without one to this machine's, which is started if need be."""
    ray = _ray()
    was_there = ray.is_initialized()
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        if not was_there:
            ray.init(
                address=on if "://" in on else None, include_dashboard=False, log_to_driver=False,
                logging_level=logging.ERROR,
            )  # fmt: skip
    except Exception as error:  # Ray raises a bare one where a machine is too busy to start it in time
        raise FeatxError(
            "no-server",
            f"there is no Ray cluster that answers at `{on}`: {_last_line(error)}",
            "check the address, the versions of Ray and Python there, and `RAY_AUTH_MODE=token` if it wants a token",
        ) from error
    try:
        # Ray prints to stdout which workers died; there is a command's result.
        with redirect_stdout(sys.stderr):
            yield ray
    finally:
        if not was_there:
            ray.shutdown()


def _ray() -> Any:
    # Ray reports its use to its makers unless this says otherwise before it starts.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise FeatxError(
            "extra-missing", "shards on Ray need Ray, which is not installed", "`pip install 'featx[ray]'`"
        ) from error
    return ray
