"""`featx extract`: photos in, a feature store out."""

from __future__ import annotations

import shlex
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.completion import backbone_names
from featx.cli.extract_progress import narrator
from featx.cli.options import (
    DeviceOption,
    JsonFlag,
    QuietFlag,
    SeedOption,
    StoreOption,
    VerboseFlag,
    WeightsOption,
)
from featx.cli.output import Output, duration, pluralise, size, some_of
from featx.cli.shop_folder import works_elsewhere
from featx.cli.sources import ReadingFlags, catalogue_of, parts_or_catalogue_of
from featx.cli.stores import use_command
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.extraction import ExtractionReport


class ReadChoice(StrEnum):
    """Whether the text on photos is read."""

    all = "all"
    auto = "auto"


def extract(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...",
            help="A folder, a table (CSV, TSV, JSON Lines, Parquet), photos, or - for paths on stdin.",
        ),
    ],
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            "-b",
            help="The network, or several joined by +; `featx backbones` lists them.",
            show_default="chosen once",
            autocompletion=backbone_names,
        ),
    ] = None,
    weights: WeightsOption = None,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            metavar="NODE[:POOL],...",
            help="Where features are read: one layer, several side by side, or auto.",
            show_default="penultimate, the input of the classification head",
        ),
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option(
            "--pool",
            metavar="POOL,...",
            help="avg, max, gem, avgmax, middle, spread or flatten, for layers with a height and a width.",
            show_default="avg",
        ),
    ] = None,
    label_from: Annotated[
        str,
        typer.Option(
            "--label-from", help="The part of the path that is the category: auto, leaf, top, path, prefix or none."
        ),
    ] = "auto",
    pattern: Annotated[
        str | None,
        typer.Option(
            "--pattern", help="How to read file names: {product}_{shot}, or a regular expression with named groups."
        ),
    ] = None,
    image_col: Annotated[str | None, typer.Option("--image-col", help="Column with the photo's path.")] = None,
    label_col: Annotated[str | None, typer.Option("--label-col", help="Column with the category.")] = None,
    id_col: Annotated[str | None, typer.Option("--id-col", help="Column with the item's id.")] = None,
    group_col: Annotated[
        str | None, typer.Option("--group-col", help="Column with the product; `none` turns guessing off.")
    ] = None,
    images_folder: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="The photos of a table without paths: A1001.jpg, A1001_2.jpg, …"),
    ] = None,
    image_pattern: Annotated[
        str | None,
        typer.Option("--image-pattern", help="With --images: how photos are named, such as {sku}_{shot}.jpg."),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="The split of every photo: train, val or test.")] = None,
    split_col: Annotated[str | None, typer.Option("--split-col", help="Column with train, val or test.")] = None,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="Allow a table to name photos outside its own folder.")
    ] = False,
    device: DeviceOption = "auto",
    precision: Annotated[str, typer.Option("--precision", help="auto, fp32, bf16, fp16 or int8.")] = "auto",
    engine: Annotated[
        str,
        typer.Option(
            "--engine", help="The engine that runs the network: auto, torch, compile, openvino or onnxruntime."
        ),
    ] = "auto",
    exact_decode: Annotated[
        bool,
        typer.Option("--exact-decode", help="Decode large JPEGs at full size (slower)."),
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", "--batch", min=1, max=4096, help="Photos per batch.", show_default="automatic"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, max=256, help="Threads that read and decode.", show_default="one per core"),
    ] = None,
    views: Annotated[
        int, typer.Option("--views", min=1, max=64, help="Store flips and crops of each photo too, for training.")
    ] = 1,
    half: Annotated[bool, typer.Option("--half", help="Store features as float16, in half the space.")] = False,
    seed: SeedOption = 0,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what is no longer on disk or in the table.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Recompute everything.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Delete the old store first (asks; see --yes).")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --replace.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop with an error at the first unreadable photo.")] = False,
    read: Annotated[
        ReadChoice | None,
        typer.Option(
            "--read", metavar="[all|auto]", help="Read the text on the photos too; auto: only where a sample has text."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="I/N", help="Only this of N equal parts, for arrays of jobs: 3/100."),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option("--shards", min=1, max=1_000_000, help="In so many parts: those that are missing, then join all."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            max=100_000,
            help="With --shards: so many at once.",
            show_default="1; all that fit on a cluster",
        ),
    ] = None,
    on: Annotated[
        str, typer.Option("--on", metavar="WHERE", help="With --shards: here, ray, ray://HOST:PORT or spark.")
    ] = "here",
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be done; write nothing.")] = False,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Turn photos into features, once; later runs compute only what is new.

    Example: featx extract data/train
    """
    arguments = locals()
    out = Output(json=json, quiet=quiet, verbose=verbose)
    if not images[0].strip():
        raise FeatxError("no-images", "no folder was named", "name a folder of photos: `featx extract data/train`")
    from featx.extraction import ExtractionOptions, run_extraction

    flags = ReadingFlags(
        label_from=label_from,
        pattern=pattern,
        image_col=image_col,
        label_col=label_col,
        id_col=id_col,
        group_col=group_col,
        split=split,
        split_col=split_col,
        allow_outside=allow_outside,
        images=images_folder,
        image_pattern=image_pattern,
    )
    command = "" if works_elsewhere() else _command_line()
    options = ExtractionOptions.from_arguments({**arguments, "dtype": "float16" if half else "float32"})
    if shards is None and on != "here":
        raise FeatxError("bad-flag", f"`--on {on}` is for `--shards`", "add `--shards N`")
    if shard is not None or shards is not None:
        if read is not None:
            what = "`--read` and shards do not go together"
            raise FeatxError("bad-flag", what, "join the shards, then read: `featx read --store STORE`")
        from featx.cli.sharded import extract_sharded

        catalogue_or_list = parts_or_catalogue_of(images, out, **flags)
        extract_sharded(out, catalogue_or_list, options, store, command or _command_line(), shard, shards, jobs, on)
        return
    catalogue = catalogue_of(images, out, **flags)
    if replace and not dry_run:
        _confirm(yes)
    from featx.backbones.weights import watched_downloads
    from featx.cli.weights import download_bar

    with download_bar(out, "weights") as download, watched_downloads(download):
        summary = run_extraction(catalogue, options, store=store, listener=narrator(out), command=command)
    unlabelled = summary.total == len(catalogue.items) and not any(catalogue.labels)
    again = shlex.join(["featx", "extract", *images, *catalogue.flags])
    _print(summary, out, " ".join(images), again, "featx duplicates" if unlabelled else "featx fit")
    text = None
    if read is not None and not summary.stopped and not dry_run:
        from featx.cli.read import print_report, read_into

        text = read_into(summary.store, out, auto=read == ReadChoice.auto)
        print_report(text, out)
    out.document({**summary.to_dict(), **({} if text is None else {"text": text.to_dict()})})
    if summary.stopped or (text is not None and text.stopped):
        raise typer.Exit(130)


def _command_line() -> str:
    """What the person typed, for the store to remember."""
    import sys

    return shlex.join(["featx", *sys.argv[1:]])


def _confirm(yes: bool) -> None:
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise FeatxError(
            "bad-flag", "`--replace` deletes the old store, and there is no terminal to confirm it on", "add `--yes`"
        )
    if not typer.confirm("Delete the old store and recompute everything?", err=True):
        raise typer.Exit(0)


def _print(summary: ExtractionReport, out: Output, source: str, again: str, then: str) -> None:
    if summary.dry_run:
        _print_plan(summary, out)
    elif summary.stopped:
        out.warn(f"stopped: {summary.total:,} of {summary.listed:,} photos are saved in {summary.store}")
        out.next("run the same command again to continue")
    else:
        _print_done(summary, out)
    _print_skipped(summary, out)
    _print_unmatched(summary, out, source)
    if summary.current:
        current = f"commands without `--store` still use {summary.current}"
        out.notice(f"{current}; `{use_command(summary.store)}` makes this one the current store")
    if not summary.stopped:
        _print_departed(summary, out, source, again)
    if not summary.dry_run and not summary.stopped:
        if not out.for_people:
            out.result(str(summary.store))
        flag = f" --store {shlex.quote(str(summary.store))}" if summary.current else ""
        out.next(f"{then}{flag}   or   featx similar <photo>{flag}")


def _print_unmatched(summary: ExtractionReport, out: Output, source: str) -> None:
    left = summary.unmatched
    if not left:
        return
    if left.skus:
        out.warn(f"{pluralise(len(left.skus), 'SKU')} of {source} without a photo: {some_of(left.skus)}")
    if left.photos:
        out.warn(f"{pluralise(len(left.photos), 'photo matches', 'photos match')} no SKU: {some_of(left.photos)}")
    if left.ambiguous:
        pairs = [f"{photo} (as {skus[0]}, not {', '.join(skus[1:])})" for photo, skus in left.ambiguous.items()]
        out.warn(f"{pluralise(len(pairs), 'photo matches', 'photos match')} several SKUs: {some_of(pairs)}")
    if summary.unmatched_list:
        out.say(f"  all of them: {summary.unmatched_list}")


def _print_departed(summary: ExtractionReport, out: Output, source: str, again: str) -> None:
    if summary.renames:
        pairs = [f"{old} → {new}" for old, new in summary.renames.items()]
        out.say(f"  under a new id: {some_of(pairs)}")
    if summary.removed:
        out.say(f"  {'to be ' if summary.dry_run else ''}removed: {some_of(summary.removed)}")
    if summary.gone:
        photos = pluralise(len(summary.gone), "photo is", "photos are")
        out.warn(f"{photos} gone from disk but kept in the store: {some_of(summary.gone)}")
    if summary.left:
        photos = pluralise(len(summary.left), "photo is", "photos are")
        out.warn(f"{photos} no longer in {source} but kept in the store: {some_of(summary.left)}")
    if summary.gone or summary.left:
        out.next(f"{again} --prune   to remove them")


def _changes(summary: ExtractionReport) -> str:
    counts = (
        (summary.new, "new"),
        (summary.changed, "changed"),
        (summary.renamed, "renamed"),
        (summary.copied, "with known bytes (not recomputed)"),
        (summary.refreshed, "with new labels or columns"),
        (summary.pruned, "removed"),
    )
    return ", ".join(f"{n:,} {word}" for n, word in counts if n)


def _print_done(summary: ExtractionReport, out: Output) -> None:
    changes = _changes(summary)
    took = duration(summary.seconds)
    if not changes:
        out.ok(f"nothing new: all {summary.total:,} photos are already in {summary.store} ({took})")
        return
    first = summary.new + summary.copied == summary.total
    file_size = size(summary.store.stat().st_size)
    lead = "" if first else f"{changes}: "
    out.ok(f"{lead}features of {pluralise(summary.total, 'photo')} in {summary.store} ({file_size}, {took})")
    if first and summary.copied:
        out.say(f"  {pluralise(summary.copied, 'exact copy', 'exact copies')} computed only once")
    for copied in summary.blocks_copied:
        photos = pluralise(copied.photos, "photo")
        out.say(f"  {copied.block} of {photos} copied from {copied.store}, not computed again")
    if summary.computed >= 32:
        out.say(f"  {summary.images_per_second:.0f} photos/s; {summary.bottleneck}")


def _print_plan(summary: ExtractionReport, out: Output) -> None:
    changes = _changes(summary) or "nothing new"
    out.result(f"would do: {changes}; {summary.unchanged:,} unchanged ({summary.store})")


def _print_skipped(summary: ExtractionReport, out: Output) -> None:
    if not summary.skipped:
        return
    reasons = Counter(photo.reason for photo in summary.skipped)
    counts = ", ".join(f"{n:,} {reason.replace('-', ' ')}" for reason, n in reasons.most_common())
    where = f" (list: {summary.skipped_list})" if summary.skipped_list else ""
    out.warn(f"{pluralise(len(summary.skipped), 'file')} skipped: {counts}{where}")
    for photo in summary.skipped[:3]:
        out.say(f"    {photo.path}: {photo.reason.replace('-', ' ')}" + (f" ({photo.detail})" if photo.detail else ""))
    if len(summary.skipped) > 3:
        out.say(f"    … {len(summary.skipped) - 3:,} more")
