"""The optional settings file: `featx.toml`, or `[tool.featx]` in `pyproject.toml`, in the working folder.

Keys are the long names of flags. A table per command, and `[featx]` for every command that has the flag; what is
typed wins over `FEATX_*` variables, which win over the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.errors import FeatxError, did_you_mean
from featx.files.regular import open_regular

NAME = "featx.toml"
FOR_ALL = "featx"
# Reading one takes a time that grows with the square of how deep a name in it goes.
LARGEST, DEEPEST, READ = 256 << 10, 4000, 4 << 20


@dataclass(frozen=True)
class Flag:
    """The parameter behind a long flag, and whether it takes several values."""

    parameter: str
    several: bool = False

    def holds(self, value: Any) -> Any:
        """The value as the command line wants it."""
        return [value] if self.several and not isinstance(value, list) else value


# command → long flag without the dashes → the flag; a group of commands holds such a mapping for each of its commands
Flags = Mapping[str, Mapping[str, Any]]


def read_settings(folder: Path, known: Callable[[], Flags]) -> dict[str, Any]:
    """The defaults of each command's parameters that the settings file of a folder asks for; empty without one.

    `known` tells all commands and their flags; it is asked only where there is a file.
    """
    path, text, tables = _tables(folder)
    if not tables:
        return {}
    flags = known()
    found: dict[str, Any] = {}
    for table, keys in tables.items():
        if not isinstance(keys, dict):
            raise _wrong(path, text, table, f"`{table}` stands in no table", [], f"put it under [{FOR_ALL}]")
        if table != FOR_ALL and table not in flags:
            raise _wrong(path, text, table, f"[{table}] is no command", [*flags, FOR_ALL])
    for key, value in tables.get(FOR_ALL, {}).items():
        takers = [command for command in flags if key in _plain(flags[command])]
        if not takers:
            everything = sorted({flag for command in flags for flag in _plain(flags[command])})
            raise _wrong(path, text, key, f"no command has a flag `--{key}`", everything)
        for command in takers:
            flag = flags[command][key]
            _must_be_a_value(path, text, key, value, flag)
            found.setdefault(command, {})[flag.parameter] = flag.holds(value)
    for command, keys in tables.items():
        if command != FOR_ALL:
            _command(found.setdefault(command, {}), flags[command], keys, path, text, command)
    return found


def _command(
    found: dict[str, Any], flags: Mapping[str, Any], keys: Mapping[str, Any], path: Path, text: str, command: str
) -> None:
    for key, value in keys.items():
        if key not in flags:
            raise _wrong(path, text, key, f"`featx {command}` has no flag `--{key}`", list(flags))
        if isinstance(flags[key], Mapping):
            if not isinstance(value, dict):
                raise _wrong(path, text, key, f"`{key}` is a command, not a flag", [], f"write [{command}.{key}]")
            _command(found.setdefault(key, {}), flags[key], value, path, text, f"{command} {key}")
        else:
            _must_be_a_value(path, text, key, value, flags[key])
            found[flags[key].parameter] = flags[key].holds(value)


def _must_be_a_value(path: Path, text: str, key: str, value: Any, flag: Flag) -> None:
    """What could be typed behind a flag: a text, a number or yes and no; a list of those where it takes several."""
    for one in value if flag.several and isinstance(value, list) else [value]:
        plain = isinstance(one, str | bool) or (isinstance(one, int | float) and math.isfinite(one))
        if not plain or (isinstance(one, str) and "\0" in one):
            raise _wrong(
                path,
                text,
                key,
                f"`{key}` is {_kind(one)}, which no flag takes",
                [],
                "write one text, one number, true or false" + (", or a list of texts" if flag.several else ""),
            )


def _kind(value: Any) -> str:
    kinds = {list: "a list", dict: "a table", str: "a text with a zero byte", float: "no finite number"}
    return kinds.get(type(value), "a date or time")


def _plain(flags: Mapping[str, Any]) -> list[str]:
    return [flag for flag, parameter in flags.items() if isinstance(parameter, Flag)]


def _tables(folder: Path) -> tuple[Path, str, dict[str, Any]]:
    for name, inside in ((NAME, ()), ("pyproject.toml", ("tool", "featx"))):
        path = folder / name
        try:
            with open_regular(path) as file:
                data = file.read(READ)
            text = data.decode("utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            if inside:
                continue
            why = error.strerror if isinstance(error, OSError) else f"it is not UTF-8 ({error.reason})"
            raise FeatxError("bad-config", f"cannot read {path}: {why}", "mend or remove it") from error
        if inside and "tool.featx" not in text:
            continue
        if len(data) > LARGEST or any(line.count(".") > DEEPEST for line in text.splitlines()):
            raise FeatxError("bad-config", f"{path} is too large for settings", "keep only what featx is to know")
        import tomllib

        try:
            tables: Any = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            why = "its brackets go too deep" if isinstance(error, RecursionError) else str(error)
            raise FeatxError("bad-config", f"{path} is no valid TOML: {why}", "mend that line") from error
        for part in inside:
            tables = tables.get(part, {}) if isinstance(tables, dict) else {}
        if isinstance(tables, dict) and tables:
            return path, text, tables
    return folder / NAME, "", {}


def _wrong(path: Path, text: str, key: str, what: str, known: list[str], hint: str = "") -> FeatxError:
    pattern = re.compile(rf"^\s*(?:\[\s*(?:tool\.featx\.)?)?[\"']?{re.escape(key)}[\"']?\s*(?:=|\]|\.)")
    line = next((n for n, one in enumerate(text.splitlines(), start=1) if pattern.match(one)), None)
    where = f"{path}:{line}" if line else str(path)
    return FeatxError("bad-config", f"{where}: {what}", hint or did_you_mean(key, known, "see `featx --help`"))
