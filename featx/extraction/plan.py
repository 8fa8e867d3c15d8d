"""The plan of an extraction: photos to compute, rows to update, rows to remove. Nothing is read here."""

from __future__ import annotations

from dataclasses import replace

from featx.catalogue.items import Catalogue, Item, Skipped
from featx.extraction.existing_rows import ExistingRows, differs
from featx.extraction.inspection import Inspection
from featx.extraction.options import ExtractionReport


class ExtractionPlan:
    """Grows with every photo that was inspected, and counts it in the report."""

    def __init__(self, catalogue: Catalogue, existing: ExistingRows, report: ExtractionReport) -> None:
        self.existing, self.report = existing, report
        self.items = list(existing.named(catalogue))
        # Photos whose bytes are computed already, or in this run for another photo.
        self.copies: list[Inspection] = []
        # Rows of unchanged photos whose metadata has changed in the catalogue.
        self.updates: list[Item] = []
        self._added: list[tuple[Item, str]] = []
        self._new: set[str] = set()
        self._catalogue = catalogue
        report.listed = len(catalogue.items) + len(catalogue.skipped)
        report.skipped = list(catalogue.skipped)

    def add(self, photo: Inspection) -> None:
        """One photo, in the order of the catalogue."""
        match photo.kind:
            case "new":
                self.report.new += 1
                self._new.add(photo.item.item_id)
                self._added.append((photo.item, photo.digest))
            case "changed":
                self.report.changed += 1
            case "copied":
                self.report.copied += 1
                self.copies.append(photo)
            case "unchanged":
                self._add_unchanged(photo.item)
            case "skipped":
                if photo.skip is not None:
                    self.report.skipped.append(photo.skip)

    def _add_unchanged(self, item: Item) -> None:
        self.report.unchanged += 1
        row = self.existing.row_of(item)
        if row is None or not differs(row, item):
            return
        self.updates.append(_with_metadata(row, item))
        if row.path != item.path:
            self.report.renamed += 1
        else:
            self.report.refreshed += 1

    def confirm_copy(self, photo: Inspection) -> None:
        """A copy got a row of its own, as the photo it is a copy of could be read."""
        if self.existing.row_of(photo.item) is None:
            self._added.append((photo.item, photo.digest))

    def reject_copy(self, skip: Skipped) -> None:
        """A copy of a photo that turned out to be unreadable."""
        self.report.copied -= 1
        self.report.skipped.append(skip)

    def complete(self, *, prune: bool) -> None:
        """After the last photo: which rows were renamed, and which have no photo or no place in the table any more."""
        report = self.report
        departed = self.existing.departed(self._catalogue, self.items, report.skipped, self._added)
        report.renames = departed.renamed
        report.renamed += len(departed.renamed)
        replaced = sum(new in self._new for new in departed.renamed.values())
        report.new, report.changed = report.new - replaced, report.changed + replaced
        report.copied -= len(departed.renamed) - replaced
        if prune:
            report.removed = sorted([*departed.gone, *departed.left])
        else:
            report.gone, report.left = departed.gone, departed.left

    def rows_to_remove(self) -> list[str]:
        """Rows that go: old names of renamed photos, photos that are unreadable now, and those that are to be pruned.

        A photo that was replaced by an unreadable one must not keep answering with its old features.
        """
        unreadable = {skip.path for skip in self.report.skipped}
        replaced = [row.item_id for row in self.existing.rows.values() if row.path in unreadable]
        return list(dict.fromkeys([*self.report.renames, *self.report.removed, *replaced]))


def _with_metadata(row: Item, item: Item) -> Item:
    return replace(item, item_id=row.item_id, digest=row.digest)
