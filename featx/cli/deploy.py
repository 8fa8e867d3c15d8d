"""`featx deploy`: a classifier as a folder that runs without featx."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag, WeightsPlaceOption
from featx.cli.output import Output, duration, pluralise, size


def deploy(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")],
    clf: Annotated[
        str | None,
        typer.Option(
            "--clf", "-c", metavar="CLASSIFIER", help="A classifier by name or file.", show_default="the last"
        ),
    ] = None,
    compared: Annotated[
        int, typer.Option("--compare-on", min=0, help="Photos of the store to compare its answers on.")
    ] = 500,
    int8: Annotated[
        bool, typer.Option("--int8", help="Add model-int8.onnx: faster, and measured on these photos.")
    ] = False,
    openvino: Annotated[bool, typer.Option("--openvino", help="Add the graph as OpenVINO's model.xml.")] = False,
    browser: Annotated[
        bool, typer.Option("--browser", help="Add a page that classifies in a browser, offline.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier deployment.")] = False,
    store: StoreOption = None,
    weights: WeightsPlaceOption = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Write a classifier as a folder that runs without featx and torch.

    Example: featx deploy shop-classifier
    """
    from featx.deployment.agreement import agreement_sentence
    from featx.deployment.folder import deploy as run

    out = Output(as_json, quiet, verbose)
    report = run(
        output,
        clf,
        store=store,
        weights=weights,
        compared=compared,
        int8=int8,
        openvino=openvino,
        browser=browser,
        force=force,
        on_stage=lambda stage: out.detail(f"{stage} …"),
    )
    same = report.comparison
    out.ok(
        f"{report.classifier} on {report.backbone}, {pluralise(report.categories, 'category', 'categories')}:"
        f" {report.folder}/ ({size(report.n_bytes)}, {duration(report.seconds)})"
    )
    out.say(
        f"  answers like featx on {pluralise(same.photos, 'photo')}:"
        f" the same categories, probabilities within {same.probabilities:.1g}"
    )
    if report.int8 is not None:
        out.say(f"  model-int8.onnx, on {pluralise(report.int8.photos, 'photo')}: {agreement_sentence(report.int8)}")
    if browser:
        out.say(f"  open {report.folder}/browser/index.html in a browser")
    if report.columns:
        out.say(f"  counts {', '.join(report.columns)} beside the photo: give a table, or see `run.py --help`")
    photos = "TABLE.csv" if report.columns else "PHOTO"
    out.next(f"python {report.folder}/run.py {photos}   (needs pillow, numpy and onnxruntime)")
    out.result(str(report.folder))
    out.document(report.to_dict())
