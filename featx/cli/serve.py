"""`featx serve`: the page a shop works in, and an API that others build on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.options import ClassifierOption, JsonFlag, QuietFlag, StoreOption, VerboseFlag, WeightsPlaceOption
from featx.cli.output import Output, pluralise
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.server.service import Service


def serve(
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on; other than this machine's it needs tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="The port to listen on.")] = 8470,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="Another name of the server, such as that of a proxy."),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Take no decisions.")] = False,
    engine: Annotated[
        str,
        typer.Option(
            "--engine", metavar="NAME", help="The search engine: auto, exact, usearch, lance or a server's URL."
        ),
    ] = "auto",
    clf: ClassifierOption = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    add_token: Annotated[
        str | None, typer.Option("--add-token", metavar="NAME", help="Make a token for a program, print it, and stop.")
    ] = None,
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", metavar="SCOPE", help="With --add-token: read, classify or review.", show_default="read"
        ),
    ] = None,
    remove_token: Annotated[
        str | None, typer.Option("--remove-token", metavar="NAME", help="Take a token back, and stop.")
    ] = None,
    openapi: Annotated[
        Path | None, typer.Option("--openapi", metavar="FILE", help="Write the description of the API, and stop.")
    ] = None,
    setup: Annotated[
        Path | None,
        typer.Option("--setup", metavar="FOLDER", help="Write a Containerfile and a systemd unit for it, and stop."),
    ] = None,
    weights: WeightsPlaceOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Serve the catalogue to browsers and programs: search, categories, review.

    Example: featx serve --open
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    if add_token is not None or remove_token is not None:
        _change_tokens(out, add_token, remove_token, scopes or ["read"])
        return
    if scopes:
        raise FeatxError("bad-flag", "`--scope` belongs to `--add-token`", "name the token: `--add-token NAME`")
    if setup is not None:
        _write_setup(setup, out)
        return
    _require_extra()
    if openapi is not None:
        _write_description(openapi, out)
        return
    from featx.cli.stores import store_in_use
    from featx.server.run import serve as run

    run(
        store_in_use(store, out),
        classifier=clf,
        host=host,
        port=port,
        names=names or (),
        read_only=read_only,
        engine=engine,
        weights=weights,
        on_link=_Links(out, open_page),
        on_ready=lambda service: _describe(service, out),
    )


def _change_tokens(out: Output, add: str | None, remove: str | None, scopes: list[str]) -> None:
    """A token made or taken back; it is printed once, on stdout."""
    from featx.server.tokens import tokens_of
    from featx.workspace import Workspace

    file = tokens_of(Workspace.here())
    if remove is not None:
        file.remove(remove)
        out.ok(f"took back `{remove}`")
    if add is not None:
        token = file.add(add, scopes)
        out.document({"name": add, "token": token, "scopes": scopes, "file": str(file.path)})
        out.result(token)
        out.say(f"  it may {', '.join(scopes)}; {file.path} has its digest only, so keep it now")


def _require_extra() -> None:
    from importlib.util import find_spec

    if not all(map(find_spec, ("fastapi", "uvicorn", "python_multipart"))):
        raise FeatxError("extra-missing", "`featx serve` needs a web server", 'pip install "featx[serve]"')


def _write_description(path: Path, out: Output) -> None:
    import json

    from featx.files.spreadsheet import write_whole
    from featx.server.app import routes_of

    write_whole(path, (json.dumps(routes_of(None).openapi(), indent=1) + "\n").encode())
    out.ok(f"wrote the description of the API to {path}")


def _write_setup(folder: Path, out: Output) -> None:
    from featx.server.setup_files import write_setup

    written = write_setup(folder)
    out.document({"files": [str(path) for path in written]})
    out.ok(f"wrote {' and '.join(map(str, written))}; each begins with how to use it")


def _describe(service: Service, out: Output) -> None:
    """One line on what is served."""
    generation = service.now
    what = f"{pluralise(len(generation.index), 'photo')} of {service.settings.store}"
    out.ok(f"{what}, {generation.predictor.model.name if generation.predictor else 'no classifier'}")
    if generation.no_classifier is not None:
        out.warn(f"no categories: {generation.no_classifier.message}")


class _Links:
    """Prints each address that logs a browser in; the first may be opened at once."""

    def __init__(self, out: Output, open_page: bool) -> None:
        self._out, self._open = out, open_page

    def __call__(self, address: str) -> None:
        self._out.document({"login": address})
        self._out.result(address)
        self._out.say("  open it once in a browser; the next one comes when it is used. Ctrl-C stops the server.")
        if self._open:
            import webbrowser

            self._open = False
            webbrowser.open(address)
