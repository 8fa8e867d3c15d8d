"""Where in a network features are read: the input of its last classifying layer, or any node by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn

from featx.backbones.builtin_network import middle_of, unit_length
from featx.backbones.nodes import MAPS, PENULTIMATE
from featx.backbones.tracing import node_names, tapped
from featx.errors import FeatxError, did_you_mean


def last_classifying_layer(network: nn.Module) -> str:
    """The name of the layer that turns features into class scores: the last linear or convolutional one."""
    names: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return names[-1]


def without_head(network: nn.Module) -> nn.Module:
    """The network with its last classifying layer taken out, so that it answers with that layer's input."""
    network.set_submodule(last_classifying_layer(network), nn.Identity())
    return network


def node_shapes(network: nn.Module, side: int) -> dict[str, tuple[int, ...]]:
    """The output shape of every node for a photo of this side, without the batch; only nodes that give tensors."""
    shapes = _output_shapes(network, torch.zeros(1, 3, side, side))
    return {name: shape[1:] for name, shape in shapes.items() if len(shape) > 1}


def _output_shapes(network: nn.Module, example: torch.Tensor) -> dict[str, tuple[int, ...]]:
    wanted = {name: name for name in node_names(network)}
    with torch.inference_mode():
        outputs: Mapping[str, Any] = tapped(network, wanted).eval()(example)
    return {name: tuple(value.shape) for name, value in outputs.items() if isinstance(value, torch.Tensor)}


def tapped_at(network: nn.Module, layer: str, backbone: str) -> nn.Module:
    """The network truncated after a node."""
    node = _known_node(layer, node_names(network), backbone)
    return tapped(network, {node: "features"})


def tapped_at_all(
    network: nn.Module, layers: Sequence[str], backbone: str, example: torch.Tensor
) -> tuple[nn.Module, list[str]]:
    """The network with the outputs of several nodes, without its head; and the node of each layer."""
    head = last_classifying_layer(network)
    bare = without_head(network).eval()
    known = node_names(bare)
    nodes = []
    for layer in layers:
        if layer == PENULTIMATE:
            nodes.append(known[-1])
        elif layer == MAPS:
            nodes.append(last_maps(bare, example, backbone))
        else:
            nodes.append(_inside(layer, known, head, backbone))
    return tapped(bare, {node: node for node in nodes}), nodes


def _inside(layer: str, known: Sequence[str], head: str, backbone: str) -> str:
    """The node of a layer below the head."""
    node = _known_node(layer, known, backbone)
    if known.index(node) >= known.index(head):
        raise FeatxError(
            "unknown-layer",
            f"`{layer}` of {backbone} is its classification head",
            f"read the input of the head: `--layer {PENULTIMATE}`",
        )
    return node


def last_maps(network: nn.Module, example: torch.Tensor, backbone: str) -> str:
    """The last node that gives maps of more than one place."""
    for name, shape in reversed(_output_shapes(network, example).items()):
        if len(shape) == 3:  # tokens, which have no rows and columns
            break
        if len(shape) == 4 and min(shape[2:]) > 1:
            return name
    raise FeatxError(
        "unknown-layer",
        f"{backbone} ends in tokens or rows, so it has no `{MAPS}`",
        f"name a layer: `featx backbones {backbone} --layers` lists them",
    )


def _known_node(layer: str, known: Sequence[str], backbone: str) -> str:
    if layer in known:
        return layer
    # `layer4` stands for the last node inside it, as people use it.
    inside = [name for name in known if name.startswith(f"{layer}.")]
    if not inside:
        raise FeatxError(
            "unknown-layer",
            f"{backbone} has no layer `{layer}`",
            did_you_mean(layer, list(known), f"`featx backbones {backbone} --layers` lists them"),
        )
    return inside[-1]


def split_at_maps(network: nn.Module, example: torch.Tensor) -> tuple[nn.Module, nn.Module] | None:
    """The network up to its last feature maps (n, c, h, w), and what comes after; None where it has no such maps.

    Both parts share their weights with the network.
    """
    last = node_names(network)[-1]
    whole = tapped(network, {last: "rows"}).eval()
    shapes = Shapes(whole)
    with torch.inference_mode():
        shapes.run(example)
    node = _last_maps(whole.graph, shapes.shapes)
    return None if node is None else (up_to(whole, node), after(whole, node))


def split_at_layer(
    network: nn.Module, pool: str, example: torch.Tensor, *, channels_last: bool
) -> tuple[nn.Module, nn.Module] | None:
    """The same for a network that is read at a chosen layer."""
    with torch.inference_mode():
        output: torch.Tensor = network(example)["features"]
    if output.ndim != 4:
        return None
    return _Maps(network, channels_last), Pooling(pool, channels_last)


