"""A comparison as a record: a document for programs, a DataFrame, a table in a notebook."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.files.atomic import SPREADSHEET, cannot_write, write_atomic
from featx.views.quantities import percent

COLUMNS = (
    "store",
    "clf",
    "baseline",
    "best",
    "as_good",
    "test_accuracy",
    "test_low",
    "test_high",
    "cv_accuracy",
    "cv_low",
    "cv_high",
    "plain_accuracy",
    "macro_f1",
    "balanced_accuracy",
    "top3",
    "top5",
    "log_loss",
    "ece",
    "coarse_accuracy",
    "fit_seconds",
    "predict_seconds",
    "bytes",
    "not_told_apart",
    "below_baseline",
)


@dataclass(frozen=True)
class Comparison:
    """Every classifier on every store: the scores, the tests between them, where the best one fails."""

    document: dict[str, Any]

    @property
    def best(self) -> dict[str, Any]:
        """The store and classifier to use, how the others stand to it, and the reason in a sentence."""
        best: dict[str, Any] = self.document["best"]
        return best

    @property
    def entries(self) -> list[dict[str, Any]]:
        """One record for each classifier on each store, baselines too."""
        entries: list[dict[str, Any]] = self.document["entries"]
        return entries

    def rows(self) -> list[dict[str, Any]]:
        """One flat record for each entry, best first: what the table shows."""
        alike, ties, below = ({tuple(one) for one in self.best.get(key) or ()} for key in ("alike", "ties", "below"))
        rows = []
        for entry in self.entries:
            test, cv = entry["test"] or {}, entry["cv"]
            first = test or cv
            held, folds = test.get("accuracy", {}), cv.get("accuracy", {})
            plain, coarse = (entry["naive"] or {}).get("accuracy", {}), entry["coarse"] or {}
            higher = coarse.get("test") or coarse.get("cv") or {}
            told = {name: first.get(name, {}) for name in COLUMNS[12:18]}
            values = (
                entry["store"],
                entry["clf"],
                entry["baseline"],
                (entry["store"], entry["clf"]) == (self.best["store"], self.best["clf"]),
                (entry["store"], entry["clf"]) in alike,
                held.get("value"),
                held.get("low"),
                held.get("high"),
                folds.get("mean"),
                folds.get("low"),
                folds.get("high"),
                plain.get("mean"),
                *(one.get("value", one.get("mean")) for one in told.values()),
                higher.get("value", higher.get("mean")),
                entry["fit_seconds"],
                entry["predict_seconds"],
                entry["bytes"],
                (entry["store"], entry["clf"]) in ties,
                (entry["store"], entry["clf"]) in below,
            )
            rows.append(dict(zip(COLUMNS, values, strict=True)))

        def rank(row: dict[str, Any]) -> tuple[bool, float]:
            value = row["test_accuracy"] if row["test_accuracy"] is not None else row["cv_accuracy"]
            return row["baseline"], -(value or 0.0)

        return sorted(rows, key=rank)

    def to_dict(self) -> dict[str, Any]:
        """The whole comparison as plain values, as `featx compare` writes it."""
        return self.document

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each classifier on each store, best first."""
        import pandas  # type: ignore[import-untyped,unused-ignore]

        return pandas.DataFrame(self.rows(), columns=list(COLUMNS))

    def save(self, path: str | Path) -> Path:
        """Write it to the side, then rename: the document as .json, the table as .csv."""
        path = Path(path)
        if path.suffix.lower() not in (".json", ".csv"):
            raise FeatxError("bad-flag", f"cannot write `{path.suffix or path}` files", "end the name in .json or .csv")
        told, encoding = io.StringIO(newline=""), "utf-8"
        if path.suffix.lower() == ".json":
            json.dump(self.document, told, ensure_ascii=False, allow_nan=False)
            told.write("\n")
        else:
            self._write_table(told)
            encoding = SPREADSHEET
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, told.getvalue().encode(encoding, "backslashreplace"))
        except OSError as error:
            raise cannot_write(path, error) from error
        return path

    def _write_table(self, file: Any) -> None:
        from featx.files.spreadsheet import TableWriter

        table = TableWriter(file)
        table.row(COLUMNS)
        table.rows(row.values() for row in self.rows())

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.entries)}: {self.best['why']}>"

    def _repr_html_(self) -> str:
        head = "".join(
            f"<th>{name}</th>" for name in ("classifier", "held-out", "95 % interval", "folds", "macro F1", "")
        )
        body = []
        for row in self.rows():
            held = row["test_accuracy"] is not None
            low, high = (row["test_low"], row["test_high"]) if held else (row["cv_low"], row["cv_high"])
            cells = (
                f"{row['clf']} on {row['store']}",
                _percent(row["test_accuracy"]),
                f"{_percent(low)} – {_percent(high)}",
                _percent(row["cv_accuracy"]),
                _percent(row["macro_f1"]),
                standing(row),
            )
            body.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
        return f"<table><caption>{escape(self.best['why'])}</caption><tr>{head}</tr>{''.join(body)}</table>"


def standing(row: dict[str, Any]) -> str:
    """What an entry is among the others, in a word or two."""
    names = {
        "best": "best",
        "as_good": "as good",
        "not_told_apart": "not told apart",
        "below_baseline": "below a baseline",
        "baseline": "baseline",
    }
    return next((name for key, name in names.items() if row[key]), "")


def _percent(value: float | None) -> str:
    return "–" if value is None else percent(value)


def rounded(value: Any) -> Any:
    """The same with scores of four decimals, and Python's own numbers."""
    if isinstance(value, dict):
        return {str(key): rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        # Times and chances may be far below a ten-thousandth and still tell something.
        return round(value, 4) if abs(value) >= 0.001 else float(f"{value:.3g}")
    return value
