"""Cells of a table that no spreadsheet takes for a formula."""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t", "\r")


Cell = str | int | float | bool | None


def safe_cell(value: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula: text that starts like one gets an apostrophe in front."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return "'" + value
    return value


def bare(cell: str) -> str:
    """A cell without the apostrophe that keeps a spreadsheet from taking it for a formula."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell
