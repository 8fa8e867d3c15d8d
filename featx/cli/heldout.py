"""`--test SPLIT|STORE`: the photos that are scored and never learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.store import Store

USUAL = "test,val"


def held_out(requested: str, stores: Sequence[Store]) -> tuple[tuple[str, ...], list[Store]]:
    """The splits or stores that `--test` names; each must exist."""
    from featx.labels.training_set import HELD_OUT, require_splits
    from featx.store import open_store

    splits, paths = splits_and_stores(requested)
    if paths and splits:
        raise FeatxError("bad-flag", "`--test` names both a split and a store", "name only one of them")
    if requested != USUAL:
        require_splits(splits, stores, "; or name a store")
    return (HELD_OUT, [open_store(path) for path in paths]) if paths else (tuple(splits), [])


def splits_and_stores(requested: str) -> tuple[list[str], list[str]]:
    """What `--test` names, whether it exists or not."""
    parts = [part.strip() for part in requested.split(",") if part.strip()]
    paths = [part for part in parts if Path(part).suffix in (".h5", ".hdf5") or Path(part).is_file()]
    return [part for part in parts if part not in paths], paths
