"""`package.module:factory`: a custom backbone, wrapped once so that callers see an `Encoder`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from featx.backbones.base import BackboneFamily, BackboneRequest, Encoder, EncoderSpec
from featx.backbones.fingerprint import Fingerprint
from featx.errors import FeatxError

_PARTS = ("name", "width", "fingerprint", "device", "device_reason", "versions", "prepare", "features")


class CustomBackbone(Protocol):
    """The object that a custom factory returns, as docs/backbones.md describes it."""

    name: str
    width: int
    fingerprint: Fingerprint
    device: str
    device_reason: str
    versions: Mapping[str, str]

    def prepare(self, image: Any) -> Any:
        """An upright RGB photo as an array of one fixed shape; called from many threads."""

    def features(self, prepared: Sequence[Any]) -> np.ndarray:
        """(n, width), float32, finite; called from one thread at a time."""


class CustomEncoder(Encoder):
    """A custom backbone behind the contract."""

    def __init__(self, backbone: CustomBackbone) -> None:
        self._backbone = backbone
        self.fingerprint = backbone.fingerprint
        self._spec = EncoderSpec(
            name=backbone.name,
            width=backbone.width,
            device=backbone.device,
            device_reason=backbone.device_reason,
            versions=backbone.versions,
        )

    @property
    def spec(self) -> EncoderSpec:
        """The backbone's own description."""
        return self._spec

    def prepare(self, source: Any) -> Any:
        """One photo as the backbone takes it."""
        return self._backbone.prepare(source)

    def features(self, batch: Sequence[Any]) -> np.ndarray:
        """The backbone's features."""
        return self._backbone.features(batch)


def open_custom(request: BackboneRequest) -> Encoder:
    """Call a custom factory; an `Encoder` is used directly, any other object is wrapped."""
    module_name, _, factory_name = request.name.partition(":")
    try:
        # Modules in the current folder are importable, as with `python -m`.
        if "" not in sys.path:
            sys.path.insert(0, "")
        factory = getattr(importlib.import_module(module_name), factory_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FeatxError(
            "unknown-backbone",
            f"cannot load your backbone `{request.name}`: {error}",
            "name it as package.module:factory, with the package importable from here",
        ) from error
    backbone = factory(weights=request.weights, device=request.device)
    if isinstance(backbone, Encoder):
        return backbone
    missing = [part for part in _PARTS if not hasattr(backbone, part)]
    if missing:
        raise FeatxError(
            "unknown-backbone",
            f"`{request.name}` returns an object without {', '.join(missing)}",
            "docs/backbones.md lists the parts that a backbone of your own needs",
        )
    if not isinstance(backbone.fingerprint, Fingerprint) or backbone.fingerprint.width != backbone.width:
        raise FeatxError(
            "unknown-backbone",
            f"the fingerprint of `{request.name}` is not a `featx.backbones.Fingerprint` of width {backbone.width}",
            "docs/backbones.md shows how to make one",
        )
    return CustomEncoder(backbone)


FAMILY = BackboneFamily("custom", owns=lambda name: ":" in name, open=open_custom)
