"""What is wrong with the data, as the report shows it: suspected labels, copies, leaks, unreadable files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from featx.reporting.records import (
    CopiedPhoto,
    Copies,
    CopyGroup,
    DataFindings,
    SkippedFile,
    SkippedFiles,
    SuspectedLabel,
    SuspectedLabels,
)

if TYPE_CHECKING:
    from featx.reporting.thumbnails import ThumbnailCache

SHOWN = 24
GROUPS = 16
MEMBERS = 4
KEPT = 2_000


def findings_of(
    issues: Mapping[str, Any] | None,
    duplicates: Mapping[str, Any] | None,
    skipped: Sequence[Mapping[str, str]] | None,
    thumbnails: ThumbnailCache,
) -> DataFindings:
    """The findings with thumbnails for the first of each kind; null for checks that were not run."""
    return DataFindings(
        issues=None if issues is None else _issues(issues, thumbnails),
        duplicates=None if duplicates is None else _copies(duplicates, thumbnails),
        skipped=None if skipped is None else _skipped(skipped),
    )


def _issues(issues: Mapping[str, Any], thumbnails: ThumbnailCache) -> SuspectedLabels:
    rows = [
        SuspectedLabel(str(label["item_id"]), str(label["says"]), str(label["looks_like"]), label.get("sure"))
        for label in issues["labels"]
    ]
    for row in rows[:SHOWN]:
        row.thumbnail = thumbnails.name(row.id)
    return SuspectedLabels(len(rows), rows[:KEPT])


def _copies(duplicates: Mapping[str, Any], thumbnails: ThumbnailCache) -> Copies:
    groups = sorted(
        (_group(group) for group in duplicates["groups"]),
        key=lambda group: (not group.across_splits, not group.across_labels),
    )
    for group in groups[:GROUPS]:
        for photo in group.photos[:MEMBERS]:
            photo.thumbnail = thumbnails.name(photo.id)
    return Copies(
        n=len(groups),
        n_leaks=sum(group.across_splits for group in groups),
        n_across_labels=sum(group.across_labels for group in groups),
        groups=groups[:KEPT],
    )


def _group(group: Mapping[str, Any]) -> CopyGroup:
    photos = [
        CopiedPhoto(id=str(photo["id"]), label=photo.get("label"), split=photo.get("split"))
        for photo in group["pictures"]
    ]
    return CopyGroup(
        kind=str(group["kind"]),
        similarity=group.get("score"),
        across_labels=len({photo.label for photo in photos if photo.label}) > 1,
        across_splits=len({photo.split for photo in photos if photo.split}) > 1,
        photos=photos,
    )


def _skipped(rows: Sequence[Mapping[str, str]]) -> SkippedFiles:
    kept = [SkippedFile(str(row.get("path")), str(row.get("reason"))) for row in rows[:KEPT]]
    return SkippedFiles(len(rows), kept)
