"""The completions TAB offers after a flag.

Each press starts a process, so only small files are read, and nothing may fail.
"""

from __future__ import annotations

from contextlib import suppress


def backbone_names(incomplete: str) -> list[str]:
    """Backbones whose name begins with `incomplete`."""
    from featx.backbones.registry import backbone_rows
    from featx.errors import FeatxError

    with suppress(OSError, ValueError, KeyError, FeatxError):
        return [row["name"] for row in backbone_rows() if row["name"].startswith(incomplete)]
    return []


def classifier_names(incomplete: str) -> list[str]:
    """Classifiers whose name begins with `incomplete`."""
    from featx.classifiers.kinds import CLASSIFIERS

    return [name for name in CLASSIFIERS if name.startswith(incomplete)]


def store_names(incomplete: str) -> list[str]:
    """Stores of the artifacts folder whose name begins with `incomplete`."""
    from featx.workspace import Workspace

    return [path.stem for path in Workspace.here().stores() if path.stem.startswith(incomplete)]


def category_names(incomplete: str) -> list[str]:
    """Categories of the current store that begin with `incomplete`, from the small file beside it."""
    from featx.errors import FeatxError
    from featx.files.regular import read_json
    from featx.workspace import Workspace

    try:
        card = Workspace.here().current_store().with_suffix(".json")
        categories = read_json(card)["categories"]
    except (FeatxError, OSError, ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in categories if str(name).startswith(incomplete)]
