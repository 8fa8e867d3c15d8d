"""`featx inspect`: does a photo show the product as it should look?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.explain import picture_names, requested_photos, show_beside, write_html, write_png
from featx.cli.options import JsonFlag, PicturesChoice, PicturesOption, QuietFlag, VerboseFlag
from featx.cli.output import Output, percent, percent_range, pluralise
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.inspection.inspector import Inspection, Inspector


def inspect(
    images: Annotated[
        list[str], typer.Argument(metavar="PHOTO...", help="Photos to inspect, folders or tables of photos.")
    ],
    good: Annotated[
        list[str] | None,
        typer.Option("--good", "-g", metavar="FOLDER|TABLE", help="Good photos of the same kind of product."),
    ] = None,
    bank: Annotated[
        str | None,
        typer.Option(
            "--bank", metavar="NAME", help="Keep what the good photos taught under this name; alone, use it again."
        ),
    ] = None,
    false_alarms: Annotated[
        float,
        typer.Option("--false-alarms", min=0.001, max=0.5, help="The share of good photos that may be called unlike."),
    ] = 0.05,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone", "-b", metavar="NAME", help="The network that compares.", show_default="builtin, or the bank's"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PNG|FOLDER", help="Draw what is unlike over the photo, or over each."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page of the photos, the most unlike first.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    pictures: PicturesOption = PicturesChoice.auto,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Find photos that do not show the product as good photos do, and where.

    Example: featx inspect new/ --good data/train/mugs --html unlike.html
    """
    from featx.inspection.inspector import Inspection
    from featx.inspection.page import InspectionsPage

    out = Output(as_json, quiet, verbose)
    if not good and bank is None:
        raise FeatxError("bad-flag", "there is nothing to compare with", "name good photos: `--good FOLDER`")
    catalogue = requested_photos(images)
    names = [item.path for item in catalogue.items]
    drawn = [] if output is None else picture_names(output, names)
    inspector = _inspector(good, bank, backbone, false_alarms, out)
    page, unlike, unreadable = InspectionsPage(inspector.n_good, false_alarms), 0, 0
    for i, result in enumerate(inspector.stream(names)):
        if not isinstance(result, Inspection):
            unreadable += 1
            out.warn(f"skipped {result.name} ({result.unreadable})")
            continue
        unlike += result.is_unlike
        out.document(result.to_dict())
        if len(names) == 1 and not as_json and pictures != PicturesChoice.none:
            show_beside(result.shown, result.overlay, "unlike", always=pictures == PicturesChoice.blocks)
        _print(result, out)
        if drawn:
            write_png(drawn[i], result.overlay(), out, f"orange is unlike the good photos: {result.sentence}")
        if html is not None:
            page.add(result)
    if unreadable == len(names):
        raise FeatxError("all-corrupt", "no photo could be read", "look at the files named above")
    out.say(f"{unlike:,} of {pluralise(len(names) - unreadable, 'photo')} unlike the good ones")
    if html is not None:
        write_html(page.to_html(), html, page.total, open_page, out)


def _inspector(
    good: list[str] | None, bank: str | None, backbone: str | None, false_alarms: float, out: Output
) -> Inspector:
    from featx.inspection.inspector import Inspector, kept_inspector, opened

    items = requested_photos(good).items if good else None
    if bank is not None:
        inspector, was_kept = kept_inspector(bank, items, backbone, false_alarms)
        out.say(f"the bank `{bank}` was kept" if was_kept else f"kept as the bank `{bank}`")
    else:
        assert items is not None
        paths, products = [item.path for item in items], [item.product for item in items]
        inspector = Inspector(paths, opened(backbone), products=products, false_alarms=false_alarms)
    _say_learned(inspector, out)
    return inspector


def _say_learned(inspector: Inspector, out: Output) -> None:
    for reason in inspector.learned.skipped:
        out.warn(f"skipped {reason}")
    above, low, high = inspector.measured_false_alarms
    out.say(
        f"learned from {pluralise(inspector.n_good, 'good photo')}; {above:,} of them "
        f"({percent(above / inspector.n_good)}, {percent_range(low, high)}) above the limit, each without itself"
    )


def _print(result: Inspection, out: Output) -> None:
    from featx.explanation.resemblance import Spot

    where = f", most at the {Spot(*result.where).words}" if result.is_unlike else ""
    out.result(f"{result.path}: {result.sentence}{where}")
