"""A comparison for people and programs: comparison.json, a DataFrame, a table in a notebook."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.comparison.document import Best, ComparisonDocument, Entry
from featx.comparison.json_values import to_plain
from featx.errors import FeatxError
from featx.files.atomic import SPREADSHEET, cannot_write, write_atomic
from featx.views.frames import columns_of_records, pandas_frame
from featx.views.notebook import notebook_table
from featx.views.quantities import percent, percent_range, pluralise

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]

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

    document: ComparisonDocument

    @property
    def best(self) -> Best:
        """The recommended store and classifier, how the others compare with it, and the reason in a sentence."""
        return self.document.best

    @property
    def entries(self) -> list[Entry]:
        """One record for each classifier on each store, baselines too."""
        return self.document.entries

    def rows(self) -> list[dict[str, Any]]:
        """One flat record for each entry, best first: what the table shows."""
        rows = [self._row(entry) for entry in self.entries]

        def rank(row: dict[str, Any]) -> tuple[bool, float]:
            value = row["test_accuracy"] if row["test_accuracy"] is not None else row["cv_accuracy"]
            return row["baseline"], -(value or 0.0)

        return sorted(rows, key=rank)

    def _row(self, entry: Entry) -> dict[str, Any]:
        best, coarse = self.best, entry.coarse
        held_out = entry.test.accuracy if entry.test else None
        folds, plain = entry.cv.accuracy, entry.naive.accuracy if entry.naive else None
        higher = (coarse.test or coarse.cv) if coarse else None
        scores = {name: getattr(entry.scores, name) for name in COLUMNS[12:18]}
        values = (
            entry.store,
            entry.clf,
            entry.baseline,
            entry.name == best.name,
            entry.name in best.alike,
            *((held_out.value, held_out.low, held_out.high) if held_out else (None, None, None)),
            *((folds.mean, folds.low, folds.high) if folds else (None, None, None)),
            plain.mean if plain else None,
            *(score.value if score else None for score in scores.values()),
            higher.value if higher else None,
            entry.fit_seconds,
            entry.predict_seconds,
            entry.bytes,
            entry.name in best.ties,
            entry.name in best.below,
        )
        return dict(zip(COLUMNS, values, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The whole comparison as plain values, as `featx compare` writes it."""
        plain: dict[str, Any] = to_plain(self.document)
        return plain

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame with a row for each classifier on each store, best first."""
        return pandas_frame(columns_of_records(self.rows(), COLUMNS))

    def save(self, path: str | Path) -> Path:
        """Write it to the side, then rename: the document as .json, the table as .csv."""
        path = Path(path)
        if path.suffix.lower() not in (".json", ".csv"):
            raise FeatxError("bad-flag", f"cannot write `{path.suffix or path}` files", "end the name in .json or .csv")
        text, encoding = io.StringIO(newline=""), "utf-8"
        if path.suffix.lower() == ".json":
            json.dump(self.to_dict(), text, ensure_ascii=False, allow_nan=False)
            text.write("\n")
        else:
            self._write_table(text)
            encoding = SPREADSHEET
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text.getvalue().encode(encoding, "backslashreplace"))
        except OSError as error:
            raise cannot_write(path, error) from error
        return path

    def _write_table(self, file: Any) -> None:
        from featx.files.spreadsheet import TableWriter

        table = TableWriter(file)
        table.row(COLUMNS)
        table.rows(row.values() for row in self.rows())

    def __repr__(self) -> str:
        return f"Comparison({pluralise(len(self.entries), 'entry', 'entries')}: {self.best.why})"

    def _repr_html_(self) -> str:
        columns = ("classifier", "held-out", "95 % interval", "folds", "macro F1", "")
        return notebook_table(self.best.why, columns, [_shown(row) for row in self.rows()])


def standing(row: dict[str, Any]) -> str:
    """The standing of an entry among the others, in a word or two."""
    names = {
        "best": "best",
        "as_good": "as good",
        "not_told_apart": "undecided",
        "below_baseline": "below a baseline",
        "baseline": "baseline",
    }
    return next((name for key, name in names.items() if row[key]), "")


def _shown(row: dict[str, Any]) -> tuple[str, ...]:
    held = row["test_accuracy"] is not None
    low, high = (row["test_low"], row["test_high"]) if held else (row["cv_low"], row["cv_high"])
    return (
        f"{row['clf']} on {row['store']}",
        percent(row["test_accuracy"]),
        percent_range(low, high),
        percent(row["cv_accuracy"]),
        percent(row["macro_f1"]),
        standing(row),
    )
