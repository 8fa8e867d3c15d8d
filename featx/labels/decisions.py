"""Decisions about labels: read from a table that a person filled in, kept in artifacts/fixes.csv, applied to labels.

A decision belongs to a photo (item id and digest), not to a row of the store: it survives the next extraction, a
renamed file and another backbone, and it lapses when the photo is replaced or its category changes at the source.
Image files and the store are never touched; deleting a line from artifacts/fixes.csv takes its decision back.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from featx.errors import FeatxError, did_you_mean
from featx.files.cells import bare
from featx.files.locks import one_writer
from featx.files.spreadsheet import write_table
from featx.files.text_tables import decoded, is_declaration, separator_of
from featx.store import Store
from featx.workspace import Workspace

KEEP, CHANGE, EXCLUDE = DECISIONS = ("keep", "change", "exclude")
COLUMNS = ("id", "digest", "decision", "says", "new_label", "decided")


@dataclass(frozen=True)
class Fix:
    """One decision about one photo."""

    item_id: str
    digest: str
    decision: str
    says: str
    new_label: str
    decided: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The photo that the decision is about."""
        return self.item_id, self.digest


@dataclass(frozen=True)
class AppliedDecisions:
    """Labels with the decisions applied (None: left out), and the outcome of each decision."""

    labels: list[str | None]
    changed: int = 0
    excluded: int = 0
    kept: int = 0
    stale: int = 0

    @property
    def summary(self) -> str:
        """What became of the decisions, in words; empty where none was taken."""
        counts = {"relabelled": self.changed, "excluded": self.excluded, "kept": self.kept, "lapsed": self.stale}
        return ", ".join(f"{n:,} {word}" for word, n in counts.items() if n)


def where() -> Path:
    """The file that holds the decisions."""
    return Workspace.here().root / "fixes.csv"


def decided(path: Path | None = None) -> list[Fix]:
    """The decisions taken so far."""
    path = path or where()
    if not path.exists():
        return []
    return [
        Fix(
            bare(row.get("id", "")),
            row.get("digest", "").strip(),
            _decision(row, path, number),
            bare(row.get("says", "")),
            bare(row.get("new_label", "")),
            row.get("decided", ""),
        )
        for number, row in _read(path, ("id", "digest", "decision"))
        if row.get("decision", "").strip()
    ]


def categories_of(store: Store) -> list[str]:
    """The categories that a decision may name."""
    return sorted({label for label in store.labels if label is not None})


def labels_after_decisions(store: Store, path: Path | None = None) -> AppliedDecisions:
    """The labels of a store with every decision applied; the store itself does not change."""
    labels = list(store.labels)
    fixes = decided(path)
    if not fixes:
        return AppliedDecisions(labels)
    row_of = {item_id: i for i, item_id in enumerate(store.ids)}
    by_digest: dict[str, list[int]] = {}
    for i, digest in enumerate(store.digests):
        by_digest.setdefault(digest, []).append(i)
    counts: Counter[str] = Counter()
    for fix in fixes:
        rows = _rows_of(fix, row_of, by_digest, store)
        if not rows:
            counts["stale"] += 1
            continue
        for i in rows:
            if fix.decision == EXCLUDE:
                labels[i] = None
            elif fix.decision == CHANGE and (store.labels[i] or "") in (fix.says, fix.new_label):
                labels[i] = fix.new_label
            elif fix.decision == CHANGE:
                # Somebody has since given the photo a third category at the source, which is the newer decision.
                counts["stale"] += 1
                continue
            counts[fix.decision] += 1
    return AppliedDecisions(labels, counts[CHANGE], counts[EXCLUDE], counts[KEEP], counts["stale"])


def _rows_of(fix: Fix, row_of: dict[str, int], by_digest: dict[str, list[int]], store: Store) -> Sequence[int]:
    """The photo by its id while its bytes are the same; a renamed photo by its bytes."""
    if fix.item_id in row_of:
        row = row_of[fix.item_id]
        return [row] if store.digests[row] == fix.digest else []
    return by_digest.get(fix.digest, [])


def record(table: Path, store: Store, path: Path | None = None) -> Counter[str]:
    """Take the decisions of a filled-in table into artifacts/fixes.csv; counts each kind, and the rows left open.

    All or nothing: a row that cannot be understood stops it before anything is written.
    """
    path = path or where()
    if path == where():
        Workspace.here().make()
    with one_writer(path.parent, "decisions"):
        return _record(table, store, path)


