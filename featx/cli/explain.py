"""`featx explain`: why this category and not the next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Output
from featx.errors import FeatxError


def explain(
    images: Annotated[list[str], typer.Argument(metavar="PHOTO...", help="Photos to explain.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PNG|FOLDER", help="Draw the regions over the photo, or over each."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="CATEGORY", help="Compare with this category.", show_default="the next"),
    ] = None,
    clf: Annotated[
        str | None,
        typer.Option("--clf", "-c", metavar="NAME|FILE", help="The classifier.", show_default="the last"),
    ] = None,
    store: StoreOption = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Explain why a photo is of its category and not of the next.

    Example: featx explain data/test/mugs/sku165.jpg -o why.png
    """
    from featx.explanation.explainer import Explainer
    from featx.prediction.predict import open_predictor

    out = Output(as_json, quiet, verbose)
    if output is not None and len(images) > 1 and output.suffix:
        raise FeatxError(
            "bad-flag", f"`{output}` is one file, and there are several photos", "name a folder: `-o why/`"
        )
    explainer = Explainer(open_predictor(clf, store, device="cpu"))
    for name in images:
        result = explainer(name, against)
        out.document(result.to_dict())
        out.result(
            f"{result.path}: {result.category} ({_share(result.sure)}), "
            f"then {result.runner_up} ({_share(result.runner_up_sure)})"
        )
        for part in result.parts:
            side = result.category if part.log_odds > 0 else result.runner_up
            out.result(f"  {part.log_odds:+6.2f}  {part.name} speaks for {side}")
        if result.rest is not None:
            out.detail(
                f"  {result.rest:+6.2f}  whatever the photo shows; the sum, {result.log_odds:+.2f}, is the log-odds"
            )
        for label, photos in result.near.items():
            near = ", ".join(f"{photo.path} ({photo.similarity:.2f})" for photo in photos)
            out.result(f"  most like it in {label}: {near}")
        if output is not None:
            _draw(result, output, name, out)


def _share(value: float) -> str:
    from featx.cli.output import percent

    return percent(value)


def _draw(result: object, output: Path, name: str, out: Output) -> None:
    """The overlay as PNG: the file, or one in the folder named like the photo."""
    import io

    from featx.explanation.explainer import Explanation
    from featx.files.atomic import cannot_write, write_atomic

    assert isinstance(result, Explanation)
    if not result.regions:
        out.warn("no network of this backbone has maps, so there are no regions to draw")
        return
    path = output if output.suffix else output / f"{Path(name).stem}.png"
    data = io.BytesIO()
    result.overlay().save(data, "PNG")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data.getvalue())
    except OSError as error:
        raise cannot_write(path, error) from error
    methods = ", ".join(f"{network} {region.method}" for network, region in result.regions.items())
    out.ok(f"{path}: orange speaks for {result.category}, blue for {result.runner_up} ({methods})")
