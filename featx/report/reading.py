"""A report or a comparison read again from its file: refused in a sentence where it is broken or too new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.report.gathering import COMPARISON, SCHEMA

NUMBER = (int, float)
SCORE: dict[str, Any] = {"value": NUMBER, "low?": NUMBER, "high?": NUMBER}
PHOTO: dict[str, Any] = {"id": str, "label?": str, "thumbnail?": str}
# A question mark says that a key may be missing or null; None that anything will do.
REPORT: dict[str, Any] = {
    "about": {"store": str, "n?": int, "n_categories?": int},
    "which": {
        "best": {"store": str, "clf": str},
        "ties": [list],
        "rows": [{"store": str, "clf": str, "backbone": str, "accuracy?": SCORE, "images_per_second?": NUMBER}],
        "tests": [{"a": list, "b": list, "difference": NUMBER, "verdict": str}],
    },
    "honest": {
        "measured_on": str,
        "test": [{"metric": str, **SCORE}],
        "cv": [{"metric": str, **SCORE}],
        "baselines": [{"clf": str, "accuracy?": SCORE}],
        "published": [{"method": str, "accuracy": NUMBER}],
        "checks": [{"code": str, "level": str}],
        "learning_curve?": [{"per_class": NUMBER, "accuracy?": {"mean": NUMBER}}],
    },
    "fails?": {
        "per_class": [{"label": str, "n": int, "recall?": NUMBER}],
        "pairs": [{"truth": str, "says": str, "n": int, "examples": [PHOTO], "typical": [PHOTO]}],
        "confusion?": {"classes": [str], "order": [int], "cells": [list], "blocks": [list]},
        "outcomes?": {"ids": str, "n": int, "right": str},
        "rare": [{"label": str}],
    },
    "trust?": {"n": int, "enough": bool, "reliability": [{"n": int}], "coverage": [dict], "thresholds": [dict]},
    "data": {
        "issues": None,
        "duplicates": None,
        "skipped": None,
        "issues?": {"n": int, "rows": [{"id": str, "says": str, "looks_like": str}]},
        "duplicates?": {"n": int, "groups": [{"kind": str, "photos": [PHOTO]}]},
        "skipped?": {"n": int, "rows": [{"path": str, "reason": str}]},
    },
    "similar?": {"best": [{"query": PHOTO, "neighbours": [PHOTO]}], "worst": [{"query": PHOTO, "neighbours": [PHOTO]}]},
    "map?": {"n": int, "points": str, "classes": [str], "tile": int, "columns": int, "ids": [str], "ids_of": str},
    "made": {"command": [str], "machine": dict, "settings": dict, "stores": [{"name": str}]},
}
COMPARED: dict[str, Any] = {
    "stores": [{"name": str}],
    "entries": [{"store": str, "clf": str, "test?": dict, "cv?": dict}],
    "best": {"store": str, "clf": str},
    "details?": dict,
}


def read_document(path: Path) -> dict[str, Any]:
    """A report or a comparison from a JSON file; what is neither, or newer than this featx, is refused."""
    if path.is_dir():
        path = path / "report.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FeatxError("no-such-file", f"there is no `{path}`", "make a report: `featx compare`") from error
    except OSError as error:
        raise FeatxError("no-permission", f"cannot read `{path}`: {error.strerror or error}") from error
    except ValueError as error:
        raise FeatxError(
            "bad-manifest", f"`{path}` is no JSON file: {error}", "make a report: `featx compare`"
        ) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema not in (SCHEMA, COMPARISON):
        known = isinstance(schema, str) and schema.startswith(("featx-report/", "featx-comparison/"))
        raise FeatxError(
            "bad-manifest",
            f"`{path}` is {f'of schema `{schema}`, which this featx does not know' if known else 'no featx report'}",
            "read it with a newer featx" if known else "name a report.json, or make one: `featx compare`",
        )
    fault = _fault(document, REPORT if schema == SCHEMA else COMPARED)
    if fault:
        raise FeatxError("bad-manifest", f"`{path}` is damaged: {fault}", "make it again: `featx compare`")
    return document  # type: ignore[no-any-return]


def _fault(value: Any, wanted: Any, where: str = "") -> str | None:
    """What a document lacks of the shape that everything here relies on; None where nothing."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return f"`{where}` is no object" if where else "it is no object"
        for key, inner in wanted.items():
            name, optional = key.rstrip("?"), key.endswith("?")
            if value.get(name) is None and optional:
                continue
            path = f"{where}.{name}" if where else name
            if name not in value:
                return f"it has no `{path}`"
            if (fault := _fault(value[name], inner, path)) is not None:
                return fault
        return None
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return f"`{where}` is no list"
        return next((f for i, one in enumerate(value) if (f := _fault(one, wanted[0], f"{where}.{i}"))), None)
    return None if wanted is None or isinstance(value, wanted) else f"`{where}` is not what it should be"
