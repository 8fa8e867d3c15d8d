"""`--also coarse=COLUMN`: a second head for a column of the table, such as the parent category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.catalogue.items import Catalogue, Item
from featx.errors import FeatxError, did_you_mean


@dataclass(frozen=True)
class Level:
    """What a second head learns: its name, and the value of each photo, "" where there is none."""

    name: str
    values: NDArray[np.str_]

    def numbers(self, learned: NDArray[np.intp]) -> tuple[NDArray[np.intp], int]:
        """The number of each photo's value, -1 for none or one that is not learned; and how many there are."""
        names = sorted(set(self.values[learned].tolist()) - {""})
        if len(names) < 2:
            raise FeatxError(
                "class-too-small",
                f"the column of `--also {self.name}` has fewer than two values among the photos that are learned from",
                "name a column that tells photos apart",
            )
        number = {name: i for i, name in enumerate(names)}
        return np.array([number.get(value, -1) for value in self.values.tolist()], dtype=np.intp), len(names)


def level_of(also: str, catalogue: Catalogue, paths: list[str]) -> Level:
    """The level that `NAME=COLUMN`, or a column alone, names, for the photos at these paths."""
    name, _, column = also.rpartition("=")
    items: Mapping[str, Item] = {item.path: item for item in catalogue.items}
    known = sorted({heading for item in catalogue.items for heading in item.columns})
    if column not in known:
        raise FeatxError(
            "bad-column",
            f"no photo has the column `{column}` of `--also {also}`",
            did_you_mean(
                column, known, f"the columns are {', '.join(known)}" if known else "name a table, not a folder"
            ),
        )
    values = (items[path].columns.get(column) if path in items else None for path in paths)
    return Level(name or column, np.array(["" if value is None else str(value) for value in values], dtype=np.str_))
