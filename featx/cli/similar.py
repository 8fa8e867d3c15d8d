"""`featx similar`: the products that look most like a query."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

import typer

from featx.cli.completion import category_names
from featx.cli.options import (
    BlocksOption,
    ColumnsOption,
    JsonFlag,
    PicturesChoice,
    PicturesOption,
    QuietFlag,
    StoreOption,
    VerboseFlag,
    WeightsPlaceOption,
    block_names,
)
from featx.cli.output import Cell, Output, pluralise
from featx.cli.stores import store_in_use
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.catalogue.own_columns import Value
    from featx.images.crop import Crop
    from featx.retrieval import Matches, Neighbour, Query, SimilarityIndex


class Settings(TypedDict):
    """The flags that narrow the answers, for one query and for all."""

    where: str | None
    label: str | None
    pool: Literal["best", "mean"]
    min_similarity: float
    copies: bool


class PoolChoice(StrEnum):
    """How several photos of one product are combined."""

    best = "best"
    mean = "mean"


def similar(
    query: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUERY...", help="A photo, an item id, a product id or a file name; - reads a list from stdin."
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many products to show.")] = 5,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            metavar="WORDS",
            help="Only photos with these words on them; alone, the best of them, or what looks so to CLIP.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", help="Only products of this category.", autocompletion=category_names),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="CONDITION", help="Only these, like \"price < 20 and label = 'mugs'\"."),
    ] = None,
    min_similarity: Annotated[
        float, typer.Option("--min-similarity", min=-1, max=1, help="Only products at least this similar.")
    ] = -1.0,
    pool: Annotated[
        PoolChoice | None,
        typer.Option("--pool", help="Treat all queries as photos of one product: best pair, or average."),
    ] = None,
    crop: Annotated[
        str | None, typer.Option("--crop", metavar="X,Y,W,H", help="Use a part of the photo, in pixels or fractions.")
    ] = None,
    like: Annotated[list[str] | None, typer.Option("--like", metavar="QUERY", help="More like this.")] = None,
    unlike: Annotated[list[str] | None, typer.Option("--unlike", metavar="QUERY", help="Less like this.")] = None,
    diverse: Annotated[bool, typer.Option("--diverse", help="Avoid answers that resemble each other.")] = False,
    copies: Annotated[bool, typer.Option("--copies", help="Show near-copies of the query too.")] = False,
    approx: Annotated[
        bool | None,
        typer.Option("--approx/--exact", help="Compare likely products only, or all; for very large catalogues."),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine", metavar="NAME|URL", help="The search engine: auto, exact, usearch, lance or a synced server."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List related products of every product, with -o FILE.csv.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a .csv, .tsv, .json, .jsonl or .html file instead.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page of photos.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page of photos in the browser.")] = False,
    pictures: PicturesOption = PicturesChoice.auto,
    columns: ColumnsOption = None,
    paths: Annotated[bool, typer.Option("--paths", help="Print only the photos' paths, one per line.")] = False,
    weights: WeightsPlaceOption = None,
    blocks: BlocksOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """List the products that look most like this one.

    Example: featx similar sku123.jpg -k 10
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.catalogue.own_columns import written_names
    from featx.cli.output_files import check_suffix, write_records
    from featx.cli.own_columns import requested_columns
    from featx.retrieval.query import open_index

    sought = text
    names = [name for name in query or [] if name != "-"] + (_from_stdin() if "-" in (query or []) else [])
    if text is not None and names + (like or []) + ([""] if everything else []):
        # With something to look like, the words are one more condition.
        from featx.retrieval.text_query import words_condition

        where, text = words_condition(text, where), None
    if text is not None and (unlike or crop or diverse or pool):
        what = "`--unlike`, `--crop`, `--diverse` and `--pool` need something to look like"
        raise FeatxError("bad-flag", what, "name a photo too: `featx similar sku123.jpg --text havre`")
    if text is None:
        _check_flags(names, query, everything, like, unlike, output, html, open_page, crop)
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise FeatxError(
            "bad-flag", f"`--html` writes a page, and `{html}` does not end in .html", "name it like `alike.html`"
        )
    if output is not None and output.suffix.lower() != ".html":
        check_suffix(output)
    if everything and (approx or engine not in (None, "auto", "exact")):
        raise FeatxError("bad-flag", "`--all` compares exactly", "leave out `--approx` and `--engine`")
    if approx is not None and engine is not None:
        flag = "--approx" if approx else "--exact"
        raise FeatxError("bad-flag", f"`{flag}` and `--engine` both choose how to search", f"leave out `{flag}`")
    index = open_index(
        store_in_use(store, out),
        False if everything else approx,
        lambda total: out.progress(total, "indexing", "photos"),
        blocks=block_names(blocks),
        weights=weights,
        engine=None if everything else engine,
    )
    out.detail(f"store: {index.rows.path} ({pluralise(len(index), 'photo')})")
    if (approx or engine == "usearch") and index.nearby is None:
        out.warn("the store has photos that are not sealed yet, so search was exact; `featx extract` seals them")
    requested = requested_columns(columns, index.rows.own_columns)
    settings: Settings = {
        "where": where,
        "label": label,
        "pool": "mean" if pool == PoolChoice.mean else "best",
        "min_similarity": min_similarity,
        "copies": copies,
    }
    if everything:
        _all(out, index, k, output, settings, requested)
        return
    if text is not None:
        from featx.retrieval.read_text import unread_rows
        from featx.retrieval.text_query import text_matches

        answers = [text_matches(index, text, k, where=where, label=label, min_similarity=min_similarity)]
        if answers[0].compared_by:
            out.say(f"  compared with the photos by the text network of {answers[0].compared_by}")
        elif unread := unread_rows(index.rows):
            out.warn(f"{pluralise(unread, 'photo')} not read yet, and not searched: `featx read`")
    else:
        part = _crop(crop) if crop is not None else None
        queries = _queries(index, names, part, pool is not None, like or [], unlike or [])
        answers = [index.matches(resolved, k, diverse=diverse, **settings) for resolved in queries]
    several = len(answers) > 1
    records = [record for matches in answers for record in matches.to_dict(named=several)]
    page = html or (output if output is not None and output.suffix.lower() == ".html" else None)
    if page is not None or open_page:
        _show_page(out, index, answers, page, open_page)
    if output is not None and output.suffix.lower() != ".html":
        texts = [key for key in ("text", "compared_by") if any(key in record for record in records)]
        ours = [*(["query"] if several else []), *COLUMNS, *texts]
        keys = [*ours, *written_names(index.rows.own_columns, ours).values()]
        write_records(output, keys, records)
        out.ok(f"wrote {pluralise(len(records), 'row')} to {output}")
    elif output is None and paths:
        _print_paths([str(record["path"]) for record in records])
    elif output is None:
        if not json and not paths and pictures != PicturesChoice.none:
            from featx.cli.terminal_images import show_pictures

            show_pictures(answers, always=pictures == PicturesChoice.blocks)
        _print(out, index, answers, records, several, requested, sought)
        _print_empty(out, index, answers, narrowed=bool(where or label or min_similarity > -1))
    _print_hidden(out, answers)
    if text is None or answers[0].compared_by:
        _print_engine(out, index)


