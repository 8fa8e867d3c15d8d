"""Which nodes of a network are read, and how, as `--layer` names them: `penultimate,layer3:middle`.

Nothing here loads a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from featx.backbones.fingerprint import COLON, COMMA, PLUS, node_text
from featx.errors import FeatxError

# The input of the classification head, which every network has, and the last maps before it.
PENULTIMATE, MAPS = "penultimate", "maps"
POOLS = ("avg", "max", "gem", "avgmax", "middle", "spread", "flatten")
# Between a network and its nodes.
AT = "@"
MOST = 12
# What `--layer` calls the choice by measure, and how many of the last stages it looks at.
AUTO, STAGES = "auto", 3


@dataclass(frozen=True)
class Node:
    """A layer, and how its maps become a row of numbers."""

    layer: str
    pool: str = "avg"

    def __str__(self) -> str:
        return node_text(self.layer, self.pool)


def nodes_of(layer: str | None, pool: str) -> tuple[Node, ...]:
    """The nodes that `--layer` names, each by every pooling of `--pool` unless it names its own."""
    pools = [_known(pooling) for pooling in pool.split(COMMA)]
    nodes: list[Node] = []
    for text in (layer or PENULTIMATE).split(COMMA):
        name, _, own = text.strip().partition(COLON)
        nodes += [Node(name, pooling) for pooling in ([_known(own)] if own else pools)]
    if not all(node.layer for node in nodes) or len(set(nodes)) < len(nodes) or len(nodes) > MOST:
        raise FeatxError(
            "bad-flag",
            f"`--layer {layer}` must name one to {MOST} different layers",
            f"write it like this: `--layer {PENULTIMATE}{COMMA}{MAPS}{COLON}middle`",
        )
    return tuple(nodes)


def candidates_among(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Node, ...]:
    """The nodes worth trying beside the usual one: the last maps, and the ends of the last stages, each pooled.

    A stage is a part of the network whose maps have one shape; its name ends with the first number in it.
    """
    ends = {_stage(name): name for name, shape in shapes.items() if len(shape) == 3 and min(shape[1:]) > 1}
    by_shape = {shapes[name]: stage for stage, name in ends.items() if stage is not None}
    # The last shape is that of the last maps.
    stages = list(by_shape.values())[:-1][-STAGES:]
    pools = ("avg", "middle", "spread")
    maps = tuple(Node(MAPS, pool) for pool in pools[1:]) if stages else ()
    return maps + tuple(Node(stage, pool) for stage in reversed(stages) for pool in pools)


def _stage(name: str) -> str | None:
    """`features.12.cat` belongs to `features.12`; None where no number tells stages apart."""
    words = name.split(".")
    numbered = (i for i, word in enumerate(words) if any(letter.isdigit() for letter in word))
    first = next(numbered, None)
    return None if first is None else ".".join(words[: first + 1])


def middle_places(height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of the middle half of maps, where the product usually is."""
    y, x = height // 4, width // 4
    return slice(y, height - y), slice(x, width - x)


def without_nodes(name: str) -> str:
    """A backbone's name, or the joined names of several, without the nodes that are read."""
    return PLUS.join(split_name(part)[0] for part in name.split(PLUS))


def split_name(name: str) -> tuple[str, str | None]:
    """`NETWORK@NODES` as its two halves."""
    network, separator, nodes = name.partition(AT)
    return network, nodes if separator else None


def _known(pool: str) -> str:
    if pool not in POOLS:
        raise FeatxError("bad-flag", f"no pooling called `{pool}`", f"choose one of {', '.join(POOLS)}")
    return pool
