"""The flags that many commands share, written down once so that they mean the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store", "-s", envvar="FEATX_STORE", metavar="PATH", help="Which store to use.", show_default="current"
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")]
VerboseFlag = Annotated[bool, typer.Option("--verbose", "-v", help="Say more; show the trace of an error.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="For everything random.")]
DeviceOption = Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps.")]
