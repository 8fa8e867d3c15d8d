"""`featx explain`: why this category and not the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featx.cli.completion import category_names
from featx.cli.options import (
    JsonFlag,
    PicturesChoice,
    PicturesOption,
    QuietFlag,
    StoreOption,
    VerboseFlag,
    WeightsPlaceOption,
)
from featx.cli.output import Output, percent, pluralise, size
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.catalogue.items import Catalogue
    from featx.explanation.explainer import Explainer, Explanation
    from featx.explanation.resemblance import Resemblance

MOST_WORDS = 6
COMPRESSION = 1


def explain(
    images: Annotated[
        list[str], typer.Argument(metavar="PHOTO...", help="Photos to explain, folders or tables of photos.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PNG|FOLDER", help="Draw the regions over the photo, or over each."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with all of it for each photo.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    pictures: PicturesOption = PicturesChoice.auto,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="CATEGORY",
            help="Compare with this category.",
            show_default="the next",
            autocompletion=category_names,
        ),
    ] = None,
    cover: Annotated[
        bool, typer.Option("--cover", help="Find what must be covered for another category to be answered.")
    ] = False,
    fine: Annotated[
        bool,
        typer.Option("--fine", help="Measure finer regions, by blurring parts of the photo; takes seconds."),
    ] = False,
    border: Annotated[
        bool | None,
        typer.Option(
            "--border/--no-border",
            help="Ask whether the border decides, by blurring it and the middle.",
            show_default="of one photo alone",
        ),
    ] = None,
    similar_to: Annotated[
        str | None,
        typer.Option(
            "--similar", metavar="PHOTO|ITEM", help="Explain instead how this photo or item is like the first photo."
        ),
    ] = None,
    clf: Annotated[
        str | None,
        typer.Option("--clf", "-c", metavar="NAME|FILE", help="The classifier.", show_default="the last"),
    ] = None,
    store: StoreOption = None,
    weights: WeightsPlaceOption = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Explain why a photo is of its category and not of the next.

    Example: featx explain data/test/mugs/sku165.jpg -o why.png
    """
    from featx.explanation.explainer import Explainer
    from featx.explanation.page import ExplanationsPage
    from featx.prediction.predict import open_predictor

    out = Output(as_json, quiet, verbose)
    _check_flags(html, open_page)
    if similar_to is not None:
        if len(images) > 1 or against or clf or html or cover or fine or border:
            what = "`--similar` compares one photo with another, without a classifier or a page"
            raise FeatxError("bad-flag", what, "`featx explain a.jpg --similar b.jpg -o alike.png`")
        _explain_similar(images[0], similar_to, output, pictures, store, weights, out)
        return
    catalogue = requested_photos(images)
    alone = len(catalogue.items) == 1
    drawn = [] if output is None else picture_names(output, [item.path for item in catalogue.items])
    predictor = open_predictor(clf, store, device="cpu", weights=weights)
    explainer = Explainer(predictor, cover=cover, fine=fine, border=alone if border is None else border)
    page = ExplanationsPage()
    for i, item in enumerate(catalogue.items):
        result = explainer(item.path, against, item.columns)
        out.document(result.to_dict())
        if alone and result.regions and not as_json and pictures != PicturesChoice.none:
            words = f"for {result.category}"
            show_beside(result.shown, result.overlay, words, always=pictures == PicturesChoice.blocks)
        _print(result, out)
        if drawn:
            _draw(result, drawn[i], out)
        if html is not None:
            page.add(result)
    _notes(explainer, out)
    if html is not None:
        write_html(page.to_html(), html, len(page.cards), open_page, out)


def _explain_similar(
    photo: str,
    other: str,
    output: Path | None,
    pictures: PicturesChoice,
    store: Path | None,
    weights: str | None,
    out: Output,
) -> None:
    from featx.cli.stores import store_in_use
    from featx.explanation.resemblance import explain_similar

    result = explain_similar(photo, other, store=store_in_use(store, out), weights=weights)
    out.document(result.to_dict())
    if not out.json and pictures != PicturesChoice.none:
        _show_alike(result, always=pictures == PicturesChoice.blocks)
    out.result(f"{result.path} and {result.other}: similarity {result.similarity:.2f}")
    for part in result.parts:
        out.result(f"  {part.share:+6.2f}  {part.name}")
    for number, pair in enumerate(result.pairs, start=1):
        out.result(f"  {number}  {pair.first.words} is like {pair.second.words} of the other ({pair.similarity:.2f})")
    if output is not None:
        write_png(output if output.suffix else output / "alike.png", result.picture(), out)


