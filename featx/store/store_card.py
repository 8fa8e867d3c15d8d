"""NAME.json beside a store: a summary for programs that do not read HDF5."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from featx.catalogue.items import Item
from featx.files.atomic import remove_stale_temporaries, write_atomic
from featx.files.regular import read_json
from featx.store.records import FeatureSpec


def write_card(store: Path, spec: FeatureSpec, rows: Collection[Item], skipped: int) -> None:
    """NAME.json: a summary for programs that do not read HDF5; losing it loses nothing."""
    card = {
        "schema_version": 1,
        "store": store.name,
        "n": len(rows),
        "width": spec.width,
        "views": spec.views,
        "dtype": spec.dtype,
        "categories": dict(sorted(Counter(row.label for row in rows if row.label is not None).items())),
        "skipped": skipped,
        "fingerprint": spec.fingerprint.to_dict(),
    }
    beside = store.with_suffix(".json")
    with suppress(OSError):
        if not is_card(beside):
            return
        # Only the holder of the store's lock writes its card.
        remove_stale_temporaries(beside, alone=True)
        write_atomic(beside, (json.dumps(card, indent=2) + "\n").encode())


def is_card(path: Path) -> bool:
    """Whether a file is missing or the card of a store: your own `shop.json` beside `shop.h5` is never replaced."""
    try:
        card = read_json(path)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return isinstance(card, dict) and {"schema_version", "store", "fingerprint"} <= card.keys()
