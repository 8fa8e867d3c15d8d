"""Copies and doubted labels as sheets of photos to decide on."""

from __future__ import annotations

from featx.audit.duplicates import DuplicateGroup, Duplicates, Picture
from featx.audit.issues import Issues, LabelIssue
from featx.catalogue.own_columns import Value
from featx.labels.decisions import categories_of
from featx.store import Store
from featx.views.sheet import MOST, Sheet, SheetPhoto


def issues_sheet(issues: Issues, store: Store, most: int = MOST) -> Sheet:
    """The labels that are probably wrong, most certain first, beside what each photo looks like."""
    row_of = {item_id: row for row, item_id in enumerate(store.ids)}
    photos = [_doubted(issue, store.own_row(row_of[issue.item_id])) for issue in issues.labels[:most]]
    return Sheet("Labels that are probably wrong", photos, categories_of(store), len(issues), "the most certain")


def duplicates_sheet(duplicates: Duplicates, store: Store, most: int = MOST) -> Sheet:
    """Groups of copies, those with two categories first, then those in two splits; whole groups up to `most` photos."""
    row_of = {item_id: row for row, item_id in enumerate(store.ids)}
    groups = sorted(duplicates.groups, key=lambda group: (len(group.labels) < 2, len(group.splits) < 2))
    photos: list[SheetPhoto] = []
    for number, group in enumerate(groups, start=1):
        if photos and len(photos) + len(group.pictures) > most:
            break
        photos += [
            _copy(picture, group, f"{number}. {_title(group)}", store.own_row(row_of[picture.item_id]))
            for picture in group.pictures[:most]
        ]
    return Sheet("Duplicate photos", photos, categories_of(store), duplicates.pictures, "groups with two categories")


def _doubted(issue: LabelIssue, columns: dict[str, Value]) -> SheetPhoto:
    why = {"product": "the other photos of the product are"}.get(issue.why, "looks like")
    facts = (
        ("category", issue.label),
        ("sure it is wrong", f"{issue.probability:.2f}"),
        ("look-alikes that agree", f"{issue.agree} of {issue.neighbours}"),
    )
    return SheetPhoto(
        issue.item_id,
        issue.digest,
        issue.path,
        issue.product,
        issue.label,
        (issue.looks_like,),
        f"{issue.label}? {why} {issue.looks_like}",
        facts,
        columns,
    )


def _title(group: DuplicateGroup) -> str:
    parts = [group.kind, f"{group.score:.3f}"]
    parts += ["two categories"] * (len(group.labels) > 1) + ["two splits"] * (len(group.splits) > 1)
    return ", ".join(parts)


def _copy(picture: Picture, group: DuplicateGroup, title: str, columns: dict[str, Value]) -> SheetPhoto:
    others = tuple(label for label in group.labels if label != picture.label)
    facts = (("category", picture.label or "none"), *([("split", picture.split)] if picture.split else []))
    return SheetPhoto(
        picture.item_id,
        picture.digest,
        picture.path,
        picture.product,
        picture.label or "",
        others[:2],
        facts=facts,
        columns=columns,
        group=title,
    )