def _show_alike(result: Resemblance, *, always: bool) -> None:
    from featx.cli.terminal_images import ACROSS, has_room, show_images

    if result.regions and has_room(always=always):
        titles = (Path(result.path).name, Path(result.other).name)
        show_images(list(zip(result.pictures(4 * ACROSS), titles, strict=True)))


def _check_flags(html: Path | None, open_page: bool) -> None:
    if open_page and html is None:
        raise FeatxError("bad-flag", "`--open` opens the page of `--html`", "name it: `--html why.html`")
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise FeatxError(
            "bad-flag", f"`--html` writes a page, and `{html}` does not end in .html", "name it like `why.html`"
        )


def requested_photos(images: list[str]) -> Catalogue:
    """The photos of a command line: files, folders, tables."""
    from featx.catalogue.items import Catalogue, Item
    from featx.catalogue.reading import read_several
    from featx.catalogue.tables import SUFFIXES

    # One name that is neither is read as a photo, which says best what is wrong with it.
    if len(images) == 1 and Path(images[0]).is_file() and Path(images[0]).suffix.lower() not in SUFFIXES:
        return Catalogue("", [Item(images[0], images[0])])
    return read_several(images, allow_outside=True)


def _print(result: Explanation, out: Output) -> None:
    out.result(
        f"{result.path}: {result.category} ({percent(result.sure)}), "
        f"then {result.runner_up} ({percent(result.runner_up_sure)})"
    )
    for part in result.parts:
        out.result(f"  {part.log_odds:+6.2f}  {part.name} speaks for {result.side(part.log_odds)}")
    for word in result.strongest_words(MOST_WORDS):
        out.result(f"  {word.log_odds:+6.2f}  the word {word.word} in {word.column}")
    if result.rest is not None:
        out.detail(f"  {result.rest:+6.2f}  whatever the photo shows; the sum, {result.log_odds:+.2f}, is the log-odds")
    if result.border_sentence:
        out.result(f"  {result.border_sentence}")
    if result.covering_tried:
        out.result(f"  {result.covering_sentence}")
    for label, photos in result.near.items():
        near = ", ".join(f"{photo.path} ({photo.similarity:.2f})" for photo in photos)
        out.result(f"  most like it in {label}: {near}")


def show_beside(photo: Callable[[int], Any], drawn: Callable[[int], Any], words: str, *, always: bool) -> None:
    """The photo and its regions in the terminal, each a function of the size."""
    from featx.cli.terminal_images import ACROSS, has_room, show_images

    if has_room(always=always):
        show_images([(photo(4 * ACROSS), "your photo"), (drawn(4 * ACROSS), words)])


def _draw(result: Explanation, path: Path, out: Output) -> None:
    """The overlay as PNG."""
    if result.regions:
        write_png(path, result.picture(), out, result.legend)
    else:
        out.warn("no network of this backbone has maps, so there are no regions to draw")


def write_png(path: Path, image: Any, out: Output, words: str = "orange makes them alike, blue unlike") -> None:
    """Write a Pillow image as PNG, and print what it shows."""
    import io

    from featx.files.spreadsheet import write_whole

    data = io.BytesIO()
    # Stronger compression takes more than twice as long and saves a tenth.
    image.save(data, "PNG", compress_level=COMPRESSION)
    _make_folder(path)
    write_whole(path, data.getvalue())
    out.ok(f"{path}: {words}")


def picture_names(output: Path, names: list[str]) -> list[Path]:
    """The PNG of each photo: the file that is named, or one in the folder, numbered where photos have one name."""
    if output.suffix and len(names) > 1:
        hint = f"name a folder: `-o {output.stem}/`"
        raise FeatxError("bad-flag", f"`{output}` is one file, and there are several photos", hint)
    if output.suffix:
        return [output]
    taken: dict[str, int] = {}
    paths = []
    for name in names:
        stem = Path(name).stem
        taken[stem] = taken.get(stem, 0) + 1
        paths.append(output / (f"{stem}.png" if taken[stem] == 1 else f"{stem}-{taken[stem]}.png"))
    return paths


def write_html(text: str, path: Path, shown: int, open_page: bool, out: Output) -> None:
    """Write a page of photos, print its size, and open it where asked."""
    from featx.views.pages import write_page

    _make_folder(path)
    write_page(path, text)
    out.ok(f"wrote {path}: {pluralise(shown, 'photo')} ({size(len(text.encode()))})")
    if open_page:
        typer.launch(path.resolve().as_uri())


def _make_folder(path: Path) -> None:
    from featx.files.atomic import cannot_write

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _notes(explainer: Explainer, out: Output) -> None:
    for note in explainer.predictor.columns.notes():
        out.say(note)
