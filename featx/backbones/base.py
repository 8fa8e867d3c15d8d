"""The contract of every encoder, and the record of a family of backbones; light, nothing here loads a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from featx.backbones.fingerprint import Fingerprint
from featx.errors import FeatxError

if TYPE_CHECKING:
    from torch import nn

    from featx.backbones.preprocessing import PhotoForm
    from featx.backbones.tunable import TunableNetwork

Modality = Literal["image", "text"]


@dataclass(frozen=True)
class EncoderSpec:
    """What callers must know of an encoder to feed it well; a snapshot, which another engine makes out of date."""

    name: str
    width: int
    modality: Modality = "image"
    device: str = "cpu"
    device_reason: str = "CPU"
    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    # torch, compile, openvino or onnxruntime; "" where there is no choice.
    engine: str = ""
    # JPEGs may be decoded at a reduced scale down to this size; None: never.
    decode_size: tuple[int, int] | None = None
    # How many photos keep every core busy; 0: any number.
    batch_hint: int = 0
    # From how many threads `features` may be called, so that no core waits between two batches.
    parallel_calls: int = 1
    # The weights file that the user named, if any.
    weights_file: str = ""
    # The same for each part of a joined backbone, by its name.
    weights_files: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    # Whether its rows have length 1 by themselves.
    unit_rows: bool = False


class Encoder(ABC):
    """Frozen: sources are prepared in any thread, and their features never depend on earlier ones.

    The doors below `features` are for explanations, fine-tuning and export; an encoder without a network refuses them
    in a sentence.
    """

    # The features of one view of a source.
    fingerprint: Fingerprint

    @property
    @abstractmethod
    def spec(self) -> EncoderSpec:
        """The facts that callers need."""

    @abstractmethod
    def prepare(self, source: Any) -> Any:
        """An upright RGB photo (or a text) as the network takes it, of a fixed shape; called from many threads."""

    @abstractmethod
    def features(self, batch: Sequence[Any]) -> np.ndarray:
        """Features of prepared sources: (n, width), float32, finite; from at most `spec.parallel_calls` threads."""

    def use_engine(self, requested: str, *, photos: int, batch_size: int) -> str:
        """Compute with another engine from now on; returns why `auto` did not get the one it wanted, or ""."""
        if requested != "auto":
            raise FeatxError(
                "bad-flag", f"the `{self.spec.name}` backbone has no choice of engine", "leave `--engine` out"
            )
        return ""

    def rest(self) -> None:
        """Give back the memory of the engine, where there is much; the next photo makes another."""
        return  # most have none

    def feature_maps(self, batch: Sequence[Any]) -> np.ndarray:
        """The last feature maps of prepared sources before pooling: (n, channels, height, width), float32."""
        raise self._without("feature maps")

    def detail_maps(self, batch: Sequence[Any]) -> np.ndarray:
        """Maps that show details, from inside the network where it has finer ones than the last."""
        return self.feature_maps(batch)

    def pool_maps(self, maps: np.ndarray) -> np.ndarray:
        """The features that feature maps lead to: the first columns of `features`, all of them in most networks."""
        raise self._without("feature maps")

    def pool_slopes(self, maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """How a weighted sum of the features that maps lead to changes with each number of the maps."""
        raise self._without("feature maps")

    def networks(self) -> Sequence[Encoder]:
        """The encoders whose blocks make up a row, in the order of its columns; most have only themselves.

        A network that is read at several nodes has one for each of them.
        """
        return (self,)

    def maps_of_networks(self, batch: Sequence[Any]) -> list[np.ndarray | None]:
        """The feature maps of each of its networks for prepared sources; None for a network that has none."""
        try:
            return [self.feature_maps(batch)]
        except FeatxError:
            return [None]

    def features_with_maps(self, batch: Sequence[Any]) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """The same features as `features`, and the maps of each network; in one pass where the network can do both."""
        return self.features(batch), self.maps_of_networks(batch)

    def graph(self) -> nn.Module:
        """One module from a batch of prepared sources to their features, in eval mode, for export."""
        raise self._without("a network to export")

    def aspects(self) -> Mapping[str, slice]:
        """Groups of columns with a meaning of their own, such as colour; none where a row has no such groups."""
        return {}

    def photo_form(self) -> PhotoForm:
        """How `prepare` makes bytes of a photo, for programs without featx."""
        raise self._without("a preprocessing that other programs can follow")

    def trainable_module(self) -> nn.Module:
        """A copy of `graph` whose weights may change: in training mode, with gradients, sharing no tensor with it."""
        raise self._without("a network to train")

    def text_features(self, texts: Sequence[str]) -> np.ndarray:
        """A unit row for each text, in the space of the photos; (n, width), float32."""
        raise FeatxError(
            "bad-flag",
            f"the `{self.spec.name}` backbone knows no texts",
            "extract with a network that does: `featx backbones open_clip`",
        )

    def tunable(self) -> TunableNetwork:
        """A copy of the network in the parts that fine-tuning needs, in eval mode, sharing no tensor with it."""
        raise self._without("network to tune")

    def _without(self, what: str) -> FeatxError:
        return FeatxError("bad-flag", f"the `{self.spec.name}` backbone has no {what}", "choose a torchvision network")


class OutOfMemory(Exception):
    """The device has too little memory for a batch of this size; a smaller one may fit."""


@dataclass(frozen=True)
class BackboneRequest:
    """A request for a backbone; None stands for the default."""

    name: str
    weights: str | None = None
    layer: str | None = None
    pool: str = "avg"
    device: str = "auto"
    precision: str = "auto"
    # For a weights file that does not say it: the preprocessing that its weights want, as fingerprints know it.
    preprocessing: str | None = None
    # The side of the square that photos become, instead of the one that the weights were trained with.
    size: int | None = None

    @property
    def exact_precision(self) -> str:
        """The precision to compute in; float32 by default."""
        return "fp32" if self.precision == "auto" else self.precision


@dataclass(frozen=True)
class OwnWeights:
    """Weights that need no download: their name in a list, and their size."""

    note: str
    n_bytes: int


Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class BackboneFamily:
    """A family of backbones: the names that belong to it, how to open one, and its rows in lists."""

    name: str
    owns: Callable[[str], bool]
    open: Callable[[BackboneRequest], Encoder]
    # A row of `featx backbones` for each backbone.
    rows: Callable[[], list[dict[str, Any]]] = list
    # Rows of those whose name matches a pattern, in a family too large to be listed with the others.
    catalogue: Callable[[str], list[dict[str, Any]]] | None = None
    # Whether the usual weights of a backbone of this family are on this machine; no tensor is read.
    has_weights: Callable[[str], bool] = lambda name: True
    # None if weights are downloaded, or missing from the installation.
    own_weights: Callable[[], OwnWeights | None] = lambda: None
    # The layers that can be read in one, with their shapes; None where there is no choice.
    layer_shapes: Callable[[str], Shapes] | None = None
    takes_weights: bool = True
    # Whether photos may become squares of another size than that of its weights.
    takes_size: bool = False
    # A floor that every score must beat, rather than a choice.
    is_baseline: bool = False

    @property
    def has_layers(self) -> bool:
        """Whether features can be read at a chosen layer."""
        return self.layer_shapes is not None
