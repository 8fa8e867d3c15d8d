"""The `featx` command: which commands there are, and how an error ends one."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer

from featx.errors import FeatxError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# (module and function, panel). A module here may import Typer and the errors, nothing heavy.
COMMANDS = (
    ("extract", "Make a model"),
    ("fit", "Make a model"),
    ("compare", "Know how good it is"),
    ("evaluate", "Know how good it is"),
    ("predict", "Use it"),
    ("similar", "Use it"),
    ("suggest", "Look after the catalogue"),
    ("duplicates", "Look after the catalogue"),
    ("issues", "Look after the catalogue"),
    ("report", "Share"),
    ("export", "Share"),
    ("info", "Help"),
    ("backbones", "Help"),
    ("demo", "Help"),
)
GROUPS = (("weights", "Help"),)

# The names these commands have in other tools.
ALIASES = {"label-issues": "issues", "bench": "compare"}


def build(word: str | None = None) -> typer.Typer:
    """The whole command line; or, where the first word names a command, as much of it as that one needs.

    Loading one command instead of all takes a tenth of a second off each start.
    """
    app = typer.Typer(
        name="featx",
        help="Product pictures in, categories and look-alikes out.",
        epilog="Start here:  featx extract data/train && featx fit && featx similar sku123.jpg",
        no_args_is_help=True,
        context_settings=CONTEXT,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback()(_featx)
    known = {name for name, _ in (*COMMANDS, *GROUPS)} | set(ALIASES)
    only = word if word in known else None
    for name, panel in COMMANDS:
        if only in (None, name):
            app.command(name, rich_help_panel=panel, context_settings=CONTEXT)(_function(name))
    for alias, name in ALIASES.items():
        if only in (None, alias):
            app.command(alias, hidden=True, context_settings=CONTEXT)(_function(name))
    for name, panel in GROUPS:
        if only in (None, name):
            group = importlib.import_module(f"featx.cli.{name}").app
            app.add_typer(group, name=name, rich_help_panel=panel)
    return app


def _function(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(importlib.import_module(f"featx.cli.{name}"), name)
    return found


def _version(asked: bool) -> None:
    if asked:
        from featx import __version__

        print(f"featx {__version__}")
        raise typer.Exit


def _featx(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def _settings() -> dict[str, Any]:
    from pathlib import Path

    from featx.settings import read_settings

    return read_settings(Path(), lambda: _flags(typer.main.get_command(build())))


def _flags(command: Any) -> dict[str, Any]:
    """Every flag that a settings file may set, by command; arguments and what ends a command at once are left out."""
    from featx.settings import Flag

    if hasattr(command, "commands"):
        return {name: _flags(one) for name, one in command.commands.items()}
    return {
        long.removeprefix("--"): Flag(parameter.name, parameter.multiple)
        for parameter in command.params
        for long in parameter.opts
        if long.startswith("--") and not parameter.is_eager
    }


def main() -> None:
    """Run one command; turn what went wrong into a sentence and an exit code."""
    as_json = "--json" in sys.argv
    verbose = "-v" in sys.argv or "--verbose" in sys.argv
    for stream in (sys.stdout, sys.stderr):
        # File names may hold bytes that are no UTF-8; printing one must not end the command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        build(sys.argv[1] if len(sys.argv) > 1 else None)(default_map=_settings())
    except FeatxError as error:
        _show(error, as_json=as_json, verbose=verbose)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except MemoryError:
        _show(
            FeatxError("out-of-memory", "this machine ran out of memory", "try a smaller `--batch-size`"),
            as_json=as_json,
        )
        sys.exit(6)
    except Exception as error:
        _show(_bug(error), as_json=as_json, verbose=verbose)
        sys.exit(1)


def _bug(error: Exception) -> FeatxError:
    from featx.workspace import Workspace

    log = Workspace.here().log
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"featx {' '.join(sys.argv[1:])}\n{''.join(traceback.format_exception(error))}\n")
        where = f"the details are in {log}; please send them with your report"
    except OSError:
        where = "run it again with `--verbose` to see the details"
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    return FeatxError("bug", f"featx broke in `{command}` ({type(error).__name__}: {error})", where)


def _show(error: FeatxError, *, as_json: bool, verbose: bool = False) -> None:
    if verbose:
        traceback.print_exc()
    if as_json:
        import json

        shown = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "exit": error.exit_code,
            "details": error.details,
        }
        print(json.dumps({"error": shown}, ensure_ascii=False, default=str), file=sys.stderr)
        return
    from featx.cli.output import error_text

    print(error_text(error.message, error.hint), file=sys.stderr)
