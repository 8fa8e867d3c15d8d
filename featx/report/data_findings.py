"""What is wrong with the data, as the report shows it: suspected labels, copies, leaks, unreadable files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featx.report.thumbnails import ThumbnailCache

SHOWN = 24
GROUPS = 16
MEMBERS = 4
KEPT = 2_000

Document = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]


def findings_of(
    issues: Mapping[str, Any] | None,
    duplicates: Mapping[str, Any] | None,
    skipped: Rows | None,
    pictures: ThumbnailCache,
) -> Document:
    """The findings with thumbnails for the first of each; null for what was not looked for."""
    return {
        "issues": None if issues is None else _issues(issues, pictures),
        "duplicates": None if duplicates is None else _duplicates(duplicates, pictures),
        "skipped": None if skipped is None else _skipped(skipped),
    }


def _issues(found: Mapping[str, Any], pictures: ThumbnailCache) -> Document:
    rows = [
        {
            "id": str(one["item_id"]),
            "says": str(one["says"]),
            "looks_like": str(one["looks_like"]),
            "sure": one.get("sure"),
        }
        for one in found["labels"]
    ]
    for i, row in enumerate(rows):
        row["thumbnail"] = pictures.name(str(row["id"])) if i < SHOWN else None
    return {"n": len(rows), "rows": rows[:KEPT]}


def _duplicates(found: Mapping[str, Any], pictures: ThumbnailCache) -> Document:
    groups = []
    for group in found["groups"]:
        photos = [
            {"id": str(one["id"]), "label": one.get("label"), "split": one.get("split")} for one in group["pictures"]
        ]
        groups.append(
            {
                "kind": str(group["kind"]),
                "similarity": group.get("score"),
                "across_labels": len({one["label"] for one in photos if one["label"]}) > 1,
                "across_splits": len({one["split"] for one in photos if one["split"]}) > 1,
                "photos": photos,
            }
        )
    groups.sort(key=lambda group: (not group["across_splits"], not group["across_labels"]))
    for i, group in enumerate(groups):
        for k, one in enumerate(group["photos"]):
            one["thumbnail"] = pictures.name(one["id"]) if i < GROUPS and k < MEMBERS else None
    return {
        "n": len(groups),
        "n_leaks": sum(group["across_splits"] for group in groups),
        "n_across_labels": sum(group["across_labels"] for group in groups),
        "groups": groups[:KEPT],
    }


def _skipped(rows: Rows) -> Document:
    return {
        "n": len(rows),
        "rows": [{"path": str(one.get("path")), "reason": str(one.get("reason"))} for one in rows[:KEPT]],
    }
