"""Which parts of a joined backbone were taken, in one line."""

from __future__ import annotations

from featx.metrics.block_choice import BlockChoice
from featx.views.quantities import percent


def describe_blocks(choice: BlockChoice) -> str:
    """What was taken, and how right each choice was."""
    shares = " · ".join(f"{name} {percent(share)}" for name, share in choice.shares.items())
    return f"{'+'.join(choice.blocks)} ({choice.measure}: {shares})"
