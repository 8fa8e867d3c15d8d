"""Rows of pictures: a page that needs nothing else, a row for a notebook, and half blocks for a terminal."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from featx.files.atomic import atomic_text_writer

if TYPE_CHECKING:
    from PIL import Image

SIDE = 160
NOTEBOOK_SIDE = 112
NOTEBOOK_PICTURES = 20

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --quiet: #666; }
@media (prefers-color-scheme: dark) { :root { --quiet: #aaa; } }
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
ol { display: flex; flex-wrap: wrap; gap: .75rem; list-style: none; padding: 0; margin: 0; }
li { width: 170px; border: 1px solid var(--line); border-radius: 6px; padding: 4px; overflow-wrap: anywhere; }
li.asked { border-width: 3px; }
img, .none { display: block; width: 160px; height: 160px; object-fit: contain; background: #fff; }
.none { display: grid; place-items: center; color: #555; }
p { margin: .25rem 0 0; } .quiet { color: var(--quiet); font-size: .85rem; }
"""


class Answer(Protocol):
    """One picture of a row, and what is said below it."""

    @property
    def product(self) -> str:
        """The product it shows."""

    @property
    def similarity(self) -> float:
        """How alike it is to what was asked."""

    @property
    def label(self) -> str | None:
        """Its category."""

    @property
    def path(self) -> str:
        """Where its photo lies."""

    @property
    def word(self) -> str:
        """What its similarity means."""


class Answers(Protocol):
    """The answers to one query."""

    @property
    def neighbours(self) -> Sequence[Answer]:
        """The answers, best first."""

    @property
    def hidden(self) -> int:
        """How many near-copies were left out."""


@dataclass(frozen=True)
class Row:
    """One row of the page: what was asked, and the answers."""

    title: str
    asked: tuple[str, ...]
    matches: Answers


def page(rows: Iterable[Row]) -> str:
    """A page of picture rows in one piece: thumbnails inside, nothing fetched, no script."""
    body = []
    for row in rows:
        cells = [_cell(path, "asked", ["your picture"], "asked") for path in row.asked[:4]]
        for rank, one in enumerate(row.matches.neighbours, start=1):
            lines = [f"{rank} · {one.similarity:.2f}" + (f" · {one.word}" if one.word else ""), one.product]
            lines += [one.label] if one.label else []
            cells.append(_cell(one.path, one.product, lines))
        left_out = f'<p class="quiet">{row.matches.hidden} near-copies left out</p>' if row.matches.hidden else ""
        none = "" if row.matches.neighbours else '<p class="quiet">nothing in the catalogue answers</p>'
        body.append(f"<section><h2>{_text(row.title)}</h2><ol>{''.join(cells)}</ol>{none}{left_out}</section>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>Similar products</title><style>{_STYLE}</style></head>\n<body><main><h1>Similar products</h1>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def write_page(target: Path, rows: Iterable[Row]) -> None:
    """Write the page aside and give it its name when it is complete."""
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_text_writer(target) as file:
        file.write(page(rows))


def row_of_pictures(name: str, asked: Sequence[str], answers: Sequence[Answer]) -> str:
    """The answers as a row of thumbnails for a notebook."""
    cells = []
    for path, title in [
        *((path, name) for path in asked[:1]),
        *((one.path, f"{one.similarity:.2f} {one.product}") for one in answers[:NOTEBOOK_PICTURES]),
    ]:
        source = _data_uri(path, NOTEBOOK_SIDE)
        picture = f'<img src="{source}" alt="{_text(title)}">' if source else "(no picture)"
        cells.append(
            f'<figure style="display:inline-block;margin:4px">{picture}<figcaption>{_text(title)}</figcaption></figure>'
        )
    return f"<div>{''.join(cells)}</div>"


def thumbnail(path: str | Path, side: int) -> Image.Image | None:
    """A small picture of a photo; None where it cannot be read any more."""
    from featx.images import UnreadablePhoto, read_photo

    try:
        image = read_photo(path, draft_size=(side, side)).image
    except UnreadablePhoto:
        return None
    image.thumbnail((side, side))
    return image


def half_blocks(
    image: Image.Image, across: int, down: int
) -> list[list[tuple[tuple[int, int, int], tuple[int, int, int]]]]:
    """A picture as rows of cells, two pixels a cell: the colour above and the colour below; white around it."""
    from PIL import Image, ImageOps

    fitted = ImageOps.contain(image, (across, 2 * down))
    whole = Image.new("RGB", (across, 2 * down), "white")
    whole.paste(fitted, ((across - fitted.width) // 2, (2 * down - fitted.height) // 2))
    data = whole.load()
    assert data is not None
    return [[(_rgb(data[x, 2 * y]), _rgb(data[x, 2 * y + 1])) for x in range(across)] for y in range(down)]


def _rgb(pixel: object) -> tuple[int, int, int]:
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


def _cell(path: str, alt: str, lines: Sequence[str], kind: str = "") -> str:
    source = _data_uri(path, SIDE)
    shown = f'<img src="{source}" alt="{_text(alt)}">' if source else '<span class="none">no picture</span>'
    words = "".join(f"<p{' class=quiet' if i else ''}>{_text(line)}</p>" for i, line in enumerate(lines))
    return f'<li class="{kind}">{shown}{words}</li>' if kind else f"<li>{shown}{words}</li>"


def _data_uri(path: str, side: int) -> str | None:
    image = thumbnail(path, side)
    if image is None:
        return None
    held = io.BytesIO()
    image.save(held, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()


def _text(text: str) -> str:
    return escape(text.encode("utf-8", "backslashreplace").decode())
