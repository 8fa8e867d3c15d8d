"""Pages in one file each: everything inside, nothing fetched, no script but our own, every name escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
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
    environment = environment_of(TEMPLATES)
    environment.filters |= {"thumbnail": thumbnail_uri, "pluralise": pluralise}
    return environment


def environment_of(templates: Path) -> Environment:
    """The templates of a folder. What they fill in is escaped unless it is Markup: names come from anywhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def script_policy(scripts: Sequence[str]) -> str:
    """What a page may load and run: its own pictures, styles and these very scripts."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}; "
        "base-uri 'none'; form-action 'none'"
    )


def write_page(path: Path, page: str) -> None:
    """Write a page, whole or not at all."""
    write_whole(path, page.encode("utf-8"))
