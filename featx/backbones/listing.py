"""Which backbones there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from featx.backbones import builtin, colour


def backbone_table() -> list[dict[str, Any]]:
    """Every backbone by name: what it is, how large, how good; read from a table, so no network is loaded."""
    own: dict[str, Any] = {"weights": [], "default": None, "url": None, "top1": None, "licence": "MIT"}
    ours = [{"name": "colour", "width": colour.WIDTH, "parameters": 0, "gflops": None, "input": 64, **own}]
    try:
        told = json.loads(Path(__file__).with_name("builtin.json").read_text(encoding="utf-8"))
        # The file holds half-precision numbers and next to nothing else.
        sizes = {"width": builtin.WIDTH, "parameters": told["bytes"] // 2, "gflops": None, "input": builtin.SIDE}
        ours.append({"name": "builtin", **sizes, **own})
    except (OSError, ValueError, KeyError):
        pass  # an installation without the built-in weights lists what it has
    theirs: list[dict[str, Any]] = json.loads(Path(__file__).with_name("table.json").read_text(encoding="utf-8"))
    return [*ours, *theirs]
