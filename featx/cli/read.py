"""`featx read`: the text on photos."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Output, duration, pluralise

if TYPE_CHECKING:
    from featx.text.reading import ReadingReport, UnreadPhoto


def read(
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STORE|PHOTOS]...",
            help="A store; or photos, a folder or a table, whose text is printed and not kept.",
            show_default="the current store",
        ),
    ] = None,
    auto: Annotated[
        bool, typer.Option("--auto", help="Read a sample first, and the rest only where the sample has text.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Read every photo again.")] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=256, help="Photos at a time.", show_default="one per core")
    ] = None,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Read the text on photos, once; later runs read only what is new.

    Example: featx read && featx similar --text "oat milk"
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.cli.stores import store_in_use
    from featx.workspace import is_store

    named = [Path(photo) for photo in photos or []]
    if photos and not (len(named) == 1 and is_store(named[0]) and not named[0].is_dir() and named[0].suffix == ".h5"):
        _print_texts(photos, workers, out)
        return
    report = read_into(store_in_use(named[0] if named else store, out), out, auto=auto, force=force, workers=workers)
    out.document(report.to_dict())
    print_report(report, out)
    if report.stopped:
        raise typer.Exit(130)


def read_into(
    store: Path, out: Output, *, auto: bool = False, force: bool = False, workers: int | None = None
) -> ReadingReport:
    """Read the photos of a store with a bar; Ctrl-C finishes the photos under way and keeps all."""
    from featx.cli.narrator import narrator
    from featx.extraction.signals import Interrupts
    from featx.store import open_store
    from featx.text.reading import read_store

    opened, stop = open_store(store), threading.Event()
    with Interrupts(stop, narrator(out)), out.progress(len(set(opened.digests)), "read") as advance:
        return read_store(
            opened,
            auto=auto,
            force=force,
            workers=workers,
            stop=stop,
            progress=lambda done, total: advance(len(set(opened.digests)) - total + done),
        )


def print_report(report: ReadingReport, out: Output) -> None:
    """What a run did, for people."""
    from featx.text.text_file import texts_beside

    file = texts_beside(report.store)
    text = f"text on {report.with_text:,} of {pluralise(report.done, 'photo')}"
    if report.stopped:
        out.warn(f"stopped: {report.done:,} photos are read, and kept in {file}")
        out.next("run the same command again to continue")
    elif report.left:
        out.ok(f"{text} in a sample: too few for the other {report.left:,} to be read (`--force` reads them)")
    elif report.read or report.copied:
        out.ok(f"{text}, kept in {file} ({duration(report.seconds)})")
    else:
        out.ok(f"nothing new: {text}, in {file}")
    if report.copied:
        out.say(f"  the text of {pluralise(report.copied, 'photo')} copied from other stores, not read again")
    if report.by_other_reader:
        photos = pluralise(report.by_other_reader, "photo")
        out.say(f"  {photos} read by another version of the reader (`--force` reads them again)")
    warn_of(report.unread, out)
    if report.with_text and not report.stopped:
        out.next('featx similar --text "…"')


def warn_of(unread: Sequence[UnreadPhoto], out: Output) -> None:
    """Name the photos that could not be read."""
    if not unread:
        return
    out.warn(f"{pluralise(len(unread), 'photo')} could not be read")
    for photo in unread[:3]:
        out.say(f"    {photo.path}: {photo.reason.replace('-', ' ')}" + (f" ({photo.detail})" if photo.detail else ""))
    if len(unread) > 3:
        out.say(f"    … {len(unread) - 3:,} more (`--json` lists them)")


def _print_texts(photos: list[str], workers: int | None, out: Output) -> None:
    """The text on photos that need not be in a store."""
    from featx.catalogue.reading import read_catalogue
    from featx.cli.sources import source_of
    from featx.compute.threads import cores
    from featx.text.reader import open_reader
    from featx.text.reading import PhotoToRead, UnreadPhoto, side_by_side

    wanted = [PhotoToRead(item.path) for item in read_catalogue(source_of(photos)).items]
    records, unread = [], []
    with out.progress(len(wanted), "read") as advance:
        answers = side_by_side(open_reader(), wanted, workers or cores(), threading.Event())
        for done, (photo, outcome) in enumerate(answers, start=1):
            if isinstance(outcome, UnreadPhoto):
                unread.append(outcome)
            else:
                records.append({"path": photo.path, "text": outcome.text, "lines": outcome.to_record()})
            advance(done)
    rows = [[str(record["path"]), str(record["text"])] for record in records]
    out.records(["file", "text"], rows, records, paths=["file"])
    warn_of(unread, out)
