"""Which parts of a joined backbone were taken, in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from featx.metrics.block_choice import BESIDE, BlockChoice
from featx.views.quantities import percent

# Of more choices the best are named.
FEW = 4


def describe_blocks(choice: BlockChoice) -> str:
    """What was taken, and how right all parts, the chosen ones and the best of the others were."""
    named = list(choice.shares)
    others = sorted(named[1:], key=lambda name: (name != str(choice.blend), -choice.shares[name]))
    kept = {name: choice.shares[name] for name in [*named[:1], *others][:FEW]}
    left = len(named) - len(kept)
    shares = {_by_network(name, named[0]): share for name, share in kept.items()}
    more = f" · and {left} more" if left else ""
    return f"{_by_network(str(choice.blend), named[0])} ({choice.measure}: {_shares(shares)}{more})"


def describe_layers(choice: BlockChoice) -> str:
    """Why layers were added to the usual ones: how right each step was."""
    return f"{choice.measure} on {choice.n:,} photos: {_shares(choice.shares)}"


def _by_network(blend: str, everything: str) -> str:
    """A blend such as `a+b/x+b/y`, with the name of a network for all of its layers."""
    words = blend.split(BESIDE)
    for network, layers in _layers_of_networks(everything.split(BESIDE)).items():
        start = words.index(layers[0]) if layers[0] in words else 0
        if words[start : start + len(layers)] == layers:
            words[start : start + len(layers)] = [network]
    return BESIDE.join(words)


def _layers_of_networks(blocks: Sequence[str]) -> dict[str, list[str]]:
    """The blocks of each network that has several."""
    by_network: dict[str, list[str]] = {}
    for block in blocks:
        by_network.setdefault(block.partition("/")[0], []).append(block)
    return {network: layers for network, layers in by_network.items() if len(layers) > 1}


def _shares(shares: Mapping[str, float]) -> str:
    return " · ".join(f"{name} {percent(share)}" for name, share in shares.items())
