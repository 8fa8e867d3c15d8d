"""The outputs of the graph for a photo as a record, like those of `featx predict --json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

Record = dict[str, Any]


def line_of(record: Record) -> str:
    """A record as a line for people: path, category, how sure, and what speaks against it."""
    remark = record["error"] or record["doubt"] or ""
    line = f"{record['path']}\t{record['category'] or ''}\t{record['sure'] or ''}\t{remark}"
    # A name may hold what would end the line or command the terminal.
    return "".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in line)


class Records:
    """Makes records by what the graph's metadata say of its categories and limits."""

    def __init__(self, contract: Record) -> None:
        self._labels: list[str] = contract["labels"]
        self._least: float | None = contract["review"]["similarity"]
        # The categories that must not be missed: from which probability a photo may be of each, in single precision.
        flags = contract["review"]["flags"].items()
        self._flags = [(name, self._labels.index(name), np.float32(least)) for name, least in flags]

    def answer(self, path: Path | str, outputs: dict[str, np.ndarray], row: int) -> Record:
        """The category of a photo, how sure that is, and whether a person should look at it."""
        label, near, is_sure = int(outputs["label"][row]), float(outputs["similarity"][row]), bool(outputs["sure"][row])
        shares = outputs["probabilities"][row]
        flags = [name for name, column, least in self._flags if shares[column] >= least]
        record = {"path": str(path), "category": self._labels[label], "sure": round(float(shares[label]), 4)}
        record |= {"review": not is_sure, "doubt": self._doubt(flags, near, is_sure=is_sure)}
        return record | {"similarity": round(near, 4), "error": None, **self._field(flags)}

    def fault(self, path: Path | str, reason: str) -> Record:
        """The record of a photo that cannot be read."""
        record = {"path": str(path), "category": None, "sure": None, "review": True}
        return record | {"doubt": None, "similarity": None, "error": reason, **self._field([])}

    def _doubt(self, flags: list[str], near: float, *, is_sure: bool) -> str | None:
        if flags:
            return f"may be {' or '.join(flags)}"
        if self._least is not None and near < self._least:
            return "unlike anything learned"
        return None if is_sure else "unsure"

    def _field(self, flags: list[str]) -> Record:
        """The categories that a photo may be of, where there are any that must not be missed."""
        return {"flags": flags} if self._flags else {}
