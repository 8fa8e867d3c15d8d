"""`featx backbones`: the networks to choose from, and the layers whose features can be read."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from featx.cli.options import JsonFlag, QuietFlag, VerboseFlag
from featx.cli.output import Output
from featx.errors import FeatxError, did_you_mean


def backbones(
    name: Annotated[
        str | None, typer.Argument(help="Only names that contain this; or `timm`, or `open_clip`.", show_default="all")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Argument(help="After these two: only names that contain this, or match `resnet*`.", show_default="all"),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="List the layers of one network with their shapes.")] = False,
    here: Annotated[bool, typer.Option("--here", help="Only those whose weights are on this machine.")] = False,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """List the networks that turn photos into features.

    Example: featx backbones resnet50 --layers
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    if layers:
        _print_layers(name, out)
        return
    from featx.backbones.names import OPEN_CLIP
    from featx.backbones.registry import FAMILIES, backbone_rows, local_backbones
    from featx.backbones.weights import added_weights

    local = local_backbones()
    files = [(added.backbone, added.file.name) for added in added_weights()]
    rows = [
        {
            **row,
            "here": row.get("here", row["name"] in local),
            "added": [file for backbone, file in files if backbone == row["name"]],
        }
        for row in _rows(name, pattern)
    ]
    if here:
        rows = [row for row in rows if row["here"]]
    if not rows and name is not None and not here:
        known = [row["name"] for row in backbone_rows()] + [family.name for family in FAMILIES if family.catalogue]
        raise FeatxError(
            "unknown-backbone",
            f"there is no backbone `{name}`",
            did_you_mean(name, known, "`featx backbones` lists all"),
        )
    columns = ["name", "numbers", "million", "GFLOPs", "ImageNet", "input", "licence", "here"]
    table = [
        [
            row["name"],
            "–" if row["width"] is None else f"{row['width']:,}",
            "–" if row["parameters"] is None else f"{row['parameters'] / 1e6:.1f}",
            "–" if row["gflops"] is None else f"{row['gflops']:.2f}",
            "–" if row["top1"] is None else f"{row['top1']:.1f}%",
            row["input"] or "–",
            row["licence"],
            ", ".join(row["added"]) or ("yes" if row["here"] else "no"),
        ]
        for row in rows
    ]
    out.records(columns, table, rows, right=columns[1:6])
    if rows and all(str(row["name"]).startswith(OPEN_CLIP) for row in rows):
        out.next("featx extract IMAGES -b NAME --weights FILE")
        return
    out.next("featx extract IMAGES -b NAME   or   featx weights get NAME   to fetch one")


def _rows(name: str | None, pattern: str | None) -> list[dict[str, Any]]:
    """The rows whose name contains a text, or those of a family that has a list of its own."""
    from featx.backbones.registry import FAMILIES, backbone_rows

    wanted = (name or "").lower()
    if pattern is None and ":" in wanted:  # `timm:resnet18` as `featx extract` takes it
        wanted, _, pattern = wanted.partition(":")
    family = next((family for family in FAMILIES if family.name == wanted and family.catalogue), None)
    if family is not None and family.catalogue is not None:
        rows = family.catalogue(pattern or "")
        if not rows:
            raise FeatxError(
                "unknown-backbone",
                f"no network of {wanted} matches `{pattern}`",
                f"`featx backbones {wanted}` lists all",
            )
        return rows
    if pattern is not None:
        raise FeatxError(
            "bad-flag",
            f"`{name}` has no list to search",
            f"leave the pattern out: `featx backbones {name}`",
        )
    return [row for row in backbone_rows() if wanted in row["name"].lower()]


def _print_layers(name: str | None, out: Output) -> None:
    if name is None:
        raise FeatxError(
            "bad-flag", "`--layers` needs the name of a network", "name one: `featx backbones resnet50 --layers`"
        )
    from featx.backbones.registry import family_of

    layer_shapes = family_of(name).layer_shapes
    if layer_shapes is None:
        raise FeatxError("bad-flag", f"`{name}` has no layers to choose from", "name a torchvision network")
    shapes = layer_shapes(name)
    out.records(
        ["layer", "shape"],
        [[layer, " × ".join(map(str, shape))] for layer, shape in shapes.items()],
        [{"layer": layer, "shape": list(shape)} for layer, shape in shapes.items()],
    )
    out.next(f"featx extract IMAGES -b {name} --layer NAME --pool avg")
