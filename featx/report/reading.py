"""A report or a comparison read again from its file: refused in a sentence where it is broken or too new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.plain import read_json
from featx.report.gathering import COMPARISON, SCHEMA
from featx.report.shapes import COMPARED, METRIC, NUMBER, REPORT, SCORE, Each, Row


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
            "bad-manifest", f"`{path}` is no JSON file: {error}", "make a report: `featx compare`"
        ) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema not in (SCHEMA, COMPARISON):
        known = isinstance(schema, str) and schema.startswith(("featx-report/", "featx-comparison/"))
        raise FeatxError(
            "bad-manifest",
            f"`{path}` is {f'of schema `{schema}`, which this featx does not know' if known else 'no featx report'}",
            "read it with a newer featx" if known else "name a report.json, or make one: `featx compare`",
        )
    fault = _fault(document, REPORT) if schema == SCHEMA else _fault(document, COMPARED) or _at_odds(document)
    if fault:
        raise FeatxError("bad-manifest", f"`{path}` is damaged: {fault}", "make it again: `featx compare`")
    return document  # type: ignore[no-any-return]


def _fault(value: Any, wanted: Any, where: str = "") -> str | None:
    """What a document lacks of the shape that everything here relies on; None where nothing.

    What may be missing is there afterwards, as null: an older report has fewer keys than a newer one.
    """
    if wanted is METRIC:
        wanted = SCORE if isinstance(value, dict) else NUMBER
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return f"`{where}` is no object" if where else "it is no object"
        for key, inner in wanted.items():
            name, optional = key.rstrip("?"), key.endswith("?")
            if value.get(name) is None and (optional or (name in value and inner is None)):
                value.setdefault(name, None)
                continue
            path = f"{where}.{name}" if where else name
            if name not in value:
                return f"it has no `{path}`"
            if (fault := _fault(value[name], inner, path)) is not None:
                return fault
        return None
    if isinstance(wanted, Each):
        if not isinstance(value, dict):
            return f"`{where}` is no object"
        return next((f for key, one in value.items() if (f := _fault(one, wanted.shape, f"{where}.{key}"))), None)
    if isinstance(wanted, Row):
        fits = isinstance(value, list) and len(value) == wanted.length
        return None if fits and all(isinstance(one, wanted.kind) for one in value) else f"`{where}` is broken"
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return f"`{where}` is no list"
        return next((f for i, one in enumerate(value) if (f := _fault(one, wanted[0], f"{where}.{i}"))), None)
    # A yes or no counts as a number to Python, and as none here.
    fits = wanted is None or (isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)))
    return None if fits else f"`{where}` is not what it should be"


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
