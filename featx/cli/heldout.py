"""`--test SPLIT|STORE`: what is scored and never learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from featx.errors import FeatxError, did_you_mean

if TYPE_CHECKING:
    from featx.store import Store

USUAL = "test,val"


def held_out(asked: str, stores: Sequence[Store]) -> tuple[tuple[str, ...], list[Store]]:
    """The splits and the stores that were named; every split must be there, every store must be one."""
    from featx.labels.training_set import HELD_OUT
    from featx.store import open_store

    parts = [part.strip() for part in asked.split(",") if part.strip()]
    named = [part for part in parts if Path(part).suffix in (".h5", ".hdf5") or Path(part).is_file()]
    splits = [part for part in parts if part not in named]
    if named and splits:
        raise FeatxError("bad-flag", "`--test` names both a split and a store", "name the one or the other")
    there = sorted({split for store in stores for split in store.splits if split})
    strange = [split for split in splits if split not in there]
    if strange and asked != USUAL:
        raise FeatxError(
            "bad-flag",
            f"no picture of {stores[0].path} is in split `{strange[0]}`",
            did_you_mean(strange[0], there, f"there is {', '.join(there) or 'no split at all'}; or name a store"),
        )
    return (HELD_OUT, [open_store(part) for part in named]) if named else (tuple(splits), [])
