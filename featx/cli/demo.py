"""`featx demo`: draw a sample catalogue and run everything on it once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, SeedOption, VerboseFlag
from featx.cli.output import Output, duration, pluralise
from featx.errors import FeatxError

# What the README's first screen promises, run in the new folder.
STEPS = (("extract", "data/train"), ("fit", "--clf", "svm"), ("similar", "sku123.jpg"))


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create.", show_default=True)] = Path(
        "featx-demo"
    ),
    products: Annotated[
        int, typer.Option("--products", min=1, max=10_000_000, help="How many products the shop sells.")
    ] = 112,
    shots: Annotated[int, typer.Option("--shots", min=1, max=99, help="Photos of each product.")] = 3,
    size: Annotated[int, typer.Option("--size", min=16, max=2048, help="Width and height in pixels.")] = 200,
    seed: SeedOption = 0,
    no_run: Annotated[bool, typer.Option("--no-run", help="Only draw the photos.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Draw into a folder that is not empty.")] = False,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Draw a small sample catalogue and run everything on it, offline.

    Example: featx demo
    """
    import errno
    import time

    from featx.samples import write_catalogue

    out = Output(json=json, quiet=quiet, verbose=verbose)
    _check(folder, force)
    begun = time.monotonic()
    try:
        with out.progress(products * shots, "draw", "photos") as advance:
            rows = write_catalogue(
                folder / "data", products=products, shots=shots, size=size, seed=seed, progress=advance
            )
    except (PermissionError, FileNotFoundError, NotADirectoryError) as error:
        raise FeatxError(
            "no-permission", f"cannot write to {folder}", "name a folder you can write to: `featx demo DIR`"
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise FeatxError(
            "disk-full", f"the disk of {folder} is full", "free some space, or draw fewer: `featx demo --products 28`"
        ) from error
    categories = len({row.category for row in rows})
    took = duration(time.monotonic() - begun)
    faulty = sum(bool(row.fault) for row in rows)
    many = pluralise(categories, "category", "categories")
    out.ok(f"{pluralise(len(rows), 'photo')} in {many} in {folder / 'data'} ({took})")
    out.say(f"  {pluralise(faulty, 'planted fault')}, listed in {folder / 'data' / 'products.csv'}")
    steps = () if no_run else _steps(products)
    for step in steps:
        _run(step, folder, out)
    if no_run and not out.for_people:
        out.result(str(folder / "data"))
    out.document(
        {
            "folder": str(folder / "data"),
            "manifest": str(folder / "data" / "products.csv"),
            "photos": len(rows),
            "products": products,
            "categories": categories,
            "faults": faulty,
            "seed": seed,
            "ran": [" ".join(("featx", *step)) for step in steps],
        }
    )
    commands = " && ".join(" ".join(("featx", *step)) for step in _steps(products))
    example = next((row.image for row in rows if row.split == "test" and not row.fault), rows[0].image)
    out.next(f"cd {folder} && " + (commands if no_run else f"featx similar data/{example}"))


def _steps(products: int) -> tuple[tuple[str, ...], ...]:
    return STEPS if products >= 23 else (*STEPS[:2], ("similar", "sku101.jpg"))


def _check(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise FeatxError("bad-flag", f"{folder} is a file", "name a new folder: `featx demo DIR`")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise FeatxError(
            "bad-flag",
            f"{folder} is not empty",
            f"name a new folder, or draw into this one: `featx demo {folder} --force`",
        )


def _run(step: tuple[str, ...], folder: Path, out: Output) -> None:
    import os
    import subprocess
    import sys

    out.say(f"\n$ featx {' '.join(step)}")
    flags = ["--quiet"] if out.quiet else []
    # The demo keeps its store and artifacts in its own folder, regardless of the environment.
    environment = {k: v for k, v in os.environ.items() if k != "FEATX_STORE"} | {"FEATX_ARTIFACTS": "artifacts"}
    home = Path(__file__).resolve().parents[2]
    if home.name not in ("site-packages", "dist-packages"):
        # A checkout that is not installed must be importable from the new folder too.
        environment["PYTHONPATH"] = os.pathsep.join([str(home), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "featx", *step, *flags],
        cwd=folder,
        env=environment,
        # Under --json stdout belongs to the one document of this command.
        stdout=sys.stderr if out.json else None,
        check=False,
    )
    if done.returncode:
        raise typer.Exit(done.returncode)