def _record(table: Path, store: Store, path: Path) -> Counter[str]:
    known = categories_of(store)
    counts: Counter[str] = Counter()
    taken = {fix.key: fix for fix in decided(path)}
    row_of = {item_id: i for i, item_id in enumerate(store.ids)}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for number, row in _read(table, ("id", "decision")):
        decision = _decision(row, table, number)
        if not decision:
            counts["open"] += 1
            continue
        raw = row["id"]
        item_id = raw if raw in row_of else bare(raw)
        digest = row.get("digest", "").strip()
        if item_id not in row_of:
            item_id = _by_bytes(row, store) or item_id
        if item_id not in row_of:
            raise FeatxError(
                "not-in-store",
                f"row {number} of {table} is about `{item_id}`, which is not in {store.path}",
                did_you_mean(
                    item_id,
                    store.ids,
                    "extract that photo first, or write the table again: `featx issues -o fixes.csv`",
                ),
            )
        index = row_of[item_id]
        if digest and digest != store.digests[index]:
            raise FeatxError(
                "not-in-store",
                f"the photo of `{item_id}` changed since row {number} of {table} was written",
                "write the table again: `featx issues -o fixes.csv`",
            )
        new_label = _known_label(row.get("new_label", ""), known, table, number) if decision == CHANGE else ""
        fix = Fix(item_id, store.digests[index], decision, store.labels[index] or "", new_label, now)
        taken[fix.key] = fix
        counts[decision] += 1
    if sum(counts.values()) > counts["open"]:
        write(list(taken.values()), path)
    return counts


def _by_bytes(row: dict[str, str], store: Store) -> str | None:
    """The item that a row means whose id is unknown; of several copies the one with the file that it names.

    Spreadsheets turn 00123 into 123 and 3-4 into a date, and a photo may be decided on before it is in a store.
    """
    digest, file = row.get("digest", "").strip(), bare(row.get("path", row.get("file", "")))
    copies = [i for i, known in enumerate(store.digests) if known == digest]
    if len(copies) > 1:
        copies = [i for i in copies if store.paths[i] == file]
    return store.ids[copies[0]] if len(copies) == 1 else None


def write(fixes: Iterable[Fix], path: Path) -> None:
    """Write decisions, in the order of their ids."""
    ordered = sorted((replace(fix) for fix in fixes), key=lambda fix: fix.key)
    rows = [(fix.item_id, fix.digest, fix.decision, fix.says, fix.new_label, fix.decided) for fix in ordered]
    write_table(path, COLUMNS, rows)


def _decision(row: dict[str, str], table: Path, number: int) -> str:
    decision = row.get("decision", "").strip().lower()
    if decision and decision not in DECISIONS:
        raise FeatxError(
            "bad-manifest",
            f"row {number} of {table} says `{decision}`, which is not a decision",
            "write keep, change or exclude into column `decision`, or leave it empty",
        )
    return decision


def _known_label(raw: str, known: list[str], table: Path, number: int) -> str:
    label = raw if raw in known else bare(raw)
    if label not in known:
        raise FeatxError(
            "bad-manifest",
            f"row {number} of {table} changes to `{label}`, which is not a category",
            did_you_mean(label, known, "write a category that exists into column `new_label`"),
        )
    return label


def _read(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table as spreadsheets save them, in whichever encoding and with whichever separator."""
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise FeatxError(
            "no-such-file", f"cannot read `{path}`: {error.strerror}", "write it first: `featx issues -o fixes.csv`"
        ) from error
    if path.suffix.lower() == ".jsonl":
        return _lines(text, path, needed)
    first, _, rest = text.partition("\n")
    text = rest if is_declaration(first) else text
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator_of(first), restval="")
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise FeatxError("bad-manifest", f"{path} is not a table: {error}", "save it as CSV again") from error
    for number, row in rows:
        if any("\udc80" <= letter <= "\udcff" for letter in f"{row.get('decision')}{row.get('new_label')}"):
            raise FeatxError(
                "bad-manifest", f"line {number} of {path} is not UTF-8", "save it as CSV UTF-8, as spreadsheets call it"
            )
    missing = [name for name in needed if name not in (reader.fieldnames or ())]
    if missing:
        raise FeatxError(
            "bad-column", f"{path} has no column `{missing[0]}`", "write the table again: `featx issues -o fixes.csv`"
        )
    return rows


def _lines(text: str, path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The decisions of a log such as the page writes, without those taken back; the last about a photo comes last."""
    rows: dict[str, tuple[int, dict[str, str]]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            record = json.loads(line)
            cells = {name: str(record.get(name) or "") for name in ("id", "digest", "decision", "new_label")}
        except (ValueError, AttributeError) as error:
            raise FeatxError(
                "bad-manifest", f"line {number} of {path} is not a decision", "remove that line"
            ) from error
        if record.get("undoes"):
            rows.pop(str(record["undoes"]), None)
        elif missing := [name for name in needed if not cells[name]]:
            raise FeatxError("bad-column", f"line {number} of {path} has no `{missing[0]}`", "remove that line")
        else:
            rows[str(record.get("key") or number)] = number, cells
    return list(rows.values())
