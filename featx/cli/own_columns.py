"""The columns of the user's own table in a table on the terminal: as many as fit, or those that are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from featx.catalogue.own_columns import Value, written_names
from featx.errors import FeatxError, did_you_mean

NONE = "none"
GAP = 2
# What a path keeps when columns are added, and a title that nobody requested at most.
PATH, TITLE = 30, 28

Row = Sequence[str | int | float | None]


@dataclass(frozen=True)
class OwnColumns:
    """The user's columns of each row to print, and the names of those that somebody requested; None: what fits."""

    rows: Sequence[Mapping[str, Value]]
    requested: Sequence[str] | None = None

    def named(self, columns: Sequence[str], rows: Sequence[Row]) -> tuple[list[str], list[Row]]:
        """A table with the columns that were requested behind it, but before a last column of several cells."""
        several = any(len(row) > len(columns) for row in rows)
        return self._inserted(columns, rows, self.requested or [], len(columns) - several)

    def fitting(
        self, columns: Sequence[str], rows: Sequence[Row], paths: Sequence[str], width: int
    ) -> tuple[list[str], list[Row], list[str]]:
        """A table with the user's columns before its paths, or behind them, and which of these hold numbers."""
        first_path = next((columns.index(name) for name in paths if name in columns), 0)
        # A remark without a heading stays at the end.
        end = len(columns) - (not columns[-1])
        position = first_path or end
        names = self._that_fit(columns, rows, paths, width) if self.requested is None else self.requested
        wide, cells = self._inserted(columns, rows, names, position, TITLE if self.requested is None else None)
        headings = wide[position : position + len(names)]
        numbers = [heading for heading, name in zip(headings, names, strict=True) if self._are_numbers(name)]
        return wide, cells, numbers

    def _that_fit(self, columns: Sequence[str], rows: Sequence[Row], paths: Sequence[str], width: int) -> list[str]:
        shown = [[_text(row[i]) for row in rows] for i in range(len(columns))]
        widths = [max([len(_longest_line(name)), *map(len, cells)]) for name, cells in zip(columns, shown, strict=True)]
        used = sum(min(w, PATH) if name in paths else w for name, w in zip(columns, widths, strict=True))
        used += GAP * (len(columns) - 1)
        chosen = []
        for name in dict.fromkeys(name for row in self.rows for name in row):
            cells = [_text(row.get(name)) for row in self.rows]
            more = GAP + min(TITLE, max(len(name), *map(len, cells)))
            if any(cells) and cells not in shown and used + more <= width:
                chosen.append(name)
                used += more
        return chosen

    def _inserted(
        self, columns: Sequence[str], rows: Sequence[Row], names: Sequence[str], position: int, most: int | None = None
    ) -> tuple[list[str], list[Row]]:
        headings = [written_names(names, columns)[name] for name in names]
        wide = [*columns[:position], *headings, *columns[position:]]
        return wide, [
            [*row[:position], *(_cut(_text(own.get(name)), most) for name in names), *row[position:]]
            for row, own in zip(rows, self.rows, strict=True)
        ]

    def _are_numbers(self, name: str) -> bool:
        values = [row.get(name) for row in self.rows]
        return all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
        )


def requested_columns(text: str | None, known: Iterable[str]) -> list[str] | None:
    """The columns that `--columns` names, as the table spells them; None where the flag is not given."""
    if text is None:
        return None
    if text.strip().lower() == NONE:
        return []
    spelled = {name.lower(): name for name in known}
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := next((name for name in wanted if name.lower() not in spelled), None):
        names = list(spelled.values())
        hint = f"there are {', '.join(names)}" if names else "columns come from a table: `featx extract products.csv`"
        raise FeatxError("bad-column", f"the table has no column `{unknown}`", did_you_mean(unknown, names, hint))
    return [spelled[name.lower()] for name in wanted]


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _cut(text: str, most: int | None) -> str:
    return text if most is None or len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _longest_line(heading: str) -> str:
    return max(heading.split("\n"), key=len)
