"""The store that a command uses, and a line in colour where it is not the current one."""

from __future__ import annotations

from pathlib import Path

from featx.cli.output import Output
from featx.workspace import Workspace


def store_in_use(given: Path | None, out: Output) -> Path:
    """The store that was named, else the current one; a person reads which one it is where that may surprise."""
    workspace = Workspace.here()
    path = workspace.current_store(given)
    name_other_store(path, out, workspace)
    return path


def name_other_store(path: Path, out: Output, workspace: Workspace) -> None:
    """Name the store in use where it is another than the current one."""
    from featx.files.regular import same_place

    current = workspace.noted()
    if current is not None and not same_place(str(path), current):
        out.notice(f"uses {path}, not the current store {current}; `{use_command(path)}` makes it the current one")


def use_command(store: Path) -> str:
    """The command that makes a store the current one."""
    import shlex

    return f"featx use {shlex.quote(str(store))}"