LONGEST_TEXT = 40
COLUMNS = ("rank", "score", "id", "product", "label", "path", "word", "precision")


def _from_stdin() -> list[str]:
    import sys

    from featx.cli.shop_folder import name_from_shop

    names = [line.rstrip("\r\n") for line in sys.stdin]
    return [name_from_shop(name) for name in names if name]


def _check_flags(
    names: list[str],
    query: list[str] | None,
    everything: bool,
    like: list[str] | None,
    unlike: list[str] | None,
    output: Path | None,
    html: Path | None,
    open_page: bool,
    crop: str | None,
) -> None:
    if everything:
        if query or like or unlike or html or open_page or crop:
            raise FeatxError(
                "bad-flag",
                "`--all` lists every product, and takes no query",
                "leave the query out: `featx similar --all -o related.csv`",
            )
        if output is not None and output.suffix.lower() == ".html":
            raise FeatxError(
                "bad-flag", "`--all` writes a table, not a page", "name a table: `featx similar --all -o related.csv`"
            )
    elif not names and not like:
        if query:
            raise FeatxError("bad-flag", "stdin contained no query", "write one name or path per line")
        raise FeatxError(
            "bad-flag", "no query was given", "name a photo, an item or a product: `featx similar sku123.jpg`"
        )


def _queries(
    index: SimilarityIndex, names: list[str], part: Crop | None, pooled: bool, like: list[str], unlike: list[str]
) -> list[Query]:
    from featx.retrieval.query import find_query, pool_queries, steer

    queries = [find_query(index, name, part) for name in names]
    if pooled and queries:
        queries = [pool_queries(queries)]
    if like or unlike:
        pulls, pushes = ([find_query(index, name) for name in references] for references in (like, unlike))
        return [steer(query, pulls, pushes) for query in queries] or [steer(None, pulls, pushes)]
    return queries


