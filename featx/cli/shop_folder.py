"""A command typed in a subfolder of a shop works from the shop's folder, as git does."""

from __future__ import annotations

import os
import stat
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from featx.cli.bare_flags import with_bare_values

# What people type may be a name or a path; it is a path where a file is there.
NAMES_OR_PATHS = ("images", "source", "query", "like", "unlike", "weights", "clf")
# These make folders of their own, or need none.
ANYWHERE = ("demo", "backbones")

_typed_in: ContextVar[Path | None] = ContextVar("typed in", default=None)


def shop_above(here: Path) -> Path | None:
    """The nearest folder above with a shop's artifacts; none where this folder or the environment has its own.

    The home folder and a folder for everybody, such as /tmp, are never it: artifacts once left there would take over
    every shop below.
    """
    if os.environ.get("FEATX_ARTIFACTS") or os.environ.get("FEATX_STORE") or _is_shop(here):
        return None
    for folder in here.parents:
        if folder == Path.home() or _is_shared(folder):
            return None
        if _is_shop(folder):
            return folder if _is_ours(folder / "artifacts") else None
    return None


def _is_shop(folder: Path) -> bool:
    return (folder / "artifacts" / "embeddings").is_dir() or (folder / "featx.toml").is_file()


def _is_shared(folder: Path) -> bool:
    """Whether everybody may write into a folder, but remove only their own files."""
    return bool(folder.stat().st_mode & stat.S_ISVTX)


def _is_ours(artifacts: Path) -> bool:
    """Whether artifacts are there and belong to whoever runs the command: others may write into /tmp."""
    return artifacts.is_dir() and (not hasattr(os, "getuid") or artifacts.stat().st_uid == os.getuid())


def from_shop(name: str) -> str:
    """A path as the person typed it, seen from the folder the command works in."""
    here = _typed_in.get()
    return os.path.relpath(here / name) if here is not None and not Path(name).is_absolute() else name


def works_elsewhere() -> bool:
    """Whether the command works in another folder than it was typed in, so that its own words would mislead there."""
    return _typed_in.get() is not None


def name_from_shop(name: str) -> str:
    """The same of what may be a name: it is a path where a file is there."""
    here = _typed_in.get()
    return from_shop(name) if here is not None and os.path.lexists(here / name) else name


class ShopCommand(TyperCommand):
    """A command that goes to the shop's folder before it runs, and takes along the paths that were typed."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Give a flag that stands without a value the one that it means."""
        return super().parse_args(ctx, with_bare_values(args, ctx.info_name))

    def invoke(self, ctx: Any) -> Any:
        """Run the command in the folder whose artifacts it uses."""
        _typed_in.set(None)
        here = Path.cwd()
        shop = shop_above(here) if ctx.info_name not in ANYWHERE else None
        if shop is not None:
            from featx.cli.output import Output

            Output(quiet=bool(ctx.params.get("quiet"))).say(
                f"working in {shop}, whose artifacts are used; paths below count from there"
            )
            os.chdir(shop)
            _typed_in.set(here)
            ctx.params |= {
                parameter.name: _moved(parameter, ctx.params[parameter.name])
                for parameter in self.params
                if _is_typed(ctx, parameter)
            }
        return super().invoke(ctx)


def _is_typed(ctx: Any, parameter: Any) -> bool:
    source = ctx.get_parameter_source(parameter.name)
    return source is not None and source.name == "COMMANDLINE" and ctx.params.get(parameter.name) is not None


def _moved(parameter: Any, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_moved(parameter, item) for item in value]
    if parameter.type.name in ("path", "file", "directory"):
        return from_shop(str(value))
    return name_from_shop(value) if parameter.name in NAMES_OR_PATHS else value
