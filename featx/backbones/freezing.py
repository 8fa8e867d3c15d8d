"""A network as it was requested: frozen, and read at one node or at several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from featx.backbones.base import BackboneRequest
from featx.backbones.devices import choose_device, import_torch_alone
from featx.backbones.fingerprint import Fingerprint, join
from featx.backbones.frozen_network import FrozenNetwork
from featx.backbones.network_of_nodes import NetworkOfNodes
from featx.backbones.nodes import MAPS, PENULTIMATE, Node, nodes_of
from featx.backbones.preprocessing import Preset, as_worded, preset_of
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.backbones.node_maps import NodeHalves, Tap

# Sides of squares that networks may take: what halving five times leaves something of, and what fits memory.
SMALLEST, LARGEST = 28, 1024


def frozen(
    network: Any,
    transforms: Callable[[Image.Image], Any],
    request: BackboneRequest,
    *,
    weights: str,
    sha256: str,
    reopen: Callable[[], FrozenNetwork],
    weights_file: str = "",
) -> FrozenNetwork:
    """A network with its weights, read at the layer and pooled as requested."""
    transforms = _sized(transforms, request)
    probe = _example(transforms)
    device, device_reason = choose_device(request.device)
    nodes = nodes_of(request.layer, request.pool)
    reader = _reader(network.eval(), request, probe)
    widths = _widths(reader, probe, request)
    made = [
        Fingerprint(
            backbone=request.name,
            weights=weights,
            weights_sha256=sha256,
            layer=node.layer,
            pool=node.pool,
            preprocessing=in_words(transforms),
            precision=request.exact_precision,
            width=width,
            # Each of several rows is scaled to length 1.
            length="unit" if len(nodes) > 1 else "",
        )
        for node, width in zip(nodes, widths, strict=True)
    ]
    make: Callable[..., FrozenNetwork] = FrozenNetwork
    if reader.taps:
        split_nodes = partial(_split_nodes, taps=reader.taps, example=probe.to(device))
        make = partial(NetworkOfNodes, rows=reader.rows, split_nodes=split_nodes)
    return make(
        reader.network,
        transforms,
        join(made),
        read=reader.read,
        device=device,
        device_reason=device_reason,
        weights_file=weights_file,
        split=lambda network: reader.split(network, probe.to(device)),
        reopen=reopen,
    )


def _sized(transforms: Callable[[Image.Image], Any], request: BackboneRequest) -> Callable[[Image.Image], Any]:
    """The preprocessing for the size that was requested, or that features which exist were made with."""
    preset = preset_of(transforms)
    if not isinstance(preset, Preset):
        return transforms
    if request.size is None:
        other = as_worded(preset, request.preprocessing)
        return transforms if other == preset else other
    return preset.sized(require_size(request.size))


def require_size(side: int) -> int:
    """A side that photos may have."""
    if not SMALLEST <= side <= LARGEST:
        raise FeatxError("bad-flag", f"`--size {side}` is not from {SMALLEST} to {LARGEST}", "such as `--size 96`")
    return side


def too_small(request: BackboneRequest, error: Exception) -> FeatxError:
    """The refusal of a size that a network cannot take."""
    return FeatxError(
        "bad-flag",
        f"`{request.name}` cannot take photos of {request.size} pixels: {error}",
        "try a larger size, or a network without attention",
    )


def _widths(reader: _Reader, probe: Any, request: BackboneRequest) -> list[int]:
    """How many features each node has."""
    try:
        with import_torch_alone().inference_mode():
            return [int(row.shape[1]) for row in reader.rows(reader.network(probe))]
    except (RuntimeError, AssertionError) as error:
        if request.size is None:
            raise
        raise too_small(request, error) from error


@dataclass(frozen=True)
class _Reader:
    """A network cut where it is read, how each output becomes a row, and its halves before and after its last maps."""

    network: Any
    rows: Callable[[Any], list[Any]]
    split: Callable[[Any, Any], tuple[Any, Any] | None]
    # Where there are several nodes: how each is read.
    taps: tuple[Tap, ...] = ()

    def read(self, output: Any) -> Any:
        """The network's output as a row for each photo, with a block of length 1 for each of several nodes."""
        from featx.backbones.layers import joined_rows

        return joined_rows(self.rows(output))


def _reader(network: Any, request: BackboneRequest, probe: Any) -> _Reader:
    from featx.backbones import layers

    nodes = nodes_of(request.layer, request.pool)
    if len(nodes) > 1:
        return _reader_of_nodes(network, request.name, nodes, probe)
    (node,) = nodes
    if node.layer == PENULTIMATE:
        return _Reader(
            layers.without_head(network), lambda maps: [layers.pooled(maps, node.pool)], layers.split_at_maps
        )
    layer = layers.last_maps(layers.without_head(network), probe, request.name) if node.layer == MAPS else node.layer
    channels_last = _is_channels_last(request.name, node)
    return _Reader(
        layers.tapped_at(network, layer, request.name),
        lambda output: [layers.pooled(output["features"], node.pool, channels_last=channels_last)],
        lambda cut, example: layers.split_at_layer(cut, node.pool, example, channels_last=channels_last),
    )


def _reader_of_nodes(network: Any, name: str, nodes: Sequence[Node], probe: Any) -> _Reader:
    from featx.backbones import layers
    from featx.backbones.node_maps import Tap

    whole, names = layers.tapped_at_all(network, [node.layer for node in nodes], name, probe)
    taps = tuple(Tap(own, node.pool, _is_channels_last(name, node)) for own, node in zip(names, nodes, strict=True))

    def rows(output: Any) -> list[Any]:
        return [layers.pooled(output[tap.name], tap.pool, channels_last=tap.channels_last) for tap in taps]

    # There is no single map from which all rows come.
    return _Reader(whole, rows, lambda cut, example: None, taps)


def _split_nodes(network: Any, taps: Sequence[Tap], example: Any) -> NodeHalves:
    from featx.backbones.node_maps import split_at_nodes

    return split_at_nodes(network, taps, example)


def _is_channels_last(name: str, node: Node) -> bool:
    """Swin keeps its channels last until its end."""
    return name.startswith("swin") and node.layer not in (PENULTIMATE, MAPS)


def _example(transforms: Callable[[Image.Image], Any]) -> Any:
    """A photo as the network takes it; of a preset only the shape counts."""
    torch = import_torch_alone()
    if isinstance(transforms, Preset):
        return torch.zeros(1, 3, transforms.crop, transforms.crop)
    return transforms(Image.new("RGB", (256, 256)))[None]


def in_words(transforms: Any) -> str:
    """A preprocessing as fingerprints know it."""
    return " ".join(str(transforms).split())
