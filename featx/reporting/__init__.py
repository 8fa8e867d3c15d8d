"""The report: one page that says which classifier to use, how far to trust it, and what is wrong with the data.

sources        the last comparison, its store, the photos that were skipped
document       a comparison, a store and the audit's findings -> one document, `report.json`
records        the document as typed records; `loading` reads it again
  recommendation failures explained confusion data_findings retrieval_examples catalogue_map map_layout
  published_results tuned
                 its parts, one for each question
thumbnails     the thumbnails beside it
headlines      the sentence that opens each section
page           the document -> one HTML file, kept small by `size_budget`; `markdown` the same in short
formatting     numbers and sentences for a page, Markdown and a terminal
plots          its plots; `confusion_image` the matrix and the map as images
changes        two documents -> what became better or worse
files          all of it into a folder

The page is made of the document and its thumbnails alone, so it can be written again without the photos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.files.locks import one_writer
from featx.reporting.changes import changes
from featx.reporting.document import build_document, comparison_of
from featx.reporting.files import (
    FORMATS,
    Written,
    check_formats,
    claim_folder,
    newest,
    point_latest,
    write_files,
    write_files_as_the_writer,
)
from featx.reporting.headlines import in_short
from featx.reporting.loading import read_document, read_report
from featx.reporting.recommendation import cost
from featx.reporting.records import SCHEMA, Change, Changes, ReportDocument
from featx.reporting.sources import last, skipped_photos, store_of

if TYPE_CHECKING:
    from featx.comparison import Comparison
    from featx.comparison.document import ComparisonDocument
    from featx.store import Store

__all__ = [
    "FORMATS",
    "SCHEMA",
    "Change",
    "Changes",
    "ReportDocument",
    "Written",
    "build_document",
    "changes",
    "in_short",
    "last",
    "newest",
    "read_document",
    "read_report",
    "skipped_photos",
    "store_of",
    "write_again",
    "write_files",
    "write_report",
]


def write_report(
    comparison: Comparison | ComparisonDocument | Mapping[str, Any],
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
    against: ReportDocument | None = None,
    models: Path | None = None,
) -> Written:
    """Write the report of a comparison into a folder of its own under `root`; `latest` leads to it.

    `issues` and `duplicates` are the `to_dict()` of what the audit found, `skipped` the rows of the skipped list.
    What is not given is said in the report to be not measured; with `audit`, the store is checked for both now.
    With `against`, an earlier report's document, it says what changed since. With `models`, the folder of saved
    classifiers, it shows what spoke for the surest mistakes.
    """
    check_formats(formats)
    if audit and store is not None:
        issues = issues if issues is not None else _audited("find_issues", store)
        duplicates = duplicates if duplicates is not None else _audited("find_duplicates", store)
    compared = comparison_of(comparison)
    chosen = folder or claim_folder(root, compared)
    chosen.mkdir(parents=True, exist_ok=True)
    document = build_document(
        compared,
        chosen,
        store=store,
        issues=issues,
        duplicates=duplicates,
        skipped=skipped,
        price_per_hour=price_per_hour,
        cache=root,
        models=models,
    )
    if against is not None:
        document.changes = changes(against, document)
    written = write_files(document, chosen, formats)
    if folder is None:
        point_latest(root, chosen)
    return written


def write_again(
    source: Path,
    *,
    folder: Path | None = None,
    price_per_hour: float | None = None,
    formats: Sequence[str] = FORMATS,
    against: ReportDocument | None = None,
) -> Written:
    """Write a report again from its `report.json` and thumbnails, without the photos; into `folder`, or in place."""
    beside = source if source.is_dir() else source.parent
    target = folder or beside
    read_report(source)  # refuse other files before creating a folder
    # Read again under the lock that it is written under: a report that another featx writes meanwhile is not undone.
    with one_writer(target, "a report"):
        report = read_report(source)
        if price_per_hour is not None:
            report.which.price_per_hour = price_per_hour
            for row in report.which.rows:
                row.cost_per_million = cost(row.hours_per_million, price_per_hour)
        if against is not None:
            report.changes = changes(against, report)
        return write_files_as_the_writer(report, target, formats, pictures=beside)


def _audited(check: str, store: Store) -> Mapping[str, Any] | None:
    """What the audit finds; None where this store gives it nothing to go by, which the report then says."""
    import featx.audit
    from featx.errors import FeatxError

    try:
        findings: Mapping[str, Any] = getattr(featx.audit, check)(store).to_dict()
    except FeatxError:
        return None
    return findings