def _crop(text: str) -> Crop:
    from featx.images.crop import Crop

    return Crop.of(text)


def _print_paths(paths: list[str]) -> None:
    """Print paths for another program unchanged, including names that are not UTF-8."""
    import os
    import sys

    sys.stdout.flush()
    sys.stdout.buffer.write(b"".join(os.fsencode(path) + b"\n" for path in paths))
    sys.stdout.buffer.flush()


def _print(
    out: Output,
    index: SimilarityIndex,
    answers: list[Matches],
    records: list[dict[str, Cell]],
    several: bool,
    requested: list[str] | None,
    sought: str | None,
) -> None:
    from featx.cli.own_columns import OwnColumns

    # An id that is a path repeats the file column.
    product = not out.for_people or not all(
        "/" in neighbour.product and neighbour.product in neighbour.path for neighbour in _each(answers)
    )
    worded = any(neighbour.word for neighbour in _each(answers)) and out.for_people
    read = any(neighbour.text is not None for neighbour in _each(answers))
    rows: list[list[str | int | float | None]] = [
        [
            *([matches.query.name] if several else []),
            rank,
            f"{neighbour.similarity:.2f}",
            *((neighbour.product,) if product else ()),
            neighbour.label,
            neighbour.path,
            *([neighbour.word] if worded else []),
            *([_excerpt(neighbour.text, sought)] if read else []),
        ]
        for matches in answers
        for rank, neighbour in enumerate(matches, start=1)
    ]
    columns = [*(["query"] if several else []), "#", "score", *(["product"] if product else []), "category", "file"]
    columns += [*(["likely"] if worded else []), *(["text"] if read else [])]
    own = OwnColumns([neighbour.columns for neighbour in _each(answers)], requested)
    out.records(columns, rows, records, right=["#", "score"], paths=["file"], own=own)
    if not out.for_people:
        return
    shown = {neighbour.word for matches in answers for neighbour in matches}
    for word in (*index.words.products, *index.words.categories) if index.words else ():
        if word.word in shown and word.precision is not None:
            out.say(f"  {word.word}: {word.meaning} in {100 * word.precision:.0f}% of such answers in this catalogue")
            shown.discard(word.word)


def _print_empty(out: Output, index: SimilarityIndex, answers: list[Matches], *, narrowed: bool) -> None:
    """Name the queries without an answer."""
    for matches in answers:
        if not len(matches):
            under = " under these conditions" if narrowed else ""
            out.say(f"  no product in {index.rows.path} matches `{matches.query.name}`{under}")


