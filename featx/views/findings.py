"""Findings to look at: groups of photos as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from featx.views.pages import render

SIDE = 176
PHOTOS_OF_A_GROUP = 20


@dataclass(frozen=True)
class Photo:
    """A photo and its caption."""

    path: str
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """The text in place of a photo that cannot be shown."""
        return Path(self.path).name


@dataclass(frozen=True)
class PhotoGroup:
    """Photos that belong together, under a title."""

    title: str
    photos: Sequence[Photo]


def findings_page(title: str, lead: str, groups: Sequence[PhotoGroup]) -> str:
    """A page of groups; of a large one the first photos are shown and the others counted."""
    return render("findings.html.j2", title=title, lead=lead, groups=groups, most=PHOTOS_OF_A_GROUP, side=SIDE)
