"""`featx extract --shard` and `--shards`: a catalogue in parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from featx.cli.output import Output, duration, pluralise
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.catalogue.items import Catalogue
    from featx.catalogue.photo_lists import PhotoList
    from featx.extraction import ExtractionOptions


def extract_sharded(
    out: Output,
    catalogue: Catalogue | PhotoList,
    options: ExtractionOptions,
    store: Path | None,
    command: str,
    shard: str | None,
    shards: int | None,
    jobs: int | None,
    on: str,
) -> None:
    """One shard of a catalogue, or all that are missing and then the store of all."""
    from featx.extraction.sharded_run import require_for_shards

    require_for_shards(options)
    if shard is not None and shards is not None:
        raise FeatxError("bad-flag", "`--shard` makes one, `--shards` all that are missing", "leave out one of the two")
    if store is None:
        raise FeatxError("bad-flag", "shards need the name of the store they will be", "add `--store photos.h5`")
    if shard is not None:
        _one(out, catalogue, options, store, command, shard)
    else:
        assert shards is not None
        _all(out, catalogue, options, store, command, shards, jobs, on)


def _one(
    out: Output, catalogue: Catalogue | PhotoList, options: ExtractionOptions, store: Path, command: str, text: str
) -> None:
    from featx.cli.extract_progress import narrator
    from featx.extraction.shards import Parts, Shard, extract_shard, is_recorded

    shard = Shard.of_text(text)
    parts = Parts(catalogue, shard.of)
    record = extract_shard(parts[shard], options, store, shard, in_all=parts.n, listener=narrator(out), command=command)
    if record is None:
        out.warn(f"stopped: run the same command again to go on with shard {shard}")
        raise typer.Exit(130)
    skipped = f", {pluralise(len(record.skipped), 'file')} skipped" if record.skipped else ""
    out.ok(f"shard {shard}: features of {pluralise(record.n, 'photo')}{skipped} ({duration(record.seconds)})")
    left = sum(not is_recorded(store, other) for other in parts)
    facts = {"shard": shard.number, "of": shard.of, "n": record.n, "skipped": len(record.skipped)}
    out.document({"version": 1, "store": str(store), **facts, "missing": left, "fingerprint": record.fingerprint})
    if not left:
        out.next(f"all shards are done; the same command with `--shards {shard.of}` in place of `--shard` joins them")


def _all(
    out: Output,
    catalogue: Catalogue | PhotoList,
    options: ExtractionOptions,
    store: Path,
    command: str,
    shards: int,
    jobs: int | None,
    on: str,
) -> None:
    from featx.extraction.sharded_run import run_shards

    out.say(catalogue.describe())
    with out.progress(shards, "extracting", "shards") as advance:
        joined = run_shards(
            catalogue, options, store, shards, jobs=jobs, on=on, command=command, progress=lambda done, _: advance(done)
        )
    skipped = len(joined.known_skipped())
    left_out = f", {pluralise(skipped, 'file')} skipped" if skipped else ""
    out.ok(f"{pluralise(shards, 'shard')} joined: features of {pluralise(len(joined), 'photo')} in {store}{left_out}")
    out.document({"version": 1, "store": str(store), "shards": shards, "n": len(joined), "skipped": skipped})
    out.next(f"featx fit --store {store}")
