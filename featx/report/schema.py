"""What a report looks like, as far as everything that reads it relies on it."""

from __future__ import annotations

from typing import Any

from featx.files.json_schema import NUMBER, Either, Row

NAME = Row(str, 2)
SCORE: dict[str, Any] = {"value": NUMBER, "low?": NUMBER, "high?": NUMBER}
# A plain number, or one with an interval.
METRIC = Either(SCORE, NUMBER)
CHANGE: dict[str, Any] = {"metric": str, "old": NUMBER, "new": NUMBER, "fell": bool, "rose": bool, "p?": NUMBER}
PHOTO: dict[str, Any] = {"id": str, "label?": str, "thumbnail?": str}
NEIGHBOUR: dict[str, Any] = {**PHOTO, "similarity": NUMBER, "right": bool}
REPORT: dict[str, Any] = {
    "featx": str,
    "written?": str,
    "about": {"store": str, "n?": int, "n_categories?": int},
    "which": {
        "best": {"store": str, "clf": str},
        "ties": [NAME],
        "alike?": [NAME],
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
                "alike?": bool,
                "below?": bool,
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
                **dict.fromkeys(("low?", "high?", "p?", "p_holm?", "level?"), NUMBER),
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
        "products?": int,
        "needed?": int,
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
