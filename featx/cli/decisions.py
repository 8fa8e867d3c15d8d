"""The labels that commands show and write: those people decided on, with a line that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featx.cli.output import Output
    from featx.store import Store


def decided_labels(store: Store, out: Output) -> list[str | None]:
    """The labels of a store after every decision; says how many decisions there are, where there are any."""
    from featx.labels.decisions import labels_after_decisions, where

    applied = labels_after_decisions(store)
    if applied.summary:
        out.say(f"  labels as decided in {where()}: {applied.summary}")
    return applied.labels
