"""The report: one page that says which classifier to use, how far to trust it, and what is wrong with the data.

document   a comparison, a store and the audit's findings -> one JSON document, `report.json`
page       the document -> one HTML file; `markdown` the same in short; `plots` its pictures
changes    two documents -> what became better or worse

The page is made of the document and its thumbnails alone, so it can be written again without the photos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.report.changes import Change, Changes, changes
from featx.report.document import SCHEMA, build_document
from featx.report.files import FORMATS, Written, check_formats, folder_for, newest, point_latest, write_files
from featx.report.headlines import in_short
from featx.report.loading import read_document

if TYPE_CHECKING:
    from featx.store import Store

__all__ = [
    "FORMATS",
    "SCHEMA",
    "Change",
    "Changes",
    "Written",
    "build_document",
    "changes",
    "in_short",
    "newest",
    "read_document",
    "write_files",
    "write_report",
]


def write_report(
    comparison: Mapping[str, Any],
    store: Store | None = None,
    *,
    root: Path = Path("artifacts/reports"),
    folder: Path | None = None,
    issues: Mapping[str, Any] | None = None,
    duplicates: Mapping[str, Any] | None = None,
    skipped: Sequence[Mapping[str, str]] | None = None,
    price_per_hour: float | None = None,
    formats: Sequence[str] = FORMATS,
    audit: bool = False,
    against: Mapping[str, Any] | None = None,
) -> Written:
    """Write the report of a comparison into a folder of its own under `root`; `latest` leads to it.

    `issues` and `duplicates` are the `to_dict()` of what the audit found, `skipped` the rows of the skipped list.
    What is not given is said in the report to be not measured; with `audit`, the store is checked for both now.
    With `against`, an earlier report's document, it says what changed since.
    """
    check_formats(formats)
    if audit and store is not None:
        issues = issues if issues is not None else _found("find_issues", store)
        duplicates = duplicates if duplicates is not None else _found("find_duplicates", store)
    chosen = folder or folder_for(root, comparison.get("written"))
    chosen.mkdir(parents=True, exist_ok=True)
    document = build_document(
        comparison,
        chosen,
        store=store,
        issues=issues,
        duplicates=duplicates,
        skipped=skipped,
        price_per_hour=price_per_hour,
        cache=root,
    )
    if against is not None:
        document["changes"] = changes(against, document).to_dict()
    written = write_files(document, chosen, formats)
    if folder is None:
        point_latest(root, chosen)
    return written


def _found(what: str, store: Store) -> Mapping[str, Any] | None:
    """What the audit finds; None where this store gives it nothing to go by, which the report then says."""
    import featx.audit
    from featx.errors import FeatxError

    try:
        found: Mapping[str, Any] = getattr(featx.audit, what)(store).to_dict()
    except FeatxError:
        return None
    return found
