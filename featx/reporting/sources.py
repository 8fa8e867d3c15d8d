"""What a report is written from: the last comparison, the store that it recommends, the photos that were skipped."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from featx.backbones.fingerprint import Fingerprint
from featx.comparison.document import ComparisonDocument
from featx.errors import FeatxError
from featx.labels.some_products import some_products
from featx.reporting.files import newest

if TYPE_CHECKING:
    from featx.store import Store
    from featx.workspace import Workspace


def last(workspace: Workspace) -> Path:
    """The last comparison of a workspace, or the report that was written of it since."""
    root = workspace.root / "reports"
    comparison, report = root / "comparison.json", newest(root)
    if comparison.exists() and (report is None or comparison.stat().st_mtime > report.stat().st_mtime):
        return comparison
    if report is None:
        raise FeatxError("no-such-file", f"no comparison under `{root}` yet", "make one: `featx compare`")
    return report


def store_of(comparison: ComparisonDocument) -> Store | None:
    """The store that a comparison recommends; None if it no longer exists."""
    from featx.store import open_store

    compared = next((store for store in comparison.stores if store.name == comparison.best.store), None)
    if compared is None or not compared.path or not Path(compared.path).exists():
        return None
    store = open_store(Path(compared.path))
    store = as_compared(store, comparison)
    # Parts of a joined backbone are compared under names of their own.
    return store.suited_to(Fingerprint.from_dict(compared.fingerprint)) if compared.fingerprint else store


def as_compared(store: Store, comparison: ComparisonDocument) -> Store:
    """The photos of a store that were compared: the same products again, where only some were drawn."""
    products, level, seed = (comparison.settings.get(name) for name in ("products", "level", "seed"))
    return store if products is None else some_products(store, int(products), level, int(seed or 0))


def path_of_store(comparison: ComparisonDocument) -> str | None:
    """Where the store that a comparison recommends lay when it was compared; None where that was not noted."""
    name = comparison.best.store
    return next((store.path for store in comparison.stores if store.name == name), None)


def skipped_photos(workspace: Workspace) -> list[dict[str, str]] | None:
    """The photos that the last extraction could not use; None where that is not known."""
    try:
        with workspace.skipped_list.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        # An extraction that could use every photo leaves no list.
        return None if workspace.noted() is None else []
    except OSError:
        return None
