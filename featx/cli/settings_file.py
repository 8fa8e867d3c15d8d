"""The optional settings file: `featx.toml`, or `[tool.featx]` in `pyproject.toml`, in the working folder.

Keys are the long names of flags, in a table per command or in `[featx]` for every command that has the flag. The
command line wins over `FEATX_*` variables, which win over the file.
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
# The time to parse one grows with the square of the depth of its dotted names.
LARGEST, DEEPEST, READ = 256 << 10, 4000, 4 << 20


@dataclass(frozen=True)
class Flag:
    """The parameter behind a long flag, and whether it takes several values."""

    parameter: str
    several: bool = False

    def holds(self, value: Any) -> Any:
        """The value in the form the command line expects."""
        return [value] if self.several and not isinstance(value, list) else value


# command → long flag without the dashes → the flag; a group of commands holds such a mapping for each of its commands
Flags = Mapping[str, Mapping[str, Any]]


def read_settings(folder: Path, known: Callable[[], Flags]) -> dict[str, Any]:
    """The defaults that the settings file of a folder sets, by command and parameter; empty without a file.

    `known` returns all commands and their flags; it is called only where there is a file.
    """
    path, text, tables = _tables(folder)
    if not tables:
        return {}
    flags = known()
    defaults: dict[str, Any] = {}
    for table, keys in tables.items():
        if not isinstance(keys, dict):
            raise _bad_setting(path, text, table, f"`{table}` is outside any table", [], f"put it under [{FOR_ALL}]")
        if table != FOR_ALL and table not in flags:
            raise _bad_setting(path, text, table, f"[{table}] is not a command", [*flags, FOR_ALL])
    for key, value in tables.get(FOR_ALL, {}).items():
        takers = [command for command in flags if key in _plain(flags[command])]
        if not takers:
            everything = sorted({flag for command in flags for flag in _plain(flags[command])})
            raise _bad_setting(path, text, key, f"no command has a flag `--{key}`", everything)
        for command in takers:
            flag = flags[command][key]
            _require_value(path, text, key, value, flag)
            defaults.setdefault(command, {})[flag.parameter] = flag.holds(value)
    for command, keys in tables.items():
        if command != FOR_ALL:
            _command(defaults.setdefault(command, {}), flags[command], keys, path, text, command)
    return defaults


def _command(
    defaults: dict[str, Any], flags: Mapping[str, Any], keys: Mapping[str, Any], path: Path, text: str, command: str
) -> None:
    for key, value in keys.items():
        if key not in flags:
            raise _bad_setting(path, text, key, f"`featx {command}` has no flag `--{key}`", list(flags))
        if isinstance(flags[key], Mapping):
            if not isinstance(value, dict):
                raise _bad_setting(path, text, key, f"`{key}` is a command, not a flag", [], f"write [{command}.{key}]")
            _command(defaults.setdefault(key, {}), flags[key], value, path, text, f"{command} {key}")
        else:
            _require_value(path, text, key, value, flags[key])
            defaults[flags[key].parameter] = flags[key].holds(value)


def _require_value(path: Path, text: str, key: str, value: Any, flag: Flag) -> None:
    """Refuse a value that could not be typed after the flag; flags that take several also accept a list."""
    for item in value if flag.several and isinstance(value, list) else [value]:
        plain = isinstance(item, str | bool) or (isinstance(item, int | float) and math.isfinite(item))
        if not plain or (isinstance(item, str) and "\0" in item):
            raise _bad_setting(
                path,
                text,
                key,
                f"`{key}` is {_kind(item)}, which no flag takes",
                [],
                "write a string, a number, true or false" + (", or a list of strings" if flag.several else ""),
            )


def _kind(value: Any) -> str:
    kinds = {list: "a list", dict: "a table", str: "a string with a zero byte", float: "not a finite number"}
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
            raise FeatxError("bad-config", f"cannot read {path}: {why}", "fix or remove it") from error
        if inside and "tool.featx" not in text:
            continue
        if len(data) > LARGEST or any(line.count(".") > DEEPEST for line in text.splitlines()):
            raise FeatxError("bad-config", f"{path} is too large for settings", "keep only those of featx in it")
        import tomllib

        try:
            tables: Any = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise FeatxError("bad-config", f"{path} is not valid TOML: {why}", "fix that line") from error
        for part in inside:
            tables = tables.get(part, {}) if isinstance(tables, dict) else {}
        if isinstance(tables, dict) and tables:
            return path, text, tables
    return folder / NAME, "", {}


def _bad_setting(path: Path, text: str, key: str, what: str, known: list[str], hint: str = "") -> FeatxError:
    pattern = re.compile(rf"^\s*(?:\[\s*(?:tool\.featx\.)?)?[\"']?{re.escape(key)}[\"']?\s*(?:=|\]|\.)")
    line = next((n for n, content in enumerate(text.splitlines(), start=1) if pattern.match(content)), None)
    where = f"{path}:{line}" if line else str(path)
    return FeatxError("bad-config", f"{where}: {what}", hint or did_you_mean(key, known, "see `featx --help`"))
