"""A report or a comparison read again from its file: refused in a sentence where it is broken or too new."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.report.gathering import COMPARISON, SCHEMA


@dataclass(frozen=True)
class Row:
    """A list of just so many values of one kind."""

    kind: type
    length: int


NUMBER = (int, float)
NAME = Row(str, 2)
SCORE: dict[str, Any] = {"value": NUMBER, "low?": NUMBER, "high?": NUMBER}
# A plain number, or one with an interval.
METRIC = (SCORE, NUMBER)
CHANGE: dict[str, Any] = {"metric": str, "old": NUMBER, "new": NUMBER, "fell": bool, "rose": bool, "p?": NUMBER}
PHOTO: dict[str, Any] = {"id": str, "label?": str, "thumbnail?": str}
NEIGHBOUR: dict[str, Any] = {**PHOTO, "similarity": NUMBER, "right": bool}
# A question mark says that a key may be missing or null; None that anything will do.
REPORT: dict[str, Any] = {
    "featx": str,
    "written?": str,
    "about": {"store": str, "n?": int, "n_categories?": int},
    "which": {
        "best": {"store": str, "clf": str},
        "ties": [NAME],
        "price_per_hour?": NUMBER,
        "tests_on?": str,
        "rows": [
            {
                "store": str,
                "clf": str,
                "backbone": str,
                "baseline": bool,
                "best": bool,
                "tied": bool,
                "unbeaten": bool,
                "accuracy?": SCORE,
                "macro_f1?": SCORE,
                **dict.fromkeys(("images_per_second?", "hours_per_million?", "bytes?"), NUMBER),
                **dict.fromkeys(("cost_per_million?", "fit_seconds?"), NUMBER),
            }
        ],
        "tests": [
            {
                "a": NAME,
                "b": NAME,
                "difference": NUMBER,
                "verdict": str,
                **dict.fromkeys(("low?", "high?", "p?", "p_holm?"), NUMBER),
            }
        ],
    },
    "honest": {
        "measured_on": str,
        "test": [{"metric": str, **SCORE}],
        "cv": [{"metric": str, **SCORE}],
        "naive?": SCORE,
        "baselines": [{"clf": str, "store": str, "accuracy?": SCORE}],
        "published": [{"data": str, "method": str, "accuracy": NUMBER, "coarse?": NUMBER, "source": str}],
        "published_on?": {"n_test": int, "same_photos": bool},
        "checks": [{"code": str, "level": str, "share?": NUMBER}],
        "learning_curve?": [
            {"per_class": NUMBER, "n?": NUMBER, "accuracy?": {"mean": NUMBER, "sd?": NUMBER}},
        ],
        "doubling?": {"accuracy?": NUMBER, "why?": str},
    },
    "fails": None,
    "fails?": {
        "per_class": [
            {
                "label": str,
                "n": int,
                "taken_for?": str,
                **dict.fromkeys(("photos?", "precision?", "recall?", "recall_low?", "recall_high?"), NUMBER),
                **dict.fromkeys(("f1?", "times?"), NUMBER),
            }
        ],
        "n_unscored?": int,
        "pairs": [{"truth": str, "says": str, "n": int, "examples": [PHOTO], "typical": [PHOTO]}],
        "confusion?": {"classes": [str], "order": [int], "cells": [Row(int, 3)], "blocks": [[int]], "mistakes": int},
        "outcomes?": {"ids": str, "n": int, "right": str},
        "rare": [{"label": str, "photos?": int, "n?": int, "recall?": NUMBER}],
        "coarse?": {**SCORE, "level?": (str, int), "classes?": int},
    },
    "trust": None,
    "trust?": {
        "n": int,
        "enough": bool,
        "accuracy?": NUMBER,
        "confidence?": NUMBER,
        "reliability": [{"low": NUMBER, "high": NUMBER, "n": int, "accuracy": NUMBER, "confidence": NUMBER}],
        "coverage": [{"coverage": NUMBER, "precision": NUMBER, "threshold?": NUMBER}],
        "thresholds": [{"target": NUMBER, "coverage": NUMBER, "threshold?": NUMBER, "precision?": NUMBER}],
    },
    "data": {
        "issues": None,
        "issues?": {
            "n": int,
            "rows": [{"id": str, "says": str, "looks_like": str, "sure?": NUMBER, "thumbnail?": str}],
        },
        "duplicates": None,
        "duplicates?": {
            "n": int,
            "n_leaks": int,
            "groups": [
                {
                    "kind": str,
                    "similarity?": NUMBER,
                    "across_labels": bool,
                    "across_splits": bool,
                    "photos": [{**PHOTO, "split?": str}],
                }
            ],
        },
        "skipped": None,
        "skipped?": {"n": int, "rows": [{"path": str, "reason": str}]},
    },
    "similar": None,
    "similar?": {
        "measured": None,
        "measured?": {
            **dict.fromkeys(("recall_at_1?", "recall_at_5?", "recall_at_10?", "precision_at_10?", "map?"), METRIC),
            "categories?": [{"label": str, "recall_at_1?": NUMBER, "map?": NUMBER}],
        },
        "best": [{"query": PHOTO, "neighbours": [NEIGHBOUR]}],
        "worst": [{"query": PHOTO, "neighbours": [NEIGHBOUR]}],
    },
    "map": None,
    "map?": {
        "n": int,
        "method": str,
        "seconds?": NUMBER,
        "same_category?": NUMBER,
        "points": str,
        "sheet?": str,
        "classes": [str],
        "tile": int,
        "columns": int,
        "ids": [str],
        "ids_of": str,
    },
    "made": {
        "command": [str],
        "commands?": [str],
        "machine": dict,
        "settings": dict,
        "seconds?": NUMBER,
        "peak_memory?": NUMBER,
        "stores": [{"name": str}],
    },
    "pictures?": {"made": int, "left_out": int, "n_missing?": int},
    "changes?": {"metrics": [CHANGE], "categories": [CHANGE], "notes": [str], "since?": str},
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
    """What a document lacks of the shape that everything here relies on; None where nothing.

    What may be missing is there afterwards, as null: an older report has fewer keys than a newer one.
    """
    if wanted is METRIC:
        wanted = SCORE if isinstance(value, dict) else NUMBER
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return f"`{where}` is no object" if where else "it is no object"
        for key, inner in wanted.items():
            name, optional = key.rstrip("?"), key.endswith("?")
            if value.get(name) is None and (optional or (name in value and inner is None)):
                value.setdefault(name, None)
                continue
            path = f"{where}.{name}" if where else name
            if name not in value:
                return f"it has no `{path}`"
            if (fault := _fault(value[name], inner, path)) is not None:
                return fault
        return None
    if isinstance(wanted, Row):
        fits = isinstance(value, list) and len(value) == wanted.length
        return None if fits and all(isinstance(one, wanted.kind) for one in value) else f"`{where}` is broken"
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return f"`{where}` is no list"
        return next((f for i, one in enumerate(value) if (f := _fault(one, wanted[0], f"{where}.{i}"))), None)
    # A yes or no counts as a number to Python, and as none here.
    fits = wanted is None or (isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)))
    return None if fits else f"`{where}` is not what it should be"
