"""Photos that could not be used: remembered in the store, listed for people."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from featx.catalogue.items import Skipped
from featx.catalogue.photos_by_sku import Unmatched
from featx.errors import FeatxError
from featx.files.atomic import SPREADSHEET, cannot_write, write_atomic
from featx.files.cells import Cell, bare
from featx.files.spreadsheet import csv_bytes
from featx.store import Store, StoreWriter


class SkipLog:
    """Photos that could not be used, from this run and from earlier ones."""

    def __init__(self, known: Store | None) -> None:
        self._bad = dict(known.known_skipped()) if known is not None else {}
        self._noted: dict[str, Skipped] = {}

    def __contains__(self, path: str) -> bool:
        """Whether a photo could not be used in an earlier run."""
        return path in self._bad

    def unchanged_skip(self, path: str, mark: tuple[int, int]) -> Skipped | None:
        """The same verdict as last time, while the file is the same; a changed file gets a new try."""
        bad = self._bad.get(path)
        if bad is None or (bad.size, bad.mtime_ns) != mark:
            return None
        return bad

    def note(self, skip: Skipped, mark: tuple[int, int] | None) -> None:
        """Remember an unusable photo, with the size and time of its file."""
        size, mtime_ns = mark or (-1, -1)
        self._noted[skip.path] = replace(skip, size=size, mtime_ns=mtime_ns)

    def commit(self, writer: StoreWriter) -> None:
        """Write the notes into the store."""
        writer.note_skipped(list(self._noted.values()))


def write_skipped_list(skipped: Sequence[Skipped], path: Path) -> str:
    """Write artifacts/skipped.csv of this run; an old list is removed when nothing was skipped."""
    ordered = sorted(skipped, key=lambda skip: skip.path)
    return _write_list(path, ("path", "reason", "detail"), [(skip.path, skip.reason, skip.detail) for skip in ordered])


def read_skipped_list(path: Path) -> list[Skipped]:
    """The photos of such a list; none where there is no list."""
    try:
        text = path.read_text(encoding=SPREADSHEET, errors="surrogateescape")
    except FileNotFoundError:
        return []
    rows = list(csv.reader(text.splitlines()))[1:]
    return [Skipped(bare(path), bare(reason), bare(detail)) for path, reason, detail in rows]


def write_unmatched_list(unmatched: Unmatched | None, path: Path) -> str:
    """Write artifacts/unmatched.csv of this run; an old list is removed when nothing is left over."""
    return _write_list(path, ("finding", "sku", "path"), list(unmatched.rows()) if unmatched else [])


def _write_list(path: Path, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    try:
        if not rows:
            path.unlink(missing_ok=True)
            return ""
        write_atomic(path, csv_bytes(header, rows))
    except OSError as error:
        raise cannot_write(path, error, "make room for it there; what was extracted is in the store") from error
    return str(path)


def nothing_readable(skipped: Sequence[Skipped], listed: int, where: str) -> FeatxError:
    """The error for a catalogue without a single readable photo; `where` lists them."""
    reasons = Counter(skip.reason for skip in skipped)
    counts = ", ".join(f"{n:,} {reason}" for reason, n in reasons.most_common())
    return FeatxError(
        "all-corrupt",
        f"none of the {listed:,} photos could be read: {counts}",
        f"each is listed with its reason in {where}",
    )


def unreadable_under_strict(skip: Skipped) -> FeatxError:
    """The error that `--strict` raises."""
    detail = f" ({skip.detail})" if skip.detail else ""
    return FeatxError(
        "photo-unreadable",
        f"{skip.path} is {skip.reason.replace('-', ' ')}{detail}, and --strict was given",
        "fix or remove the file, or run without `--strict` to skip such files",
    )
