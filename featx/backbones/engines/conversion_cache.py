"""Converted networks, cached between runs: converting takes seconds or a minute, reading a moment.

An entry is one file: the SHA-256 of what follows it, a line of JSON, then the network as OpenVINO writes it and its
answers to the example photos. A damaged entry, or one that was made in another way, is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from featx.files.atomic import atomic_writer
from featx.files.caches import cache_folder

# The oldest networks go when all of them together are larger than this.
MOST_BYTES = 2 * 2**30
SUFFIX = ".network"
_DIGEST = 64


@dataclass(frozen=True)
class ConvertedNetwork:
    """A converted network as OpenVINO writes it: its text and its numbers."""

    text: bytes
    numbers: bytes
    # Rows of float32: its features of the example photos when it was tested.
    answers: bytes = b""


def conversions_folder() -> Path:
    """Where converted networks are kept: the cache folder of this account."""
    return cache_folder("networks")


def path_of(making: Mapping[str, object]) -> Path:
    """The path of the network made in this way, whether it exists or not."""
    return conversions_folder() / f"{_digest_of(making)[:32]}{SUFFIX}"


def read_conversion(making: Mapping[str, object]) -> ConvertedNetwork | None:
    """The network made in this way, checked; None if it is missing or damaged."""
    path = path_of(making)
    try:
        data = memoryview(path.read_bytes())
        if hashlib.sha256(data[_DIGEST:]).hexdigest().encode() != bytes(data[:_DIGEST]):
            return None
        end = bytes(data[_DIGEST : _DIGEST + 2**16]).index(b"\n") + _DIGEST
        header = json.loads(bytes(data[_DIGEST:end]))
        if header["making"] != _plain(making):
            return None
        text = end + 1 + int(header["text"])
        answers = len(data) - int(header["answers"])
        os.utime(path)
        return ConvertedNetwork(bytes(data[end + 1 : text]), bytes(data[text:answers]), bytes(data[answers:]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def store_conversion(making: Mapping[str, object], graph: ConvertedNetwork) -> None:
    """Cache a network for later runs; if that fails, later runs convert it again."""
    sizes = {"text": len(graph.text), "answers": len(graph.answers)}
    header = json.dumps({"making": _plain(making), **sizes}).encode() + b"\n"
    digest = hashlib.sha256()
    for part in (header, graph.text, graph.numbers, graph.answers):
        digest.update(part)
    path = path_of(making)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_writer(path) as file:
            file.writelines((digest.hexdigest().encode(), header, graph.text, graph.numbers, graph.answers))
        _make_room(path)


def _make_room(newest: Path) -> None:
    """The networks that were not used for longest go until the rest is small enough."""
    entries = [(path, path.stat()) for path in newest.parent.glob(f"*{SUFFIX}") if path != newest]
    total = newest.stat().st_size + sum(stat.st_size for _, stat in entries)
    for path, stat in sorted(entries, key=lambda entry: entry[1].st_mtime):
        if total <= MOST_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= stat.st_size


def _plain(making: Mapping[str, object]) -> object:
    return json.loads(json.dumps(making, sort_keys=True))


def _digest_of(making: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(making, sort_keys=True).encode()).hexdigest()
