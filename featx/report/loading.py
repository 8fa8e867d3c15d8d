"""A report or a comparison read again from its file: refused in a sentence where it is broken or too new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.files.json_schema import first_error
from featx.files.regular import read_json
from featx.report.document import COMPARISON, SCHEMA
from featx.report.schema import COMPARED, REPORT


def read_document(path: Path) -> dict[str, Any]:
    """A report or a comparison from a JSON file; what is neither, or newer than this featx, is refused."""
    if path.is_dir():
        path = path / "report.json"
    try:
        document = read_json(path)
    except FileNotFoundError as error:
        raise FeatxError("no-such-file", f"there is no `{path}`", "make a report: `featx compare`") from error
    except OSError as error:
        raise FeatxError("no-permission", f"cannot read `{path}`: {error.strerror or error}") from error
    except ValueError as error:
        raise FeatxError(
            "bad-manifest", f"`{path}` is not a JSON file: {error}", "make a report: `featx compare`"
        ) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema not in (SCHEMA, COMPARISON):
        known = isinstance(schema, str) and schema.startswith(("featx-report/", "featx-comparison/"))
        raise FeatxError(
            "bad-manifest",
            f"`{path}` is {f'of schema `{schema}`, which this featx does not know' if known else 'not a featx report'}",
            "read it with a newer featx" if known else "name a report.json, or make one: `featx compare`",
        )
    wrong = first_error(document, REPORT) if schema == SCHEMA else first_error(document, COMPARED) or _at_odds(document)
    if wrong:
        raise FeatxError("bad-manifest", f"`{path}` is damaged: {wrong}", "make it again: `featx compare`")
    return document  # type: ignore[no-any-return]


def _at_odds(comparison: dict[str, Any]) -> str | None:
    """Whether lists that tell of the same photos are of different lengths, or name categories that there are not."""
    for name, told in (comparison.get("details") or {}).items():
        ids, truth, says = ([] if told[key] is None else told[key] for key in ("ids", "truth", "says"))
        sure, classes = told["confidence"], told["classes"] or []
        if not len(ids) == len(truth) == len(says) or (sure is not None and len(sure) != len(ids)):
            return f"`details.{name}` has not one answer for each photo"
        if any(not 0 <= place < len(classes) for place in (*truth, *says)):
            return f"`details.{name}` names categories that are not there"
    return None
