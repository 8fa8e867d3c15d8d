"""The maps behind each node of a network that is read at several, and what makes a row of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from featx.backbones.layers import Pooling, Shapes


@dataclass(frozen=True)
class Tap:
    """The output of a network that a node is, and how its maps become a row."""

    name: str
    pool: str
    channels_last: bool = False


@dataclass(frozen=True)
class NodeHalves:
    """A network that also gives the maps behind its nodes, and what makes a row of each; None for one without maps.

    The network answers with its outputs and with the maps, channels first. All parts share their weights with it.
    """

    network: nn.Module
    poolings: tuple[nn.Module | None, ...]


def split_at_nodes(network: fx.GraphModule, taps: Sequence[Tap], example: torch.Tensor) -> NodeHalves:
    """A network with an output for each tap, parted at the maps behind each."""
    shapes = Shapes(network)
    with torch.inference_mode():
        shapes.run(example)
    outputs: Mapping[str, fx.Node] = list(network.graph.nodes)[-1].args[0]
    behind = [_maps_behind(outputs[tap.name], shapes.shapes) for tap in taps]
    # Only a node that is read as it is keeps the order of its own maps.
    last = [tap.channels_last and maps is outputs[tap.name] for tap, maps in zip(taps, behind, strict=True)]
    poolings = tuple(
        None if maps is None else nn.Sequential(_between(network, maps, outputs[tap.name]), Pooling(tap.pool, is_last))
        for tap, maps, is_last in zip(taps, behind, last, strict=True)
    )
    return NodeHalves(_WithMaps(network, behind, last), poolings)


class _WithMaps(nn.Module):
    """A traced network's output, and some of the maps on its way."""

    def __init__(self, network: fx.GraphModule, maps: Sequence[fx.Node | None], channels_last: Sequence[bool]) -> None:
        super().__init__()
        graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
        output = graph.graph_copy(network.graph, copies)
        graph.output((output, [None if node is None else copies[node] for node in maps]))
        self.network, self.channels_last = fx.GraphModule(network, graph), channels_last

    def forward(self, photos: torch.Tensor) -> tuple[Any, list[torch.Tensor | None]]:
        """The output and the maps, (n, channels, height, width)."""
        output, maps = self.network(photos)
        return output, [
            each.permute(0, 3, 1, 2) if is_last else each
            for each, is_last in zip(maps, self.channels_last, strict=True)
        ]


def _maps_behind(result: fx.Node, shapes: Mapping[fx.Node, tuple[int, ...]]) -> fx.Node | None:
    """The last maps that alone lead to a node, or itself; None where it has tokens, which have no rows and columns."""
    on_the_way = _way_to(result)
    for node in reversed(list(result.graph.nodes)):
        shape = shapes.get(node, ())
        if node not in on_the_way or node.op == "placeholder":
            continue
        if len(shape) == 3:
            return None
        if len(shape) == 4 and min(shape[2:]) > 1:
            others = _way_to(result, since=node)
            return None if any(other.op == "placeholder" for other in others) else node
    return None


def _way_to(result: fx.Node, since: fx.Node | None = None) -> set[fx.Node]:
    """A node and all that it is computed from, as far as these need not go through another one."""
    found, ahead = set[fx.Node](), [result]
    while ahead:
        node = ahead.pop()
        if node is not since and node not in found:
            found.add(node)
            ahead += node.all_input_nodes
    return found


def _between(network: fx.GraphModule, maps: fx.Node, result: fx.Node) -> fx.GraphModule:
    """The part of a network from maps to a node that they lead to."""
    graph, needed = fx.Graph(), _way_to(result, since=maps)
    copies = {maps: graph.placeholder("maps")}
    for node in network.graph.nodes:
        if node in needed:
            copies[node] = graph.node_copy(node, lambda old: copies[old])
    graph.output(copies[result])
    return fx.GraphModule(network, graph)
