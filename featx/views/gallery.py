"""Photos beside a query: a page with a row for each, a row for a notebook, and half blocks for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from featx.views.findings import Photo, notebook_table
from featx.views.pages import render

if TYPE_CHECKING:
    from PIL import Image

SIDE = 176
NOTEBOOK_SIDE = 112
NOTEBOOK_PHOTOS = 20


class Answer(Protocol):
    """One answer: a photo and what stands below it."""

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
    """One row of the page: the photos that were looked for, and the answers."""

    title: str
    query: tuple[str, ...]
    matches: Answers


def gallery_page(rows: Sequence[Row]) -> str:
    """A page with a row of photos for each query."""
    return render("gallery.html.j2", title="Similar products", rows=rows, side=SIDE)


def notebook_row(name: str, query: Sequence[str], answers: Sequence[Answer]) -> str:
    """The answers as a row of thumbnails for a notebook."""
    photos = [Photo(path, (name,)) for path in query[:1]]
    photos += [Photo(match.path, (f"{match.similarity:.2f} {match.product}",)) for match in answers[:NOTEBOOK_PHOTOS]]
    return notebook_table((), (), photos, NOTEBOOK_SIDE)


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
