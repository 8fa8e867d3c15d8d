"""A network as a graph whose nodes have names: `layer3.0.conv1` is a module, `layer3.0.relu_1` the second call in one.

torchvision's tracer names them too and knows the operations of its own networks; others do without it, since importing
torchvision takes as long as importing torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import fx, nn

_NUMBERED = re.compile(r"(.+)_[0-9]+$")


class _NamingTracer(fx.Tracer):
    """Names each node by the module it is in, as torchvision does."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, fx.Node] = {}
        self._module = ""

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """One module, whose nodes are named after it."""
        outside, self._module = self._module, self.path_of_module(m)
        try:
            return super().call_module(m, forward, args, kwargs)
        finally:
            self._module = outside

    def create_node(self, *given: Any, **named: Any) -> fx.Node:
        """A node, under a name that no other has."""
        node = super().create_node(*given, **named)
        name = self._module if node.op == "call_module" else ".".join(filter(None, (self._module, str(node))))
        base = re.sub(_NUMBERED, r"\1", name)
        free = (base if i == 0 else f"{base}_{i}" for i in range(len(self.names) + 1))
        self.names[next(name for name in free if name not in self.names)] = node
        return node


def node_names(network: nn.Module) -> list[str]:
    """Every node whose output can be read, in the order they run."""
    if _is_torchvisions(network):
        from torchvision.models.feature_extraction import get_graph_node_names

        names = get_graph_node_names(network, suppress_diff_warning=True)[1]
        return [name for name in names if name != "x"]
    return [name for name, node in _traced(network)[1].items() if node.op not in ("placeholder", "output")]


def tapped(network: nn.Module, names: Mapping[str, str]) -> fx.GraphModule:
    """The network with the outputs of these nodes, each under its name."""
    if _is_torchvisions(network):
        from torchvision.models.feature_extraction import create_feature_extractor

        extractor: fx.GraphModule = create_feature_extractor(network, dict(names), suppress_diff_warning=True)
        return extractor
    graph, nodes = _traced(network)
    outputs = {name: nodes[node] for node, name in names.items()}
    graph.erase_node(next(node for node in graph.nodes if node.op == "output"))
    graph.output(outputs)
    whole = fx.GraphModule(network, graph)
    whole.graph.eliminate_dead_code()
    whole.recompile()
    whole.delete_all_unused_submodules()
    return whole


def _traced(network: nn.Module) -> tuple[fx.Graph, dict[str, fx.Node]]:
    tracer = _NamingTracer()
    return tracer.trace(network), tracer.names


def _is_torchvisions(network: nn.Module) -> bool:
    return type(network).__module__.partition(".")[0] == "torchvision"
