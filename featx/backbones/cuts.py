"""Where a network can be cut in two, so that its front is computed once and its back is trained.

A cut is a node that every later one needs alone. Blocks are what people count layers by: `features.12` of SqueezeNet,
`layer4` of a ResNet. Inside a block the narrowest cut is taken, since its output is what a cache keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import fx, nn

from featx.backbones.layers import Shapes, after, up_to
from featx.errors import FeatxError, did_you_mean

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.MultiheadAttention)


@dataclass(frozen=True)
class Block:
    """A named part of a network, from its first node with weights to its last."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class Cut:
    """A node to cut at, how many blocks lie behind it, and the shape of its output for one photo."""

    name: str
    blocks: int
    shape: tuple[int, ...]
    position: int

    @property
    def numbers(self) -> int:
        """How many numbers its output has for one photo."""
        return math.prod(self.shape)


class CutNetwork:
    """A network with its blocks and cuts; its halves share their weights with it."""

    def __init__(self, network: nn.Module, example: torch.Tensor, name: str) -> None:
        try:
            self.whole = fx.symbolic_trace(network)
        except Exception as error:  # a network may do anything on its way
            raise FeatxError(
                "bad-flag",
                f"the parts of {name} cannot be told apart: {error}",
                "tune all of it, `--depth all`, or choose another backbone",
            ) from error
        shapes = Shapes(self.whole)
        with torch.no_grad():
            shapes.run(example)
        self.name, self.nodes = name, list(self.whole.graph.nodes)
        self._shapes = [shapes.shapes.get(node, ())[1:] for node in self.nodes]
        self._modules = dict(self.whole.named_modules())
        self.blocks = tuple(self._found_blocks())
        self._cuts = tuple(self._found_cuts())

    def at_depth(self, depth: int) -> Cut:
        """The narrowest cut with the last `depth` blocks behind it, or most of the first of these."""
        depth = min(depth, len(self.blocks) - 1)
        if depth < 1:
            raise FeatxError("bad-flag", f"{self.name} has too few blocks to cut", "tune all of it: `--depth all`")
        block = self.blocks[-depth]
        before = [i for i in self._cuts if i < block.first][-1:]
        inside = [i for i in self._cuts if block.first <= i < block.last and self._mostly_behind(block, i)]
        # Of equal ones the last: a ReLU computed in advance need not be computed again.
        position = min([*before, *inside], key=lambda i: (math.prod(self._shapes[i]), -i))
        return Cut(self._label(position), depth, self._shapes[position], position)

    def before_layer(self, layer: str) -> Cut:
        """The cut that leaves a block, and all after it, to be trained."""
        names = [block.name for block in self.blocks]
        if layer not in names[1:]:
            raise FeatxError(
                "unknown-layer",
                f"{self.name} has no block `{layer}` to begin at",
                did_you_mean(layer, names[1:], f"its blocks: {', '.join(names[1:])}"),
            )
        return self.at_depth(len(names) - names.index(layer))

    def halves(self, cut: Cut) -> tuple[fx.GraphModule, fx.GraphModule]:
        """The network up to a cut, and from there on."""
        node = self.nodes[cut.position]
        return up_to(self.whole, node), after(self.whole, node)

    def back_of(self, other: nn.Module, cut: Cut) -> fx.GraphModule | None:
        """Another reading of the same network from this cut on; None where it has no such cut."""
        traced = fx.symbolic_trace(other)
        nodes = list(traced.graph.nodes)
        if len(nodes) <= cut.position or str(nodes[cut.position].target) != str(self.nodes[cut.position].target):
            return None
        try:
            return after(traced, nodes[cut.position])
        except KeyError:  # a node in front of the cut is read too
            return None

    def block_of(self, parameter: str) -> int:
        """How many blocks lie behind the one that a parameter belongs to."""
        names = [block.name for block in self.blocks]
        owner = _stage(parameter)
        if owner in names:
            return len(names) - 1 - names.index(owner)
        position = max((i for i, node in enumerate(self.nodes) if _owns(node, parameter)), default=0)
        later = [block for block in self.blocks if block.first > position]
        return len(later)

    def _found_blocks(self) -> Iterator[Block]:
        name, first, last = "", 0, 0
        for i, node in enumerate(self.nodes):
            module = self._modules.get(str(node.target)) if node.op == "call_module" else None
            if module is None or not any(True for _ in module.parameters()):
                continue
            stage = _stage(str(node.target))
            if stage != name and isinstance(module, WEIGHTED):
                if name:
                    yield Block(name, first, last)
                name, first = stage, i
            last = i
        if name:
            yield Block(name, first, last)

    def _found_cuts(self) -> Iterator[int]:
        """Nodes whose output alone crosses to the later ones."""
        last_use = {node: max(map(self.nodes.index, node.users), default=-1) for node in self.nodes}
        for i, node in enumerate(self.nodes):
            crossing = [each for each in self.nodes[: i + 1] if each.op != "get_attr" and last_use[each] > i]
            if crossing == [node] and node.op != "placeholder" and self._shapes[i] and not self._shared(i):
                yield i

    def _shared(self, position: int) -> bool:
        """Whether a module with weights is used on both sides."""
        front, back = (
            {str(node.target) for node in part if node.op == "call_module"}
            for part in (self.nodes[: position + 1], self.nodes[position + 1 :])
        )
        return any(any(True for _ in self._modules[name].parameters()) for name in front & back)

    def _mostly_behind(self, block: Block, position: int) -> bool:
        return 2 * self._weights(position + 1, block.last) >= self._weights(block.first, block.last)

    def _weights(self, first: int, last: int) -> int:
        used = [self._modules[str(node.target)] for node in self.nodes[first : last + 1] if node.op == "call_module"]
        return sum(parameter.numel() for module in used for parameter in module.parameters())

    def _label(self, position: int) -> str:
        """The node's module, or the last one before a node that is none."""
        before: Sequence[fx.Node] = self.nodes[: position + 1]
        return next((str(node.target) for node in reversed(before) if node.op == "call_module"), "the input")


def _stage(name: str) -> str:
    """`features.12.squeeze` belongs to `features.12`, `layer4.1.conv2` to `layer4`, `_conv_head` to itself."""
    words = name.split(".")
    numbered = (i for i, word in enumerate(words) if any(letter.isdigit() for letter in word))
    return ".".join(words[: next(numbered, 0) + 1])


def _owns(node: fx.Node, parameter: str) -> bool:
    return node.op in ("call_module", "get_attr") and parameter.startswith(str(node.target))
