"""A report or a comparison read again from its file: refused in a sentence where it is broken or too new."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec

from featx.comparison.document import SCHEMA as COMPARISON
from featx.comparison.document import ComparisonDocument, read_comparison
from featx.comparison.json_values import as_record, impossible_number
from featx.errors import FeatxError
from featx.files.regular import read_json
from featx.reporting.records import SCHEMA, ReportDocument


def read_document(path: Path) -> ReportDocument | ComparisonDocument:
    """A report or a comparison from a JSON file; other files and newer formats are refused."""
    if path.is_dir():
        path = path / "report.json"
    document = _json(path)
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema not in (SCHEMA, COMPARISON):
        raise _foreign(path, schema)
    try:
        return read_comparison(document) if schema == COMPARISON else read_plain(document)
    except ValueError as error:
        raise FeatxError("bad-manifest", f"`{path}` is damaged: {error}", "make it again: `featx compare`") from error


def read_report(path: Path) -> ReportDocument:
    """A report from its JSON file, or from the folder that holds it."""
    document = read_document(path)
    if not isinstance(document, ReportDocument):
        raise FeatxError("bad-manifest", f"`{path}` is not a report", "name the report.json of an earlier report")
    return document


def read_plain(plain: Any) -> ReportDocument:
    """The report in a JSON file; ValueError explains what is wrong with it, and where."""
    if place := impossible_number(plain):
        raise ValueError(f"`{place}` is not a number that can be")
    try:
        report = as_record(plain, ReportDocument)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    if why := _at_odds(report):
        raise ValueError(why)
    return report


def _at_odds(report: ReportDocument) -> str | None:
    """What in a report contradicts the rest of it."""
    if not report.which.rows:
        return "`which.rows` is empty"
    fails, drawn = report.fails, report.map
    if fails and fails.outcomes and _n_bytes(fails.outcomes.right) != -(-fails.outcomes.n // 8):
        return "`fails.outcomes` has not one bit for each photo"
    if fails and fails.confusion:
        n = len(fails.confusion.classes)
        indices = [i for cell in fails.confusion.cells for i in cell[:2]]
        indices += [i for block in (fails.confusion.order, *fails.confusion.blocks) for i in block]
        if any(not 0 <= i < n for i in indices):
            return "`fails.confusion` names categories that are not there"
    if drawn and _n_bytes(drawn.points) != 8 * drawn.n:
        return "`map.points` has not one point for each photo"
    return None


def _n_bytes(text: str) -> int | None:
    """How many bytes a text in base64 holds; None where it is no base64."""
    try:
        return len(base64.b64decode(text, validate=True))
    except ValueError:
        return None


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except FileNotFoundError as error:
        raise FeatxError("no-such-file", f"there is no `{path}`", "make a report: `featx compare`") from error
    except OSError as error:
        raise FeatxError(
            "no-permission", f"cannot read `{path}`: {error.strerror or error}", "make it readable"
        ) from error
    except ValueError as error:
        raise FeatxError(
            "bad-manifest", f"`{path}` is not a JSON file: {error}", "make a report: `featx compare`"
        ) from error


def _foreign(path: Path, schema: object) -> FeatxError:
    if isinstance(schema, str) and schema.startswith(("featx-report/", "featx-comparison/")):
        return FeatxError(
            "bad-manifest",
            f"`{path}` is of schema `{schema}`, which this featx does not know",
            "read it with a newer featx",
        )
    return FeatxError(
        "bad-manifest", f"`{path}` is not a featx report", "name a report.json, or make one: `featx compare`"
    )
