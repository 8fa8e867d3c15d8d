"""The files of a report: their paths, and how they are written atomically."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

from featx.comparison.document import ComparisonDocument, read_comparison
from featx.comparison.json_values import to_plain
from featx.errors import FeatxError
from featx.files.atomic import link_atomic, write_atomic
from featx.files.cells import Cell
from featx.files.locks import one_writer
from featx.files.regular import read_regular
from featx.files.spreadsheet import csv_bytes
from featx.reporting.records import DataFindings, ReportDocument

FORMATS = ("html", "md", "json", "png")
LIMIT = 5_000_000
LATEST = "latest"
# The comparison of which a folder holds the report, by its digest.
CLAIM = ".comparison"


@dataclass(frozen=True)
class Written:
    """The written report: the folder, each file, the size of the page and what it omits to stay small."""

    folder: Path
    files: list[Path]
    page: Path | None
    bytes: int
    left_out: list[str] = field(default_factory=list)
    document: ReportDocument = field(kw_only=True, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "folder": str(self.folder),
            "page": None if self.page is None else str(self.page),
            "bytes": self.bytes,
            "left_out": self.left_out,
            "files": [path.relative_to(self.folder).as_posix() for path in self.files],
        }


def claim_folder(root: Path, comparison: ComparisonDocument) -> Path:
    """The folder of a comparison's report among the others, named after the time of the comparison.

    Two comparisons of the same second get a folder each; a report that is written again keeps its own.
    """
    name = _folder_name(comparison.written)
    identity = _identity(comparison)
    with one_writer(root, "a report"):
        names = chain([name], (f"{name}-{number}" for number in count(2)))
        folder = next(root / name for name in names if _is_free(root / name, identity))
        _keep(folder / CLAIM, f"{identity}\n".encode())
        return folder


def _folder_name(written: str | None) -> str:
    digits = re.sub(r"[^0-9]", "", (written or "")[:19])
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}-{digits[8:14]}" if len(digits) >= 12 else "undated"


def _identity(comparison: ComparisonDocument) -> str:
    """A digest of a comparison, the same whether it was just made or read from its file."""
    read = read_comparison(to_plain(comparison))
    return hashlib.sha256(json.dumps(to_plain(read), sort_keys=True).encode()).hexdigest()


def _is_free(folder: Path, identity: str) -> bool:
    """Whether a folder holds no report of another comparison, as far as it says of which."""
    try:
        return read_regular(folder / CLAIM).decode("ascii", "replace").strip() == identity
    except FileNotFoundError:
        return True


def check_formats(formats: Sequence[str]) -> None:
    """Refuse a format that a report does not have."""
    strange = [name for name in formats if name not in FORMATS]
    if strange or not formats:
        raise FeatxError(
            "bad-flag", f"`{(strange or [''])[0]}` is not a format of a report", f"choose from {', '.join(FORMATS)}"
        )


def write_files(
    document: ReportDocument,
    folder: Path,
    formats: Sequence[str] = FORMATS,
    *,
    pictures: Path | None = None,
    limit: int = LIMIT,
) -> Written:
    """Write a report document in these formats; its thumbnails are read from `pictures` (or `folder`).

    The page leaves out what is least useful until it has at most `limit` bytes, and says so.
    """
    with one_writer(folder, "a report"):
        return write_files_as_the_writer(document, folder, formats, pictures=pictures, limit=limit)


def write_files_as_the_writer(
    document: ReportDocument, folder: Path, formats: Sequence[str], *, pictures: Path | None = None, limit: int = LIMIT
) -> Written:
    """`write_files` for a caller that is already the `one_writer` of the folder."""
    check_formats(formats)
    try:
        return _write_files(document, folder, formats, pictures or folder, limit)
    except OSError as error:
        full = error.errno in (28, 122)
        raise FeatxError(
            "disk-full" if full else "no-permission",
            f"cannot write the report into `{folder}`: {error.strerror or error}",
            "free some space" if full else "make the folder writable, or name another with `-o`",
        ) from error


def _write_files(document: ReportDocument, folder: Path, formats: Sequence[str], pictures: Path, limit: int) -> Written:
    from featx.reporting.markdown import markdown
    from featx.reporting.page import renderer
    from featx.reporting.size_budget import fit_page, left_out

    files: list[Path] = []
    page_path, size, missing = None, 0, []
    if "json" in formats:
        text = json.dumps(document.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
        files.append(_keep(folder / "report.json", text.encode("utf-8", "surrogatepass")))
        files += _tables(document.data, folder)
    drawn: list[str] = []
    if "png" in formats:
        for name, data in _pngs(document):
            files.append(_keep(folder / "img" / f"{name}.png", data))
            drawn.append(name)
    if "md" in formats:
        shown = drawn or [path.stem for path in sorted((folder / "img").glob("*.png"))]
        files.append(_keep(folder / "report.md", markdown(document, shown).encode("utf-8", "replace")))
    if "html" in formats:
        text, budget = fit_page(renderer(document, pictures, limit), limit)
        data, missing = text.encode("utf-8", "replace"), left_out(budget)
        page_path, size = _keep(folder / "report.html", data), len(data)
        files.append(page_path)
    return Written(folder, files, page_path, size, missing, document=document)


def _pngs(document: ReportDocument) -> list[tuple[str, bytes]]:
    from featx.reporting.confusion_image import map_png, matrix_png, on_white
    from featx.reporting.plots import PLOTS, png_of

    images = [(name, data) for name in PLOTS if (data := png_of(name, document)) is not None]
    if document.fails and document.fails.confusion:
        images.append(("confusion", on_white(matrix_png(document.fails.confusion, 1000))))
    if document.map:
        images.append(("map", map_png(document.map)))
    return images


def _tables(data: DataFindings, folder: Path) -> list[Path]:
    files = []
    if data.issues is not None:
        rows: list[Sequence[Cell]] = [(row.id, row.says, row.looks_like, row.sure) for row in data.issues.rows]
        files.append(_table(folder, "suspected", ("id", "says", "looks_like", "sure"), rows))
    if data.duplicates is not None:
        rows = [
            (number, group.kind, group.similarity, photo.id, photo.label, photo.split)
            for number, group in enumerate(data.duplicates.groups, start=1)
            for photo in group.photos
        ]
        files.append(_table(folder, "duplicates", ("group", "kind", "similarity", "id", "label", "split"), rows))
    if data.skipped is not None:
        rows = [(row.path, row.reason) for row in data.skipped.rows]
        files.append(_table(folder, "skipped", ("path", "reason"), rows))
    return files


def _table(folder: Path, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Path:
    return _keep(folder / f"{name}.csv", csv_bytes(columns, rows, errors="surrogatepass"))


def _keep(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)
    return path


def point_latest(root: Path, folder: Path) -> None:
    """Let `latest` lead to the newest report, where the file system knows links."""
    with one_writer(root, "a report"), suppress(OSError):
        link_atomic(root / LATEST, folder.name)


def newest(root: Path) -> Path | None:
    """The JSON file of the latest report; None if there is none."""
    reports = sorted(path for path in root.glob("*/report.json") if path.parent.name != LATEST)
    return reports[-1] if reports else None
