"""A report or a comparison read again from its file: refused in a sentence where it is broken or too new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featx.comparison.document import read_comparison, to_plain
from featx.errors import FeatxError
from featx.files.json_schema import first_error
from featx.files.regular import read_json
from featx.report.document import COMPARISON, SCHEMA
from featx.report.schema import REPORT


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
    damaged = f"`{path}` is damaged"
    if schema == COMPARISON:
        try:
            comparison: dict[str, Any] = to_plain(read_comparison(document))
        except ValueError as error:
            raise FeatxError("bad-manifest", f"{damaged}: {error}", "make it again: `featx compare`") from error
        return comparison
    if wrong := first_error(document, REPORT):
        raise FeatxError("bad-manifest", f"{damaged}: {wrong}", "make it again: `featx compare`")
    return document  # type: ignore[no-any-return]