class Calling(nn.Module):
    """A part of a network that is a method of it."""

    def __init__(self, network: nn.Module, method: str, **options: object) -> None:
        super().__init__()
        self.network, self.method, self.options = network, method, options

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The method's result."""
        result: torch.Tensor = getattr(self.network, self.method)(x, **self.options)
        return result


class _Maps(nn.Module):
    """A tapped network's maps, channels first."""

    def __init__(self, network: nn.Module, channels_last: bool) -> None:
        super().__init__()
        self.network, self.channels_last = network, channels_last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, channels, height, width)."""
        maps: torch.Tensor = self.network(x)["features"]
        return maps.permute(0, 3, 1, 2) if self.channels_last else maps


class Pooling(nn.Module):
    """Rows from maps whose channels come first, as `pooled` makes them of the network's own."""

    def __init__(self, pool: str, channels_last: bool) -> None:
        super().__init__()
        self.pool, self.channels_last = pool, channels_last

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(n, width)."""
        maps = maps.permute(0, 2, 3, 1) if self.channels_last else maps
        return pooled(maps, self.pool, channels_last=self.channels_last)


class Shapes(fx.Interpreter):
    """Runs a traced network and notes the shape of every node's output."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """One node, as ever."""
        output = super().run_node(n)
        if isinstance(output, torch.Tensor):
            self.shapes[n] = tuple(output.shape)
        return output


def _last_maps(graph: fx.Graph, shapes: Mapping[fx.Node, tuple[int, ...]]) -> fx.Node | None:
    node: fx.Node
    for node in reversed(graph.nodes):
        shape = shapes.get(node, ())
        if len(shape) == 3:  # tokens, which have no rows and columns
            return None
        if node.op != "placeholder" and len(shape) == 4 and min(shape[2:]) > 1:
            return node
    return None


def up_to(whole: fx.GraphModule, node: fx.Node) -> fx.GraphModule:
    """A network up to the output of a node; it shares its weights with the network."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for each in whole.graph.nodes:
        copies[each] = graph.node_copy(each, lambda old: copies[old])
        if each is node:
            break
    graph.output(copies[node])
    return fx.GraphModule(whole, graph)


def after(whole: fx.GraphModule, node: fx.Node) -> fx.GraphModule:
    """The rest of a network from the output of a node on; it shares its weights with the network."""
    graph = fx.Graph()
    copies = {node: graph.placeholder("maps")}
    nodes = list(whole.graph.nodes)
    start = nodes.index(node) + 1
    for i, each in enumerate(nodes[:-1]):
        # Tensors that no part computes, such as positions, may be used on both sides.
        if i >= start or (each.op == "get_attr" and each is not node):
            copies[each] = graph.node_copy(each, lambda old: copies[old])
    result = nodes[-1].args[0]
    graph.output(fx.node.map_arg(_only_rows(result), lambda old: copies[old]))
    return fx.GraphModule(whole, graph)


def _only_rows(result: Any) -> Any:
    """The rows of a network that is read at its end; the outputs of all nodes where there are several."""
    return result["rows"] if isinstance(result, Mapping) and "rows" in result else result


def joined_rows(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Rows side by side, each of several scaled to length 1."""
    return rows[0] if len(rows) == 1 else torch.cat([unit_length(row) for row in rows], 1)


def pooled(x: torch.Tensor, pool: str, *, channels_last: bool = False) -> torch.Tensor:
    """One row of numbers for each photo, from maps (n, c, h, w), tokens (n, t, c) or rows (n, c)."""
    if pool == "middle" and x.ndim == 4:
        maps = x.permute(0, 3, 1, 2) if channels_last else x
        return middle_of(maps).mean((2, 3))
    if pool == "middle" or (pool == "spread" and x.ndim == 2):
        raise FeatxError("bad-flag", f"`{pool}` pooling needs a layer with height and width", "choose another `--pool`")
    if x.ndim == 2 or pool == "flatten":
        return x.flatten(1)
    if x.ndim == 4:
        places = x.flatten(1, 2) if channels_last else x.flatten(2).transpose(1, 2)
    else:
        places = x.reshape(x.shape[0], -1, x.shape[-1])
    if pool == "max":
        return places.amax(1)
    if pool == "gem":
        return places.clamp(min=1e-6).pow(3).mean(1).pow(1 / 3)
    if pool == "spread":
        return places.var(1, unbiased=False).clamp_min(0).sqrt()
    if pool == "avgmax":
        return torch.cat([places.mean(1), places.amax(1)], 1)
    return places.mean(1)
