"""`featx weights`: list weights and bring them to this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, VerboseFlag
from featx.cli.output import Output, size
from featx.errors import FeatxError

app = typer.Typer(
    help="List, download or add the weights of backbones.\n\nExample: featx weights list",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A network from `featx weights list`.")]
RecipeOption = Annotated[
    str | None,
    typer.Option("--weights", "-w", metavar="RECIPE", help="Other published weights, such as IMAGENET1K_V2."),
]


@contextmanager
def download_bar(out: Output, what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for one download, drawn once its size is known."""
    with ExitStack() as stack:
        bars: list[Callable[..., None]] = []

        def advance(done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(out.progress(max(1, round(total / 1e6)), what, "MB")))
            bars[0](round(done / 1e6))

        yield advance


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", "-a", help="All published weights instead of a dozen.")] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """List the weights to choose from, and which are on this machine.

    Example: featx weights list --all
    """
    from featx.backbones import weights
    from featx.backbones.registry import FAMILIES

    out = Output(as_json, quiet, verbose)
    here = {path.name: path for path in weights.weights_here()}
    known = list(weights.published_weights() if every else weights.RECOMMENDED)
    added = {added.file.name: added.backbone for added in weights.added_weights()}
    if not every and here.keys() - added.keys() - {entry.file_name for entry in known}:
        # Only a file the short list does not explain is worth the seconds that torchvision takes to import.
        short = {entry.file_name for entry in known}
        known += [e for e in weights.published_weights() if e.file_name in here and e.file_name not in short]
    records: list[dict[str, object]] = []
    # The baseline comes last: it is no choice.
    for family in sorted(FAMILIES, key=lambda family: family.is_baseline):
        if own := family.own_weights():
            records.append(_record(family.name, own.note, own.n_bytes))
    for entry in known:
        downloaded = entry.file_name in here
        records.append(
            _record(entry.backbone, entry.weights, entry.size, top1=entry.top1, here=downloaded, url=entry.url)
        )
    explained = {entry.file_name for entry in known}
    for name, path in here.items():
        if name not in explained:
            records.append(_record(added.get(name, "?"), name, path.stat().st_size))
    rows = [
        (
            str(record["name"]),
            str(record["weights"]),
            size(int(str(record["bytes"]))) if record["bytes"] else "–",
            None if record["top1"] is None else f"{record['top1']:.1f}%",
            "yes" if record["here"] else "no",
        )
        for record in records
    ]
    out.records(("name", "weights", "size", "ImageNet top-1", "here?"), rows, records, right=("size", "ImageNet top-1"))
    missing = [record for record in records if not record["here"]]
    if missing:
        first = next((record for record in missing if record["name"] == "resnet50"), missing[0])
        out.next(f"get one: featx weights get {first['name']}")


def _record(
    name: str, weights: str, n_bytes: int, *, top1: float | None = None, here: bool = True, url: str = ""
) -> dict[str, object]:
    return {"name": name, "weights": weights, "bytes": n_bytes, "top1": top1, "here": here, "url": url or None}


@app.command("get")
def get(
    name: NameArgument,
    recipe: RecipeOption = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Download the weights of a network; resumes an interrupted download.

    Example: featx weights get resnet50
    """
    from featx.backbones import weights

    out = Output(as_json, quiet, verbose)
    entry = weights.find_published(name, recipe)
    was_here = (weights.weights_folder() / entry.file_name).is_file()
    out.detail(f"from {weights.source_url(entry.url)}")
    with download_bar(out, f"weights {name}") as progress:
        path = weights.fetch_weights(entry.url, progress=progress, backbone=name)
    n_bytes = path.stat().st_size
    out.ok(
        f"{name} {entry.weights} {'already here' if was_here else 'downloaded'}, checksum verified ({size(n_bytes)})"
    )
    out.result(str(path))
    out.document(
        {"name": name, "weights": entry.weights, "path": str(path), "bytes": n_bytes, "downloaded": not was_here}
    )


app.command("fetch", hidden=True)(get)


@app.command("add")
def add(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER|PACKAGE",
            help="A weights file, a folder of them, or an installed package that has some.",
        ),
    ],
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", "-b", help="The network, where the tensors fit several."),
    ] = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Check weights from elsewhere, and copy them to where every command finds them.

    Example: featx weights add resnet50-0676ba61.pth
    """
    from featx.backbones.adding import add_from

    out = Output(as_json, quiet, verbose)
    added = add_from(source, backbone)
    for weights in added:
        lead = weights.backbone or "of no network that featx knows by its tensors"
        out.ok(f"{weights.file.name} is intact and installed ({size(weights.file.stat().st_size)}): {lead}")
        out.result(str(weights.file))
    records = [
        {
            "path": str(weights.file),
            "bytes": weights.file.stat().st_size,
            "backbone": weights.backbone or None,
            "sha256": weights.sha256,
            "origin": weights.origin,
        }
        for weights in added
    ]
    out.document({**records[0], "files": records})
    network = "" if added[0].backbone else "-b NETWORK "
    out.next(f"featx extract IMAGES {network}--weights {added[0].file.name}")


@app.command("verify")
def verify(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="The files to check; all in the folder by default."),
    ] = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Verify weights files against their published checksums; exits with code 5 if one is damaged.

    Example: featx weights verify
    """
    from featx.backbones import weights

    out = Output(as_json, quiet, verbose)
    records: list[dict[str, object]] = []
    broken: list[FeatxError] = []
    for path in files or weights.weights_here():
        state, digest = "ok" if weights.hash_prefix(path.name) else "no checksum in its name", ""
        try:
            digest = weights.verify_weights(path)
        except FeatxError as error:
            if error.code != "weights-broken":
                raise
            broken.append(error)
            state, digest = "broken", str(error.details.get("sha256", ""))
        records.append({"file": path.name, "state": state, "sha256": digest, "path": str(path)})
    rows = [(str(r["file"]), str(r["state"]), str(r["sha256"])) for r in records]
    if broken and as_json:
        raise broken[0]
    out.records(("file", "state", "sha256"), rows, records)
    if broken:
        raise broken[0]
    if not records:
        out.say(f"no weights files in {weights.weights_folder()}")


@app.command("path")
def path(as_json: JsonFlag = False, quiet: QuietFlag = False, verbose: VerboseFlag = False) -> None:
    """Print the weights folder, shared with every tool that uses torch.

    Example: featx weights path
    """
    from featx.backbones import weights

    out = Output(as_json, quiet, verbose)
    out.result(str(weights.weights_folder()))
    out.document({"path": str(weights.weights_folder())})
