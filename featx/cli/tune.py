"""`featx tune`: train the last blocks of a network on one's own categories."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from featx.cli.completion import backbone_names
from featx.cli.options import JsonFlag, QuietFlag, SeedOption, VerboseFlag, WeightsOption
from featx.cli.output import Output
from featx.cli.sources import catalogue_of
from featx.cli.tune_progress import narrator
from featx.cli.tune_result import print_result
from featx.errors import FeatxError

MORE, PHOTOS = "More", "How the photos are read"


def tune(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="A folder, a table, or photos, as in `featx extract`.")
    ],
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            "-b",
            help="The network to begin from; a tuned one may be tuned again.",
            show_default="the best here that can be tuned",
            autocompletion=backbone_names,
        ),
    ] = None,
    weights: WeightsOption = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="What to call it: `tuned:NAME`.", show_default="after the folder or table"),
    ] = None,
    depth: Annotated[
        str,
        typer.Option(
            "--depth",
            metavar="auto|head|N|BLOCK|all",
            help="What is trained: the last N blocks, from a block on, all, or nothing (head); auto tries the cheapest "
            "first.",
        ),
    ] = "auto",
    views: Annotated[
        int, typer.Option("--views", min=0, max=64, help="Altered views of each photo: crops, mirrors, light.")
    ] = 4,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.01, help="Begin nothing that would end later than this.")
    ] = 10.0,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", min=1, max=1000, help="Passes over the photos.", show_default="automatic"),
    ] = None,
    val: Annotated[
        str,
        typer.Option("--val", metavar="SPLIT|SHARE", help="Photos that judge: a split or a share of the products."),
    ] = "0.2",
    keep: Annotated[bool, typer.Option("--keep", help="Write the network even if the frozen one is as good.")] = False,
    min_gain: Annotated[
        float | None, typer.Option("--min-gain", metavar="POINTS", help="Exit with code 7 below this gain.")
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            "--cache",
            metavar="SIZE",
            help="Most that kept activations may take, such as 4GB.",
            show_default="8GB, or a quarter of what is free",
        ),
    ] = None,
    seed: SeedOption = 0,
    lr: Annotated[
        str,
        typer.Option("--lr", metavar="auto|RATE", help="The rate of the last block.", rich_help_panel=MORE),
    ] = "auto",
    lr_head: Annotated[
        float | None,
        typer.Option(
            "--lr-head", min=0.0, help="The rate of the head.", show_default="twice --lr", rich_help_panel=MORE
        ),
    ] = None,
    layer_decay: Annotated[
        float,
        typer.Option(
            "--layer-decay",
            min=0.01,
            max=1.0,
            help="Slower by this for each block further back.",
            rich_help_panel=MORE,
        ),
    ] = 0.75,
    optimizer: Annotated[
        str, typer.Option("--optimizer", metavar="adamw|adam|sgd", help="The optimizer.", rich_help_panel=MORE)
    ] = "adamw",
    schedule: Annotated[
        str,
        typer.Option(
            "--schedule",
            metavar="NAME",
            help="Rates over time: cosine, onecycle, step, plateau or constant.",
            rich_help_panel=MORE,
        ),
    ] = "cosine",
    warm_up: Annotated[
        float,
        typer.Option(
            "--warm-up", min=0.0, max=0.9, help="Share of the steps that rates rise in.", rich_help_panel=MORE
        ),
    ] = 0.1,
    weight_decay: Annotated[
        float, typer.Option("--weight-decay", min=0.0, help="Decay of weights, not of biases.", rich_help_panel=MORE)
    ] = 0.01,
    batch: Annotated[
        int, typer.Option("--batch", min=2, max=4096, help="Photos in a step.", rich_help_panel=MORE)
    ] = 64,
    augment: Annotated[
        str,
        typer.Option(
            "--augment",
            metavar="NAME",
            help="How far views differ: default, light, strong or none.",
            rich_help_panel=MORE,
        ),
    ] = "default",
    mix: Annotated[
        str, typer.Option("--mix", metavar="none|maps", help="Mix pairs of photos at the cut.", rich_help_panel=MORE)
    ] = "none",
    smoothing: Annotated[
        float, typer.Option("--smoothing", min=0.0, max=0.9, help="Doubt left in every label.", rich_help_panel=MORE)
    ] = 0.1,
    class_weight: Annotated[
        str | None,
        typer.Option(
            "--class-weight", metavar="balanced", help="Let rare categories count more.", rich_help_panel=MORE
        ),
    ] = None,
    average: Annotated[
        str,
        typer.Option(
            "--average",
            metavar="blend|ema|none",
            help="Blend with the original weights, average the last steps, or neither.",
            rich_help_panel=MORE,
        ),
    ] = "blend",
    loss: Annotated[
        str,
        typer.Option(
            "--loss",
            metavar="ce|arcface|supcon|triplet",
            help="ce learns categories; the others look-alikes, which then judge.",
            rich_help_panel=MORE,
        ),
    ] = "ce",
    search: Annotated[
        int,
        typer.Option(
            "--search",
            min=0,
            metavar="N",
            help="Try N recipes for an epoch, the best third for three; train the best.",
            show_default="none",
            rich_help_panel=MORE,
        ),
    ] = 0,
    pixels: Annotated[
        int | None,
        typer.Option(
            "--size",
            metavar="PIXELS",
            help="Photos become squares of so many pixels, from 28.",
            show_default="as the network wants",
            rich_help_panel=MORE,
        ),
    ] = None,
    also: Annotated[
        str | None,
        typer.Option(
            "--also", metavar="NAME=COLUMN", help="A second head for a column of the table.", rich_help_panel=MORE
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="BACKBONE",
            help="Follow the answers of another network, such as tuned:BIG.",
            autocompletion=backbone_names,
            rich_help_panel=MORE,
        ),
    ] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(
            "--unlabelled",
            metavar="DIR",
            help="Photos without categories to learn from, where that is better.",
            rich_help_panel=MORE,
        ),
    ] = None,
    adapt_norms: Annotated[
        str | None,
        typer.Option(
            "--adapt-norms",
            metavar="DIR",
            help="Measure batch normalisation again on photos of where it will be used.",
            rich_help_panel=MORE,
        ),
    ] = None,
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch",
            help="Show what the same steps reach from random numbers; slow.",
            rich_help_panel=MORE,
        ),
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness", help="Judge blurred, noisy, dark and other worse photos too.", rich_help_panel=MORE
        ),
    ] = False,
    train: Annotated[
        str,
        typer.Option(
            "--train",
            metavar="all|norms|biases",
            help="What changes in these blocks.",
            rich_help_panel=MORE,
        ),
    ] = "all",
    patience: Annotated[
        int, typer.Option("--patience", min=1, help="Stop after so many epochs without gain.", rich_help_panel=MORE)
    ] = 5,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            max=256,
            help="Threads that compute; with another number the last digits differ.",
            show_default="all cores",
            rich_help_panel=MORE,
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            "--folds",
            min=0,
            max=20,
            help="So many more trainings, each without a part of the products: fair answers for all photos.",
            rich_help_panel=MORE,
        ),
    ] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin again, even if a training was interrupted.", rich_help_panel=MORE)
    ] = False,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Go on from tuned:NAME with new photos; the same ones judge.", rich_help_panel=MORE
        ),
    ] = False,
    device: Annotated[
        str,
        typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where the network runs.", rich_help_panel=MORE),
    ] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="auto|fp32|bf16",
            help="Of the part that is trained; auto takes bf16 on a GPU.",
            rich_help_panel=MORE,
        ),
    ] = "auto",
    track: Annotated[
        list[str] | None,
        typer.Option(
            "--track",
            metavar="NAME",
            help="Send the numbers to tensorboard, mlflow or wandb; repeatable.",
            rich_help_panel=MORE,
        ),
    ] = None,
    label_from: Annotated[
        str, typer.Option("--label-from", help="As in `featx extract`.", rich_help_panel=PHOTOS)
    ] = "auto",
    pattern: Annotated[
        str | None, typer.Option("--pattern", help="As in `featx extract`.", rich_help_panel=PHOTOS)
    ] = None,
    image_col: Annotated[
        str | None, typer.Option("--image-col", help="Column with the photo's path.", rich_help_panel=PHOTOS)
    ] = None,
    label_col: Annotated[
        str | None, typer.Option("--label-col", help="Column with the category.", rich_help_panel=PHOTOS)
    ] = None,
    id_col: Annotated[
        str | None, typer.Option("--id-col", help="Column with the item's id.", rich_help_panel=PHOTOS)
    ] = None,
    group_col: Annotated[
        str | None, typer.Option("--group-col", help="Column with the product.", rich_help_panel=PHOTOS)
    ] = None,
    images_folder: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="As in `featx extract`.", rich_help_panel=PHOTOS)
    ] = None,
    image_pattern: Annotated[
        str | None, typer.Option("--image-pattern", help="As in `featx extract`.", rich_help_panel=PHOTOS)
    ] = None,
    split_col: Annotated[
        str | None, typer.Option("--split-col", help="Column with train, val or test.", rich_help_panel=PHOTOS)
    ] = None,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="As in `featx extract`.", rich_help_panel=PHOTOS)
    ] = False,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Train the last blocks of a network on your categories, and keep it where that pays.

    Example: featx tune data/train --minutes 5
    """
    # Of several processes that `torchrun` starts the first one speaks.
    follows = os.environ.get("RANK", "0") != "0"
    out = Output(json=json and not follows, quiet=quiet or follows, verbose=verbose and not follows)
    catalogue = catalogue_of(
        images,
        out,
        label_from=label_from,
        pattern=pattern,
        image_col=image_col,
        label_col=label_col,
        id_col=id_col,
        group_col=group_col,
        split_col=split_col,
        allow_outside=allow_outside,
        images=images_folder,
        image_pattern=image_pattern,
    )
    from featx.finetuning import TuneOptions
    from featx.finetuning import tune as run

    options = TuneOptions(
        depth=depth,
        views=views,
        minutes=minutes,
        epochs=epochs,
        lr=_rate(lr),
        lr_head=lr_head,
        layer_decay=layer_decay,
        optimizer=optimizer,
        schedule=schedule,
        warm_up=warm_up,
        weight_decay=weight_decay,
        batch=batch,
        augment=augment,
        mix=mix,
        smoothing=smoothing,
        class_weight=class_weight,
        average=average,
        patience=patience,
        val=val,
        seed=seed,
        cache=None if cache is None else bytes_of(cache),
        keep=keep,
        fresh=fresh,
        loss=loss,
        train=train,
        search=search,
        size=pixels,
        also=also,
        teacher=teacher,
        unlabelled=unlabelled,
        adapt_norms=adapt_norms,
        from_scratch=from_scratch,
        robustness=robustness,
        folds=folds,
        threads=threads,
        track=tuple(track or ()),
        update=update,
        device=device,
        precision=precision,
    )
    tuned = run(catalogue, backbone=backbone, weights=weights, name=name, options=options, events=narrator(out))
    if follows:
        return
    print_result(tuned, out, " ".join(images))
    out.document(tuned.to_dict())
    if min_gain is not None and 100 * tuned.gain < min_gain:
        raise FeatxError(
            "below-limit", f"the gain of {100 * tuned.gain:.1f} points is below the limit of {min_gain:g}", ""
        )


def bytes_of(text: str) -> int:
    """A size such as 4GB or 500 MB in bytes."""
    read = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if read is None:
        raise FeatxError("bad-flag", f"`{text}` is not a size", "write it like this: `--cache 4GB`")
    return int(float(read[1]) * 1000 ** " KMGT".index(read[2].upper() or " "))


def _rate(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 10:
        raise FeatxError("bad-flag", f"`--lr {text}` is not a rate", "write a number such as `--lr 5e-4`, or auto")
    return rate
