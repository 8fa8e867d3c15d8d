"""A sheet to decide on: thumbnails in one page, a key for each decision, and the decisions as a file to download."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from featx.views.pages import TEMPLATES, render, script_policy

SIDE = 240
# Photos on a sheet, unless another number is given: about two megabytes.
MOST = 200
# The browser decodes the others when they come into view.
EAGER = 100
DOWNLOAD = "decisions.csv"


@dataclass(frozen=True)
class Choice:
    """A decision for a key: what it writes, and the words on its button."""

    key: str
    decision: str
    label: str
    words: str


@dataclass(frozen=True)
class SheetPhoto:
    """A photo to decide on: its category, other suggestions, and the facts for the decision."""

    item_id: str
    digest: str
    path: str
    name: str
    says: str = ""
    suggestions: tuple[str, ...] = ()
    why: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    columns: Mapping[str, object] = field(default_factory=dict)
    group: str = ""

    @property
    def choices(self) -> list[Choice]:
        """The decisions that make sense here, each under a key of its own."""
        keep = [Choice("r", "keep", "", f"{self.says} is right")] if self.says else []
        verb = "change to" if self.says else "it is"
        change = [
            Choice(key, "change", label, f"{verb} {label}")
            for key, label in zip("cv", self.suggestions, strict=False)
            if label != self.says
        ]
        return [*keep, *change, Choice("o", "other", "", "another category …"), Choice("x", "exclude", "", "leave out")]

    @property
    def file(self) -> str:
        """The name of the file without its folders."""
        return Path(self.path).name

    @property
    def own_columns(self) -> list[tuple[str, str]]:
        """The columns of the user's own table, without empty cells."""
        return [(name, str(value)) for name, value in self.columns.items() if value not in (None, "")]


@dataclass(frozen=True)
class SheetGroup:
    """Photos that belong together, under a heading; `first` is the number of the first of them on the sheet."""

    name: str
    first: int
    photos: list[SheetPhoto]


@dataclass(frozen=True)
class Sheet:
    """Photos to decide on, most urgent first; `total` counts those left out too."""

    title: str
    photos: Sequence[SheetPhoto]
    categories: Sequence[str]
    total: int
    order: str

    @property
    def lead(self) -> str:
        """How many photos there are and which of them are shown."""
        shown = len(self.photos)
        if shown == self.total:
            return f"{shown:,} photo{'' if shown == 1 else 's'}, {self.order} first."
        return f"The first {shown:,} of {self.total:,} photos, {self.order} first."

    @property
    def name(self) -> str:
        """Identifies the photos: each sheet keeps its own decisions in the browser."""
        known = "\n".join(f"{photo.item_id}\t{photo.digest}" for photo in self.photos)
        return hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def groups(self) -> list[SheetGroup]:
        """The photos under their headings, in order."""
        groups: list[SheetGroup] = []
        for number, photo in enumerate(self.photos):
            if not groups or groups[-1].name != photo.group:
                groups.append(SheetGroup(photo.group, number, []))
            groups[-1].photos.append(photo)
        return groups

    def to_html(self) -> str:
        """The page as one self-contained file."""
        script = _script()
        return render(
            "sheet.html.j2", title=self.title, sheet=self, script=script, policy=script_policy([script]), side=SIDE,
            eager=EAGER, download=DOWNLOAD,
        )  # fmt: skip


@cache
def _script() -> str:
    return (TEMPLATES / "sheet.js").read_text(encoding="utf-8")
