"""Read the catalogue of a store once more, as it was read the last time."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from featx.catalogue.items import Catalogue
from featx.catalogue.reading import read_catalogue
from featx.errors import FeatxError


def read_again(source: str | Path | Iterable[str] | None, provenance: Mapping[str, object]) -> Catalogue:
    """Read a source, or the one that a store was extracted from, with the flags that it was read with then."""
    known = provenance.get("source")
    if source is None:
        if not isinstance(known, str) or not Path(known).exists():
            raise FeatxError(
                "no-images",
                "no store records where its photos are"
                if not known
                else f"`{known}`, the source of the store, is not here",
                "name a folder or table: `featx update data/train`",
            )
        source = known
    same = isinstance(source, str | Path) and str(source) == known
    return read_catalogue(source, **(_reading_flags(str(provenance.get("command", ""))) if same else {}))


def _reading_flags(command: str) -> dict[str, Any]:
    """The arguments of `read_catalogue` that a command of `featx extract` gives."""
    try:
        words = [part for word in shlex.split(command) for part in _parts(word)]
    except ValueError:
        return {}
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(read_catalogue).parameters.items():
        flag = f"--{name.replace('_', '-')}"
        if name == "source" or flag not in words:
            continue
        if parameter.default is False:
            arguments[name] = True
        elif (value := words[words.index(flag) + 1 :][:1]) and value != ["auto"]:
            arguments[name] = value[0]
    return arguments


def _parts(word: str) -> list[str]:
    """`--label-col=kind` as the two words it stands for."""
    return word.split("=", 1) if word.startswith("--") else [word]
