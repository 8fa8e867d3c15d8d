"""Photos beside a query: a page with a row for each, a table for a notebook, and half blocks for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from featx.views.notebook import notebook_table
from featx.views.pages import render
from featx.views.quantities import pluralise

if TYPE_CHECKING:
    from PIL import Image

SIDE = 176
NOTEBOOK_COLUMNS = ("#", "score", "product", "category", "path")


class Answer(Protocol):
    """An answer: a photo and its caption."""

    @property
    def product(self) -> str:
        """The product it shows."""

    @property
    def similarity(self) -> float:
        """Its similarity to the query."""

    @property
    def label(self) -> str | None:
        """Its category."""

    @property
    def path(self) -> str:
        """The path of its photo."""

    @property
    def word(self) -> str:
        """What its similarity means."""

    @property
    def text(self) -> str | None:
        """What was read off its photo."""


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


def notebook_answers(name: str, query: Sequence[str], answers: Sequence[Answer]) -> str:
    """The query and its answers as a table for a notebook."""
    rows: list[Sequence[object]] = [("query", "", name, "", query[0])] if query else []
    rows += [
        (rank, f"{answer.similarity:.2f}", answer.product, answer.label, answer.path)
        for rank, answer in enumerate(answers, start=1)
    ]
    photos = [query[:1]] if query else []
    caption = f"{pluralise(len(answers), 'product')} like {name}"
    return notebook_table(caption, NOTEBOOK_COLUMNS, rows, [*photos, *((answer.path,) for answer in answers)])


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
