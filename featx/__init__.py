"""featx: product photos in, categories and look-alikes out.

    photos → catalogue → images → backbone → store → classifiers / index

The public names are loaded when first touched, so `import featx` is instant.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# name → the module that defines it
_PUBLIC: dict[str, str] = {
    "FeatxError": "featx.errors",
    "read_catalogue": "featx.catalogue.reading",
    "read_photo": "featx.images",
    "open_backbone": "featx.backbones",
    "extract": "featx.extraction",
    "open_store": "featx.store",
    "Store": "featx.store",
    "ImageEmbedder": "featx.embedding.transformer",
    "fit": "featx.classifiers.fit",
    "compare": "featx.comparison",
    "Comparison": "featx.comparison",
    "evaluate": "featx.comparison.evaluate",
    "load_classifier": "featx.classifiers.persistence",
    "predict": "featx.prediction.predict",
    "suggest": "featx.prediction.suggest",
    "open_index": "featx.retrieval.query",
    "find_duplicates": "featx.audit",
    "find_issues": "featx.audit",
}
__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'featx' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