def _excerpt(text: str | None, sought: str | None) -> str:
    """As much of a text as a table has room for, with a word that was looked for; `--json` and files have all of it."""
    from featx.text.word_search import Words, beginning

    if not text:
        return ""
    return beginning(text, LONGEST_TEXT) if sought is None else Words(sought).excerpt(text, LONGEST_TEXT)


def _print_engine(out: Output, index: SimilarityIndex) -> None:
    """Which engine answered, where it is not the obvious one, and how much it finds."""
    source = index.nearby
    if source is not None:
        found = f"finds {100 * source.recall:.1f} % of the ten nearest photos in this catalogue"
        under = "" if source.filtered is None else f", {100 * source.filtered:.1f} % under conditions"
        out.say(f"  approximate: {found}{under}, by {source.engine.name} (--exact compares all)")
        return
    from featx.retrieval.search import SMALL

    if len(index) >= SMALL:
        out.say(f"  exact: compares all {len(index):,} photos (`featx index build` makes an index that is faster)")


def _each(answers: list[Matches]) -> Iterator[Neighbour]:
    return (neighbour for matches in answers for neighbour in matches)


def _print_hidden(out: Output, answers: list[Matches]) -> None:
    hidden = sum(matches.hidden for matches in answers)
    if hidden:
        out.say(f"  {pluralise(hidden, 'near-copy', 'near-copies')} of your photo hidden (--copies shows them)")


def _all(
    out: Output,
    index: SimilarityIndex,
    k: int,
    output: Path | None,
    settings: Settings,
    requested: list[str] | None,
) -> None:
    from featx.catalogue.own_columns import beside, written_names
    from featx.cli.output_files import write_records
    from featx.cli.own_columns import OwnColumns
    from featx.retrieval.related import related

    allowed = index.allowed(settings["where"], settings["label"])
    keys = ["product", "rank", "related", "score"]
    table = related(
        index,
        k,
        allowed=allowed,
        pool=settings["pool"],
        min_similarity=settings["min_similarity"],
        copies=settings["copies"],
    )
    own = cache(index.rows.own_row)
    with out.progress(len(index.rows.products), "similar", "products") as advance:

        def rows() -> Iterator[tuple[dict[str, Cell], dict[str, Value]]]:
            for done, related_products in enumerate(table, start=1):
                for row in related_products:
                    cells = (row.product, row.rank, row.related, round(row.similarity, 4))
                    yield dict(zip(keys, cells, strict=True)), own(row.row)
                if done % 500 == 0 or done == len(index.rows.products):
                    advance(done)

        if output is not None:
            header = [*keys, *written_names(index.rows.own_columns, keys).values()]
            count = write_records(output, header, (beside(record, columns) for record, columns in rows()))
        else:
            listed = list(rows())
    if output is not None:
        out.ok(f"wrote {pluralise(count, 'row')} to {output}")
        return
    out.records(
        keys,
        [[record[key] for key in keys] for record, _ in listed],
        [beside(record, columns) for record, columns in listed],
        right=["rank", "score"],
        own=OwnColumns([columns for _, columns in listed], requested),
    )


def _show_page(out: Output, index: SimilarityIndex, answers: list[Matches], page: Path | None, open_page: bool) -> None:
    from featx.views.gallery import Row, gallery_page
    from featx.views.pages import write_page

    if page is None:
        from featx.workspace import Workspace

        workspace = Workspace.here()
        workspace.make()
        page = workspace.root / "similar.html"
    rows = [Row(matches.query.name, matches.query.paths, matches) for matches in answers]
    page.parent.mkdir(parents=True, exist_ok=True)
    write_page(page, gallery_page(rows))
    out.ok(f"wrote {pluralise(len(rows), 'row')} of photos to {page}")
    if open_page:
        import webbrowser

        if not webbrowser.open(page.resolve().as_uri()):
            out.warn(f"no browser could be opened; the page is {page}")
