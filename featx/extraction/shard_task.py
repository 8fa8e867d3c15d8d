"""A shard on its way to whoever extracts it: a process of this machine, a worker of Ray, a task of Spark."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from featx.catalogue.items import Catalogue, Skipped
from featx.compute.machine import working_versions
from featx.errors import FeatxError
from featx.extraction.options import ExtractionOptions
from featx.extraction.shards import Shard, extract_shard, shards_of
from featx.store.snapshot import from_record, to_record

# A shard whose process dies so often has a photo that kills it.
ATTEMPTS = 3


@dataclass(frozen=True)
class Task:
    """A shard on its way to a process, in values that can be sent."""

    shard: Shard
    root: str
    items: list[list[Any]]
    headings: dict[str, str]
    skipped: list[Any]
    facts: dict[str, Any]
    options: ExtractionOptions
    store: Path
    in_all: int
    command: str

    @classmethod
    def of(
        cls, shard: Shard, part: Catalogue, options: ExtractionOptions, store: Path, in_all: int, command: str
    ) -> Task:
        """The task of one shard."""
        facts = {name: getattr(part, name) for name in ("label_source", "product_source", "ids_guessed", "from_table")}
        headings = dict(part.items[0].headings) if part.items else {}
        skips = [(skip.path, skip.reason, skip.detail) for skip in part.skipped]
        records = [to_record(item) for item in part.items]
        return cls(shard, part.root, records, headings, skips, facts, options, store, in_all, command)

    def run(self) -> bool:
        """Extract the shard; False where it was stopped."""
        items = [replace(from_record(record), headings=self.headings) for record in self.items]
        part = Catalogue(self.root, items, [Skipped(*skip) for skip in self.skipped], **self.facts)
        record = extract_shard(part, self.options, self.store, self.shard, in_all=self.in_all, command=self.command)
        return record is not None


class Outcome(NamedTuple):
    """The end of a task: done, stopped by Ctrl-C, or an error with its four parts."""

    word: str
    error: tuple[Any, ...] | None = None

    def require_done(self) -> None:
        """Raise the error that ended the task, or the Ctrl-C that stopped it."""
        if self.error is not None:
            raise FeatxError(*self.error)
        if self.word == "stopped":
            raise KeyboardInterrupt


def outcome_of(task: Task) -> Outcome:
    """Extract the shard of a task; errors of the user come back as values, which every executor can send."""
    try:
        return Outcome("done" if task.run() else "stopped")
    except FeatxError as error:
        return failed(error)
    except KeyboardInterrupt:
        return Outcome("stopped")


def failed(error: FeatxError) -> Outcome:
    """The end of a task that an error stopped."""
    return Outcome("error", (error.code, error.message, error.hint, dict(error.details)))


class Backlog:
    """The tasks that nobody works on yet, made when they are taken: a catalogue is held once, not twice."""

    def __init__(self, tasks: Iterable[Task], n: int) -> None:
        self._tasks, self._n = iter(tasks), n
        self._again: list[Task] = []
        self._deaths = Counter[Shard]()

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Task]:
        return iter(self.take, None)

    def take(self) -> Task | None:
        """The next task; None where all are taken."""
        return self._again.pop() if self._again else next(self._tasks, None)

    def again(self, task: Task) -> None:
        """Put a task back whose process was killed; one that kills every process is named."""
        self._deaths[task.shard] += 1
        if self._deaths[task.shard] >= ATTEMPTS:
            raise killed(task.shard)
        self._again.append(task)


def killed(shard: Shard) -> FeatxError:
    """The error for a shard that kills every process which extracts it."""
    return FeatxError(
        "worker-died",
        f"the process of shard {shard} was killed {ATTEMPTS} times",
        f"too little memory, or a photo that kills its reader: run it alone with `--shard {shard} --verbose`",
    )


@dataclass(frozen=True)
class Driver:
    """Where a run was started: workers elsewhere go to its folder, take its settings, and compare their versions."""

    folder: str
    settings: dict[str, str]
    versions: dict[str, str]

    @classmethod
    def here(cls) -> Driver:
        """This process."""
        settings = {name: value for name, value in os.environ.items() if name.startswith("FEATX_")}
        return cls(str(Path.cwd()), settings, working_versions())

    def outcome_elsewhere(self, task: Task) -> Outcome:
        """Extract a shard on a worker, in the folder and with the settings of the driver."""
        try:
            self._require_same_versions()
            os.environ.update(self.settings)
            self._go_to_folder()
        except FeatxError as error:
            return failed(error)
        return outcome_of(task)

    def _require_same_versions(self) -> None:
        there = working_versions()
        other = [f"{name} {there.get(name, 'absent')} (here {self.versions.get(name, 'absent')})"
                 for name in sorted(self.versions | there) if self.versions.get(name) != there.get(name)]  # fmt: skip
        if other:
            raise FeatxError(
                "workers-differ",
                f"the worker on {socket.gethostname()} has {', '.join(other)}",
                "install the same versions on all machines: features of different versions are not joined",
            )

    def _go_to_folder(self) -> None:
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise FeatxError(
                "no-such-file",
                f"the worker on {socket.gethostname()} does not see the folder `{self.folder}`",
                "start featx in a folder that all machines share",
            ) from error


def require_visible(task: Task) -> None:
    """Refuse a shard that a worker has made where this machine does not see it."""
    folder = shards_of(task.store)
    if not (folder / f"{task.shard.name}.json").exists():
        raise FeatxError(
            "no-store",
            f"shard {task.shard} was made on another machine, and is not in `{folder}` here",
            "name a `--store` in a folder that all machines share",
        )
