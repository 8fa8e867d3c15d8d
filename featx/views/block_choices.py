"""Which parts of a joined backbone were taken, in one line."""

from __future__ import annotations

from featx.metrics.block_choice import BlockChoice
from featx.views.quantities import percent


def describe_blocks(choice: BlockChoice) -> str:
    """What was taken, and how right each choice was."""
    return f"{choice.blend} ({choice.measure}: {_shares(choice)})"


def describe_layers(choice: BlockChoice) -> str:
    """Why layers were added to the usual ones: how right each step was."""
    return f"{choice.measure} on {choice.n:,} photos: {_shares(choice)}"


def _shares(choice: BlockChoice) -> str:
    return " · ".join(f"{name} {percent(share)}" for name, share in choice.shares.items())
