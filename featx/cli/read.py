"""`featx read`: the text on photos."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Output, duration, pluralise
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.text.reading import ReadingReport, UnreadPhoto
    from featx.workspace import Workspace


def read(
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STORE|PHOTOS]...",
            help="A store; or a folder, a table or photos, whose text is printed.",
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
    looks: Annotated[
        int | None,
        typer.Option(
            "--looks",
            min=1,
            max=2,
            help="2: look for lines twice; takes half as long again, or more.",
            show_default="as before, else 1",
        ),
    ] = None,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Read the text on photos, once; later runs read only what is new.

    The text of a folder or table in no store is kept in artifacts/photos.text; that of single photos is not kept.

    Example: featx read && featx similar --text "oat milk"
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.cli.stores import store_in_use
    from featx.workspace import is_store

    named = [Path(photo) for photo in photos or []]
    if photos and not (len(named) == 1 and is_store(named[0]) and not named[0].is_dir() and named[0].suffix == ".h5"):
        if auto:
            raise FeatxError("bad-flag", "`--auto` needs a store", "leave it out, or name a store")
        _print_texts(photos, out, force=force, workers=workers, looks=looks or 1)
        return
    path = store_in_use(named[0] if named else store, out)
    report = read_into(path, out, auto=auto, force=force, workers=workers, looks=looks)
    out.document(report.to_dict())
    print_report(report, out)
    if report.stopped:
        raise typer.Exit(130)


def read_into(
    store: Path,
    out: Output,
    *,
    auto: bool = False,
    force: bool = False,
    workers: int | None = None,
    looks: int | None = None,
) -> ReadingReport:
    """Read the photos of a store with a bar; Ctrl-C finishes the photos under way and keeps all."""
    from featx.cli.extract_progress import narrator
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
            looks=looks,
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
        out.next('featx similar --text "…"   or   featx fit --with text')


def warn_of(unread: Sequence[UnreadPhoto], out: Output) -> None:
    """Name the photos that could not be read."""
    if not unread:
        return
    out.warn(f"{pluralise(len(unread), 'photo')} could not be read")
    for photo in unread[:3]:
        out.say(f"    {photo.path}: {photo.reason.replace('-', ' ')}" + (f" ({photo.detail})" if photo.detail else ""))
    if len(unread) > 3:
        out.say(f"    … {len(unread) - 3:,} more (`--json` lists them)")


def _print_texts(photos: list[str], out: Output, *, force: bool, workers: int | None, looks: int) -> None:
    """The text on photos that are in no store; that of many is kept, and the same command goes on after Ctrl-C."""
    from featx.catalogue.reading import read_catalogue
    from featx.cli.extract_progress import narrator
    from featx.cli.sources import source_of
    from featx.extraction.signals import Interrupts
    from featx.text.loose_photos import read_photos
    from featx.text.reading import UnreadPhoto
    from featx.workspace import Workspace

    source, stop = source_of(photos), threading.Event()
    paths = [item.path for item in read_catalogue(source).items]
    file = _kept_in(Workspace.here()) if isinstance(source, str) and not _is_photo(source) else None
    records, unread = [], []
    with Interrupts(stop, narrator(out)), out.progress(len(paths), "read") as advance:
        answers = read_photos(paths, file, force=force, workers=workers, looks=looks, stop=stop)
        for done, (path, outcome) in enumerate(answers, start=1):
            if isinstance(outcome, UnreadPhoto):
                unread.append(outcome)
            else:
                records.append({"path": path, "text": outcome.text, "lines": outcome.to_lines()})
            advance(done)
    rows = [[str(record["path"]), str(record["text"])] for record in records]
    out.records(["file", "text"], rows, records, paths=["file"])
    warn_of(unread, out)
    if stop.is_set():
        out.warn(f"stopped: {pluralise(len(records), 'photo')} of {len(paths):,} are read")
        out.next("run the same command again to continue")
        raise typer.Exit(130)
    if file is not None:
        out.ok(f"text on {sum(bool(row[1]) for row in rows):,} of {pluralise(len(rows), 'photo')}, kept in {file}")


def _is_photo(source: str) -> bool:
    from featx.catalogue.suffixes import IMAGE_SUFFIXES

    return Path(source).suffix.lower() in IMAGE_SUFFIXES


def _kept_in(workspace: Workspace) -> Path:
    workspace.make()
    return workspace.texts
