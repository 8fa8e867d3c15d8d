"""Pages of photos to decide on, written and announced the same way by every command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from featx.cli.output import Output, pluralise, size

if TYPE_CHECKING:
    from featx.views.sheet import Sheet


def write_sheet(path: Path, sheet: Sheet, out: Output) -> None:
    """Write a sheet, and print how many photos it shows, its size, and the next step."""
    from featx.views.pages import write_page

    page = sheet.to_html()
    write_page(path, page)
    shown, total = len(sheet.photos), sheet.total
    some = (
        f"{shown:,} of {pluralise(total, 'photo')}, {sheet.order} first" if shown < total else pluralise(total, "photo")
    )
    out.ok(f"wrote {path}: {some} ({size(len(page.encode()))})")
    if shown:
        out.say("  open it in a browser, decide by keyboard (? shows the keys), and download the decisions")
        out.next("featx issues --apply decisions.csv")
