"""Flags shared by many commands, defined once so that they mean the same everywhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from featx.cli.completion import classifier_names


class PicturesChoice(StrEnum):
    """Whether the terminal shows thumbnails."""

    auto = "auto"
    blocks = "blocks"
    none = "none"


StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store", "-s", envvar="FEATX_STORE", metavar="PATH", help="The store to use.", show_default="current"
    ),
]
ClassifierOption = Annotated[
    str | None,
    typer.Option(
        "--clf",
        help="A trained classifier, or a .safetensors file.",
        show_default="newest",
        autocompletion=classifier_names,
    ),
]
BlocksOption = Annotated[
    list[str] | None,
    typer.Option(
        "--blocks",
        metavar="NAME,...",
        help="Use only these parts of a joined backbone, such as builtin; or all.",
        show_default="those that suit",
    ),
]
WithOption = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="COLUMN,...", help="Columns that count beside the photo; text: read off it."),
]
SentencesFlag = Annotated[
    bool, typer.Option("--sentences", help="With --with: texts count by their meaning too (English).")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the result.")]
VerboseFlag = Annotated[bool, typer.Option("--verbose", "-v", help="Print details, and the traceback of an error.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="The seed of everything random.")]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a page of photos to decide on by keyboard.")
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAME,...|none",
        help="Columns of your own table to show too.",
        show_default="as many as fit a terminal",
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", metavar="NAME|FILE", help="Published weights by name, or a .pth or .safetensors file."),
]
WeightsPlaceOption = Annotated[
    str | None,
    typer.Option("--weights", metavar="FILE|DIR", help="Where the store's weights file is, if it moved."),
]
PicturesOption = Annotated[PicturesChoice, typer.Option("--photos", help="Thumbnails in the terminal.")]
DeviceOption = Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps.")]


def block_names(requested: list[str] | None) -> list[str]:
    """The names that `--blocks` gives, repeated or separated by commas."""
    return [name.strip() for names in requested or [] for name in names.split(",") if name.strip()]
