"""`featx index`: search indexes for catalogues that are too large to compare every photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Output, pluralise

if TYPE_CHECKING:
    from featx.retrieval.engines.base import CandidateSource

app = typer.Typer(
    help="Build a search index for a very large catalogue, here or on a server.\n\nExample: featx index build",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def _group() -> None:
    pass


@app.command("build")
def build(
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="auto (by the size of the catalogue), usearch or lance.")
    ] = "auto",
    store: StoreOption = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Build the search index of a store, measure how much it finds, and put it into use.

    Example: featx index build --engine lance
    """
    from featx.cli.stores import store_in_use
    from featx.retrieval import index_of
    from featx.retrieval.engine_choice import build_index

    out = Output(as_json, quiet, verbose)
    index = index_of(store_in_use(store, out))
    name, source = build_index(index.rows, engine, lambda total: out.progress(total, "indexing", "photos"))
    why = f"the engine for {pluralise(len(index), 'photo')}" if engine == "auto" else "as you chose"
    out.ok(f"built the {name} index of {index.rows.path}: {why}")
    out.say(f"  {_found(source)}")
    out.document({"version": 1, "store": str(index.rows.path), "engine": name, "n": len(source), **_recall(source)})
    out.next("featx similar sku123.jpg --engine " + name)


@app.command("sync")
def sync(
    server: Annotated[
        str,
        typer.Argument(metavar="URL", help="postgresql://host/database or qdrant://host:6333, with #name at the end."),
    ],
    store: StoreOption = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Bring the index on a server to the state of the store: send what changed, remove what is gone.

    Example: featx index sync postgresql://localhost/shop
    """
    from featx.cli.stores import store_in_use
    from featx.retrieval import index_of
    from featx.retrieval.server_index import sync

    out = Output(as_json, quiet, verbose)
    index = index_of(store_in_use(store, out))
    synced = sync(index.rows, server, lambda total: out.progress(total, "syncing", "photos"))
    counts = f"{synced.sent:,} sent, {synced.removed:,} removed, {synced.unchanged:,} as they were"
    out.ok(f"{synced.address.shown} has the index of {index.rows.path}: {counts}")
    out.say(f"  {_found(synced.source)}")
    out.document(synced.to_dict())
    out.next(f"featx similar sku123.jpg --engine '{synced.address.shown}'")


def _found(source: CandidateSource) -> str:
    """How much an index finds, in words."""
    record = {name: share for name, share in _recall(source).items() if share is not None}
    words = {
        "recall": "finds {} of the ten nearest photos in this catalogue",
        "recall_towards": "{} under a condition that keeps photos like the query",
        "recall_away": "{} under one that keeps photos unlike it",
    }
    return ", ".join(words[name].format(f"{100 * share:.1f} %") for name, share in record.items())


def _recall(source: CandidateSource) -> dict[str, float | None]:
    return {"recall": source.recall, "recall_towards": source.towards, "recall_away": source.away}
