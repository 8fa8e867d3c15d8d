"""All shards of a catalogue, on this machine or on a cluster, and then the store of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from featx.catalogue.items import Catalogue
from featx.catalogue.photo_lists import PhotoList
from featx.catalogue.reading import read_in_parts
from featx.errors import FeatxError
from featx.extraction.options import ExtractionOptions
from featx.extraction.provenance import equivalent_command
from featx.extraction.shard_task import Backlog, Task
from featx.extraction.shards import Parts, join_shards, missing_shards
from featx.store import Store

Advance = Callable[[int, int], object]
Executor = Callable[[Backlog], Iterator[None]]


def extract_in_shards(
    source: str | Path | Iterable[str] | Catalogue,
    *,
    store: str | Path,
    shards: int,
    jobs: int | None = None,
    on: str = "here",
    progress: Advance = lambda done, total: None,
    **settings: Any,
) -> Store:
    """Extract a catalogue in shards, those that are missing, and join them; `settings` are those of `featx.extract`.

    `on` is where: `here`, `ray`, `ray://HOST:PORT` or `spark`. `jobs` is how many shards at once: one by default here,
    and as many as there is room for on a cluster.
    """
    catalogue = source if isinstance(source, Catalogue) else read_in_parts(source)
    options = ExtractionOptions.from_arguments(settings)
    command = equivalent_command(source, options, Path(store))
    return run_shards(catalogue, options, Path(store), shards, jobs=jobs, on=on, command=command, progress=progress)


def run_shards(
    catalogue: Catalogue | PhotoList,
    options: ExtractionOptions,
    store: Path,
    of: int,
    *,
    jobs: int | None = None,
    on: str = "here",
    command: str = "",
    progress: Advance = lambda done, total: None,
) -> Store:
    """Extract the shards that are missing, so many at once, and join all."""
    require_for_shards(options)
    executor = executor_of(on, options, jobs)
    parts = Parts(catalogue, of)
    missing = missing_shards(parts, store, options)
    tasks = (Task.of(shard, parts[shard], options, store, parts.n, command) for shard in missing)
    progress(of - len(missing), of)
    if missing:
        for done, _ in enumerate(executor(Backlog(tasks, len(missing))), start=1):
            progress(of - len(missing) + done, of)
    return join_shards(parts, options, store)


def executor_of(on: str, options: ExtractionOptions, jobs: int | None) -> Executor:
    """Who extracts the shards: processes of this machine, or a cluster by its name."""
    if on == "here":
        from featx.extraction.shard_pool import run_here

        return lambda tasks: run_here(tasks, jobs or 1)
    if on == "ray" or on.startswith("ray://"):
        from featx.extraction.ray_cluster import run_on_ray

        return lambda tasks: run_on_ray(tasks, on, options, jobs)
    if on == "spark":
        from featx.extraction.spark_cluster import run_on_spark

        return lambda tasks: run_on_spark(tasks, options, jobs)
    raise FeatxError("bad-flag", f"`--on {on}` is not known", "choose here, ray, ray://HOST:PORT or spark")


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
