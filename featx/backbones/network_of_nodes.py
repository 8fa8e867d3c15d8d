"""A network that is read at several nodes: a block of length 1 for each, and the maps that led to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.backbones.base import Encoder, EncoderSpec
from featx.backbones.devices import import_torch_alone, raises_out_of_memory
from featx.backbones.frozen_network import FrozenNetwork
from featx.backbones.network_encoder import pooled_by, slopes_by

if TYPE_CHECKING:
    from torch import nn

    from featx.backbones.node_maps import NodeHalves
    from featx.backbones.preprocessing import PhotoForm

AllMaps = list[np.ndarray | None]


class NetworkOfNodes(FrozenNetwork):
    """A frozen network with several nodes; each of them is an encoder of its own beside the others."""

    def __init__(
        self,
        *given: Any,
        rows: Callable[[Any], Sequence[Any]],
        split_nodes: Callable[[Any], NodeHalves],
        **options: Any,
    ) -> None:
        """Freeze a network; `rows` makes of its output a row for each node, `split_nodes` parts it at their maps."""
        super().__init__(*given, **options)
        self.rows, self._split_nodes = rows, split_nodes

    @cached_property
    def _nodes(self) -> tuple[NodeEncoder, ...]:
        return tuple(NodeEncoder(self, number) for number in range(len(self.fingerprint.parts)))

    def networks(self) -> Sequence[Encoder]:
        """Its nodes."""
        return self._nodes

    @cached_property
    def halves(self) -> NodeHalves:
        """The network with the maps of each node, before batch normalisation was folded away."""
        opened = self._as_opened()
        assert isinstance(opened, NetworkOfNodes)
        return opened._split_nodes(opened.network)

    def maps_of_networks(self, batch: Sequence[Any]) -> AllMaps:
        """The feature maps of each node for prepared photos; None for a node without."""
        return self._rows_with_maps(batch)[1]

    def features_with_maps(self, batch: Sequence[Any]) -> tuple[np.ndarray, AllMaps]:
        """The same features as `features`, and the maps of each node; in one pass where plain torch computes both."""
        rows, maps = self._rows_with_maps(batch)
        return rows if self._is_plain and len(batch) else self.features(batch), maps

    @raises_out_of_memory
    def _rows_with_maps(self, batch: Sequence[Any]) -> tuple[np.ndarray, AllMaps]:
        rows, maps = self._passed(batch)
        return rows.cpu().numpy(), [None if own is None else own.cpu().numpy() for own in maps]

    @raises_out_of_memory
    def rows_of_node(self, number: int, batch: Sequence[Any]) -> np.ndarray:
        """The rows of one node, of their own length."""
        rows, _ = self._passed(batch, lambda output: self.rows(output)[number])
        own: np.ndarray = rows.cpu().numpy()
        return own

    def _passed(self, batch: Sequence[Any], read: Callable[[Any], Any] | None = None) -> tuple[Any, list[Any]]:
        """The rows of prepared photos as ever, or what else is read of the network's output; and each node's maps."""
        torch, module = import_torch_alone(), self._module_of(self.halves.network, read)
        with torch.inference_mode():
            output, maps = module.network(module.enter(self._as_tensor(batch)))
            return module.read(output), maps


class NodeEncoder(Encoder):
    """One node of a network that is read at several; its rows have their own length."""

    def __init__(self, whole: NetworkOfNodes, number: int) -> None:
        self._whole, self._number = whole, number
        self.fingerprint = replace(whole.fingerprint.parts[number], length="")

    @property
    def spec(self) -> EncoderSpec:
        """The facts of the network, and the width of the node."""
        return replace(self._whole.spec, width=self.fingerprint.width, unit_rows=False)

    def prepare(self, source: Any) -> Any:
        """The photo as the network takes it."""
        return self._whole.prepare(source)

    def features(self, batch: Sequence[Any]) -> np.ndarray:
        """Features of prepared photos at this node."""
        return self._whole.rows_of_node(self._number, batch)

    def feature_maps(self, batch: Sequence[Any]) -> np.ndarray:
        """The last feature maps behind this node."""
        maps = self._whole.maps_of_networks(batch)[self._number]
        if maps is None:
            raise self._without("feature maps")
        return maps

    def pool_maps(self, maps: np.ndarray) -> np.ndarray:
        """The features that feature maps lead to."""
        return pooled_by(self._pooling, maps, self.spec.device)

    def pool_slopes(self, maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """How a weighted sum of these features changes with each number of the maps."""
        return slopes_by(self._pooling, maps, weights, self.spec.device)

    def photo_form(self) -> PhotoForm:
        """How `prepare` makes bytes of a photo, for programs without featx."""
        return self._whole.photo_form()

    @property
    def _pooling(self) -> nn.Module:
        pooling = self._whole.halves.poolings[self._number]
        if pooling is None:
            raise self._without("feature maps")
        return pooling
