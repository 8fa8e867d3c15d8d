"""The Typer application: all commands, or only the one that was typed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import typer

from featx.cli.help_page import ALIASES, COMMANDS, GROUPS, START, TAGLINE
from featx.cli.shop_folder import ShopCommand, shop_above

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def command(word: str | None = None) -> Any:
    """All commands, or only the one that the first word names: that saves a tenth of a second at each start."""
    known = {name for name, _, _ in (*COMMANDS, *GROUPS)} | set(ALIASES)
    return _command(word if word in known else None)


@cache
def _command(only: str | None) -> Any:
    """The same, made once in a process that runs several."""
    return typer.main.get_command(build(only))


def build(only: str | None = None) -> typer.Typer:
    """The application with all commands, or with one of them."""
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
    for name, panel, _ in COMMANDS:
        if only in (None, name):
            app.command(name, cls=ShopCommand, rich_help_panel=panel, context_settings=CONTEXT)(_function(name))
    for alias, name in ALIASES.items():
        if only in (None, alias):
            app.command(alias, cls=ShopCommand, hidden=True, context_settings=CONTEXT)(_function(name))
    for name, panel, _ in GROUPS:
        if only in (None, name):
            group = importlib.import_module(f"featx.cli.{name}").app
            app.add_typer(group, name=name, rich_help_panel=panel)
    return app


def _function(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(importlib.import_module(f"featx.cli.{name}"), name)
    return function


def _version(requested: bool) -> None:
    if requested:
        from featx.version import __version__

        print(f"featx {__version__}")
        raise typer.Exit


def _featx(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def settings() -> dict[str, Any]:
    """The defaults that the settings file of the shop sets, by command and parameter."""
    from pathlib import Path

    from featx.cli.settings_file import read_settings

    return read_settings(shop_above(Path.cwd()) or Path(), lambda: _flags(_command(None)))


def _flags(command: Any) -> dict[str, Any]:
    """Every flag that a settings file may set, by command; no arguments, and no flags such as `--version`."""
    from featx.cli.settings_file import Flag

    if hasattr(command, "commands"):
        return {name: _flags(subcommand) for name, subcommand in command.commands.items()}
    return {
        long.removeprefix("--"): Flag(parameter.name, parameter.multiple)
        for parameter in command.params
        for long in parameter.opts
        if long.startswith("--") and not parameter.is_eager
    }
