"""How findings are shown: tables for spreadsheets, thumbnails, and pages that need nothing beside them."""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import SPREADSHEET, write_atomic
from featx.files.cells import safe_cell

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1a1a1a;"
    "background:#fff}section{border-top:1px solid #ccc;padding:1rem 0}figure{display:inline-block;margin:0 1rem 1rem 0;"
    "width:11rem;vertical-align:top;overflow-wrap:anywhere}img{max-width:11rem;max-height:11rem;display:block}"
    "figcaption{font-size:.9rem}.none{height:5rem;background:#eee;padding:.5rem}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#1a1a1a}.none{background:#333}}"
)


def thumbnail(path: str, side: int = 176) -> str:
    """A small JPEG of a photo as a data address; empty where the photo cannot be read."""
    from featx.images import UnreadablePhoto, read_photo

    try:
        image = read_photo(path, draft_size=(2 * side, 2 * side)).image
    except UnreadablePhoto:
        return ""
    image.thumbnail((side, side))
    held = io.BytesIO()
    image.save(held, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode("ascii")


def figure(path: str, lines: Iterable[str], side: int = 176) -> str:
    """One picture with what is to be known about it; every word escaped."""
    shown = thumbnail(path, side)
    words = "<br>".join(told(line) for line in lines)
    name = told(Path(path).name)
    picture = f'<img src="{shown}" alt="{name}">' if shown else f'<div class="none">{name}: not readable</div>'
    return f"<figure>{picture}<figcaption>{words}</figcaption></figure>"


def told(text: object) -> str:
    """Text that may stand in a page, whatever bytes a file name holds."""
    return html.escape(str(text).encode("utf-8", "replace").decode("utf-8"), quote=True)


def page(title: str, lead: str, sections: Iterable[str]) -> str:
    """A whole page that loads nothing from anywhere."""
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{told(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main><h1>{told(title)}</h1><p>{told(lead)}</p>\n{body}\n</main></body></html>\n"
    )


def html_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A plain table, every cell escaped."""
    head = "".join(f"<th>{told(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{told(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str | int | float | None]]) -> None:
    """A CSV a spreadsheet opens safely, written aside and put in place whole."""
    held = io.StringIO()
    table = csv.writer(held, lineterminator="\r\n")
    table.writerow(columns)
    table.writerows([["" if cell is None else safe_cell(cell) for cell in row] for row in rows])
    write_whole(path, held.getvalue(), SPREADSHEET)


def write_whole(path: Path, text: str, encoding: str = "utf-8") -> None:
    """Put a text file in place whole or not at all."""
    if not path.name:
        raise FeatxError("bad-flag", f"`{path}` is no name for a file", "name one, such as `found.html`")
    try:
        write_atomic(path, text.encode(encoding, "surrogateescape"))
    except OSError as error:
        raise FeatxError(
            "no-permission", f"cannot write `{path}`: {error.strerror or error}", "choose another place"
        ) from error
