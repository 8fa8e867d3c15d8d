"""Pages in one file each: everything inside, nothing fetched, no script, every name escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from featx.files.spreadsheet import write_whole
from featx.images.thumbnails import thumbnail_uri
from featx.views.quantities import pluralise

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **parts: object) -> str:
    """A template filled in; names that are no text are shown by their bytes."""
    text = _environment().get_template(template).render(**parts)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"thumbnail": thumbnail_uri, "pluralise": pluralise}
    return environment


def write_page(path: Path, page: str) -> None:
    """Write a page, whole or not at all."""
    write_whole(path, page.encode("utf-8"))
