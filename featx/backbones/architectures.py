"""Which network a weights file was made for: the names and shapes of its tensors tell.

`architectures.json` keeps a digest of them for each network, made by `make docs`: building a thousand networks to look
at theirs would take minutes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypedDict

from featx.backbones.weights import load_state_dict
from featx.errors import FeatxError

TABLE = Path(__file__).with_name("architectures.json")
# Files of early DenseNets write norm.1 where torchvision now says norm1.
OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..+)$")
# Heads that only training uses.
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
MOST_NAMED = 5


class _Table(TypedDict):
    """The names of last layers, which a file may have for any number of categories, and the networks by signature."""

    heads: list[str]
    networks: dict[str, list[str]]


def recognise_network(file: Path, wanted: str | None = None) -> str:
    """The backbone whose tensors a weights file holds; a FeatxError where none or several could be meant.

    `wanted` says which one is meant; the tensors must fit it.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in load_state_dict(file).items()}
    names = networks_with(shapes)
    if wanted is not None and names and wanted not in names:
        raise FeatxError(
            "weights-misfit",
            f"the tensors of {file} do not fit `{wanted}`",
            f"use a network they fit: {', '.join(f'`{name}`' for name in names[:MOST_NAMED])}",
            {"networks": names},
        )
    names = [wanted] if wanted in names else names
    named = [name for name in names if name.rpartition(":")[2] in file.stem]
    # torchvision's come first: where timm has the same network, its weights fit both.
    chosen = max(named, key=len, default=names[0] if len(names) == 1 or (names and ":" not in names[0]) else "")
    if not chosen:
        raise _unknown(file, len(shapes)) if not names else _ambiguous(file, names)
    return chosen


def networks_with(shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """The networks that have tensors of these names and shapes, whatever their last layer."""
    table = _table()
    names = [name for head in table["heads"] for name in table["networks"].get(signature(shapes, head), [])]
    return sorted(dict.fromkeys(names), key=lambda name: ":" in name)


def signature(shapes: Mapping[str, Sequence[int]], head: str) -> str:
    """A digest of the names and shapes of all tensors but those of the last layer, which may be another's."""
    renamed = ((OLD_DENSENET.sub(r"\1\2", name), shape) for name, shape in shapes.items())
    left_out = (*AUXILIARY, *([f"{head}."] if head else []))
    lines = [
        f"{name} {'x'.join(map(str, shape))}"
        for name, shape in renamed
        if not name.startswith(left_out) and not name.endswith("num_batches_tracked")
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


@cache
def _table() -> _Table:
    table: _Table = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def _unknown(file: Path, tensors: int) -> FeatxError:
    return FeatxError(
        "weights-misfit",
        f"the {tensors:,} tensors of {file} fit no network that featx knows",
        f"name the network it was made for, such as `--backbone open_clip:ViT-B-32`, or leave the file where it is: "
        f"`featx extract IMAGES --backbone NAME --weights {file}`",
    )


def _ambiguous(file: Path, names: Sequence[str]) -> FeatxError:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return FeatxError(
        "weights-misfit",
        f"the tensors of {file} fit several networks: {', '.join(names[:MOST_NAMED])}{more}",
        f"name the one it was made for: `--backbone {names[0]} --weights {file}`",
        {"networks": list(names)},
    )
