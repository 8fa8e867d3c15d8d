"""Rows for the libraries that people analyse tables with; none of them is needed to use featx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from featx.errors import FeatxError

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]
    import polars

Columns = Mapping[str, Sequence[Any] | npt.NDArray[Any]]


def pandas_frame(columns: Columns) -> pandas.DataFrame:
    """A pandas data frame of columns of one length."""
    try:
        import pandas
    except ImportError as error:
        raise _missing("pandas") from error
    return pandas.DataFrame(dict(columns))


def polars_frame(columns: Columns) -> polars.DataFrame:
    """A polars data frame of columns of one length."""
    try:
        import polars
    except ImportError as error:
        raise _missing("polars") from error
    return polars.DataFrame(dict(columns), strict=False)


def columns_of(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> Columns:
    """Rows turned into named columns; with no rows every column is empty."""
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def columns_of_records(records: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> Columns:
    """Records as columns: `names` first, then any other keys."""
    every = dict.fromkeys([*names, *(name for record in records for name in record)])
    return {name: [record.get(name) for record in records] for name in every}


def _missing(library: str) -> FeatxError:
    return FeatxError("extra-missing", f"{library} is not installed", f"`pip install {library}`")
