"""The command line as Typer wants it: the whole of it, or one command."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import typer

from featx.cli.help_page import ALIASES, COMMANDS, GROUPS, START, TAGLINE

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def build(word: str | None = None) -> typer.Typer:
    """The whole command line; or, where the first word names a command, as much of it as that one needs.

    Loading one command instead of all takes a tenth of a second off each start.
    """
    app = typer.Typer(
        name="featx",
        help=TAGLINE,
        epilog=START,
        no_args_is_help=True,
        context_settings=CONTEXT,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback()(_featx)
    known = {name for name, _, _ in (*COMMANDS, *GROUPS)} | set(ALIASES)
    only = word if word in known else None
    for name, panel, _ in COMMANDS:
        if only in (None, name):
            app.command(name, rich_help_panel=panel, context_settings=CONTEXT)(_function(name))
    for alias, name in ALIASES.items():
        if only in (None, alias):
            app.command(alias, hidden=True, context_settings=CONTEXT)(_function(name))
    for name, panel, _ in GROUPS:
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


def settings() -> dict[str, Any]:
    """What the settings file of this folder asks for, by command and parameter."""
    from pathlib import Path

    from featx.cli.settings_file import read_settings

    return read_settings(Path(), lambda: _flags(typer.main.get_command(build())))


def _flags(command: Any) -> dict[str, Any]:
    """Every flag that a settings file may set, by command; arguments and what ends a command at once are left out."""
    from featx.cli.settings_file import Flag

    if hasattr(command, "commands"):
        return {name: _flags(one) for name, one in command.commands.items()}
    return {
        long.removeprefix("--"): Flag(parameter.name, parameter.multiple)
        for parameter in command.params
        for long in parameter.opts
        if long.startswith("--") and not parameter.is_eager
    }
