"""All shards of a catalogue by processes of this machine: one that is killed costs its shard, which is begun again."""

from __future__ import annotations

import multiprocessing
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from featx.catalogue.items import Catalogue
from featx.catalogue.reading import read_catalogue
from featx.errors import FeatxError
from featx.extraction.options import ExtractionOptions
from featx.extraction.provenance import equivalent_command
from featx.extraction.shards import Shard, extract_shard, join_shards, missing_shards, parts_of
from featx.store import Store
from featx.store.snapshot import from_record, to_record

# A shard whose process dies so often has a photo that kills it.
ATTEMPTS = 3

Advance = Callable[[int, int], object]


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
        from dataclasses import replace

        from featx.catalogue.items import Skipped

        items = [replace(from_record(record), headings=self.headings) for record in self.items]
        part = Catalogue(self.root, items, [Skipped(*skip) for skip in self.skipped], **self.facts)
        record = extract_shard(part, self.options, self.store, self.shard, in_all=self.in_all, command=self.command)
        return record is not None


def extract_in_shards(
    source: str | Path | Iterable[str] | Catalogue,
    *,
    store: str | Path,
    shards: int,
    jobs: int = 1,
    progress: Advance = lambda done, total: None,
    **settings: Any,
) -> Store:
    """Extract a catalogue in shards, those that are missing, and join them; `settings` are those of `featx.extract`."""
    catalogue = source if isinstance(source, Catalogue) else read_catalogue(source)
    options = ExtractionOptions.from_arguments(settings)
    command = equivalent_command(source, options, Path(store))
    return run_shards(catalogue, options, Path(store), shards, jobs=jobs, command=command, progress=progress)


def run_shards(
    catalogue: Catalogue,
    options: ExtractionOptions,
    store: Path,
    of: int,
    *,
    jobs: int = 1,
    command: str = "",
    progress: Advance = lambda done, total: None,
) -> Store:
    """Extract the shards that are missing, so many at once, and join all."""
    require_for_shards(options)
    parts = parts_of(catalogue, of)
    missing = missing_shards(parts, store, options)
    tasks = deque(Task.of(shard, parts[shard], options, store, len(catalogue.items), command) for shard in missing)
    del parts
    progress(of - len(missing), of)
    with _Pool(min(jobs, len(tasks))) as pool:
        for done in pool.run(tasks):
            progress(of - len(missing) + done, of)
    return join_shards(catalogue, options, store, of)


def require_for_shards(options: ExtractionOptions) -> None:
    """Refuse options that have no meaning for shards, or would give each another meaning."""
    if options.replace or options.prune or options.dry_run or options.force:
        raise FeatxError(
            "bad-flag",
            "shards are made once: `--replace`, `--prune`, `--force` and `--dry-run` have no meaning for them",
            "delete the folder of the shards to make them anew",
        )
    if options.layer is not None and "auto" in options.layer:
        raise FeatxError(
            "bad-flag",
            "`--layer auto` looks at the photos at hand, and each shard has others",
            "name the layers: `featx extract SAMPLE --layer auto` on some photos says which suit",
        )


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

    def answer(self) -> tuple[str, Any] | None:
        """What came of the task; None where the process died."""
        try:
            answer: tuple[str, Any] = self.pipe.recv()
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

    def run(self, tasks: deque[Task]) -> Iterable[int]:
        """Work on all tasks; yields how many are done whenever one is."""
        done, deaths = 0, Counter[Shard]()
        for worker in self._workers:
            worker.give(tasks.popleft())
        while any(worker.task for worker in self._workers):
            by_pipe: dict[Any, _Worker] = {worker.pipe: worker for worker in self._workers if worker.task}
            for pipe in wait(list(by_pipe)):
                worker = by_pipe[pipe]
                task, answer = worker.task, worker.answer()
                assert task is not None
                worker.task = None
                if answer is None:
                    deaths[task.shard] += 1
                    self._replace(worker)
                    if deaths[task.shard] >= ATTEMPTS:
                        raise _killed(task.shard)
                    tasks.appendleft(task)
                elif answer[0] == "error":
                    raise FeatxError(*answer[1])
                elif answer[0] == "stopped":
                    raise KeyboardInterrupt
                else:
                    done += 1
                    yield done
            for idle in self._workers:
                if idle.task is None and tasks:
                    idle.give(tasks.popleft())

    def _replace(self, dead: _Worker) -> None:
        dead.end()
        self._workers[self._workers.index(dead)] = _Worker()


def _killed(shard: Shard) -> FeatxError:
    return FeatxError(
        "worker-died",
        f"the process of shard {shard} was killed {ATTEMPTS} times",
        f"too little memory, or a photo that kills its reader: run it alone with `--shard {shard} --verbose`",
    )


def _work(pipe: Connection[Any, Any]) -> None:
    """A worker: shards come in, what came of each goes out, until nobody is there any more."""
    while True:
        try:
            task = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            answer: tuple[str, Any] = ("done" if task.run() else "stopped", None)
        except FeatxError as error:
            answer = ("error", (error.code, error.message, error.hint, dict(error.details)))
        except KeyboardInterrupt:
            answer = ("stopped", None)
        pipe.send(answer)
