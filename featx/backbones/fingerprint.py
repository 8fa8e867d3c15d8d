"""What made the features: the identity that stores, indexes and classifiers carry, and the rule for mixing them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from types import MappingProxyType
from typing import Literal

from featx.backbones.names import EDITIONS
from featx.errors import FeatxError

Use = Literal["search", "classify", "append"]

_SAME_FEATURES = ("backbone", "weights_sha256", "layer", "pool", "preprocessing", "precision", "width")
# The fields that must be equal before features of one fingerprint are used with those of another.
COMPARED: Mapping[Use, tuple[str, ...]] = MappingProxyType(
    {
        # A query and a classifier use one view of each photo, however many the store keeps.
        "search": _SAME_FEATURES,
        # Directions are all that a search compares; some classifiers see lengths too.
        "classify": (*_SAME_FEATURES, "length"),
        # Rows of one store have one shape.
        "append": (*_SAME_FEATURES, "length", "views"),
    }
)
# Between the parts of a joined backbone, in its name and in each of its facts; the nodes of one network; and a node and
# its pooling.
PLUS, COMMA, COLON = "+", ",", ":"


@dataclass(frozen=True)
class Block:
    """The columns of one part of joined features."""

    name: str
    start: int
    stop: int
    fingerprint: Fingerprint

    @property
    def columns(self) -> slice:
        """Where its numbers are in a row."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class Fingerprint:
    """The identity of what makes features; :meth:`difference` decides which features may be used together."""

    backbone: str
    weights: str
    weights_sha256: str
    layer: str
    pool: str
    preprocessing: str
    precision: str
    width: int
    views: int = 1
    # `unit` where featx brought the rows to length 1, as it does with the blocks of a joined row.
    length: str = ""
    # What made each block of a joined row, in the order of their columns; none where one backbone made the whole row.
    parts: tuple[Fingerprint, ...] = ()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of a row, each by the name of its backbone, and its node where the network has several."""
        parts, blocks, start = self.parts or (self,), [], 0
        names = [part.backbone for part in parts]
        for part in parts:
            twice = names.count(part.backbone) > 1
            name = f"{part.backbone}/{part.node}" if twice else part.backbone
            blocks.append(Block(name, start, start + part.width, part))
            start += part.width
        return tuple(blocks)

    @property
    def node(self) -> str:
        """Where in its network a row was read, as `--layer` takes it."""
        return node_text(self.layer, self.pool)

    @property
    def networks(self) -> tuple[tuple[Fingerprint, ...], ...]:
        """The parts of each network, in the order of their columns."""
        parts = self.parts or (self,)
        return tuple(tuple(network) for _, network in groupby(parts, key=lambda part: part.backbone))

    def difference(self, other: Fingerprint, use: Use) -> str:
        """The first field that rules out using the two together; empty if none does."""
        for field in COMPARED[use]:
            if getattr(self, field) != getattr(other, field):
                return field
        for mine, theirs in zip(self.parts, other.parts, strict=False):
            if field := mine.difference(theirs, use):
                return field
        # Weights without a digest, as custom backbones may have, are known by their name alone.
        return "weights" if not self.weights_sha256 and self.weights != other.weights else ""

    @property
    def earlier_edition(self) -> str:
        """The edition of the built-in network that made these features, or a part; empty unless a later one ships."""
        latest = list(EDITIONS)[-1]
        digests = (part.weights_sha256 for part in self.parts or (self,))
        return next((EDITIONS[digest] for digest in digests if digest in EDITIONS and digest != latest), "")

    def values_of(self, field: str, other: Fingerprint) -> tuple[str, str]:
        """What this and the other have in a field that differs, in words."""
        if field == "weights_sha256" and (editions := self._editions(other)) is not None:
            return editions
        name = field.replace("_", " ")
        return f"{name} {getattr(self, field)}", f"{name} {getattr(other, field)}"

    def _editions(self, other: Fingerprint) -> tuple[str, str] | None:
        parts = zip(self.parts or (self,), other.parts or (other,), strict=False)
        digests = [(a.weights_sha256, b.weights_sha256) for a, b in parts if a.weights_sha256 != b.weights_sha256]
        if not digests or not EDITIONS.keys() >= set(digests[0]):
            return None
        mine, theirs = (f"the {EDITIONS[digest]} edition of the built-in network" for digest in digests[0])
        return mine, theirs

    def known_as(self, backbone: str, weights: str) -> Fingerprint:
        """The same fingerprint with another name of the network and of its weights, in each of its nodes too."""
        parts = tuple(replace(part, backbone=backbone, weights=weights) for part in self.parts)
        return replace(self, backbone=backbone, weights=weights, parts=parts)

    def digest(self) -> str:
        """A short name for the whole fingerprint."""
        text = json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def to_dict(self) -> dict[str, object]:
        """The record that stores, classifiers and reports keep; only joined features have `length` and `parts`."""
        record = asdict(self)
        del record["parts"]
        if not self.length:
            del record["length"]
        return record | ({"parts": [part.to_dict() for part in self.parts]} if self.parts else {})

    @classmethod
    def from_dict(cls, record: object, *, width: int | None = None) -> Fingerprint:
        """A fingerprint from its record; `width` is that of the features, and fields of later versions are ignored.

        Stores of the first format may leave fields out. A damaged record is a FeatxError
        `store-broken`; whoever reads another kind of file gives it that file's code.
        """
        if not isinstance(record, Mapping):
            raise _damaged("it is not an object")
        if width is not None and record.get("width", width) != width:
            raise _damaged(f"its `width` is {record['width']}, but the features have {width}")
        return cls(
            backbone=_text(record, "backbone"),
            weights=_text(record, "weights", ""),
            weights_sha256=_text(record, "weights_sha256", ""),
            layer=_text(record, "layer", ""),
            pool=_text(record, "pool", ""),
            preprocessing=_text(record, "preprocessing", ""),
            precision=_text(record, "precision", "fp32"),
            width=_count(record, "width", width),
            views=_count(record, "views", 1),
            length=_text(record, "length", ""),
            parts=_parts(record),
        )


def join(parts: Sequence[Fingerprint]) -> Fingerprint:
    """The fingerprint of rows made of these blocks, or of the blocks in these; a single block has its own."""
    blocks = tuple(block for part in parts for block in part.parts or (part,))
    if len(blocks) == 1:
        return blocks[0]
    width, views = sum(block.width for block in blocks), blocks[0].views
    whole = Fingerprint("", "", "", "", "", "", "", width=width, views=views, length="unit", parts=blocks)
    each = whole.networks
    return replace(
        whole,
        backbone=PLUS.join(network[0].backbone for network in each),
        weights=_joined([network[0].weights for network in each]),
        weights_sha256=_joined([network[0].weights_sha256 for network in each]),
        layer=_joined([_layer_of(network) for network in each]),
        pool=_joined([COMMA.join(dict.fromkeys(block.pool for block in network)) for network in each]),
        preprocessing=_joined([network[0].preprocessing for network in each]),
        precision=_joined([network[0].precision for network in each]),
    )


def node_text(layer: str, pool: str) -> str:
    """A layer and its pooling as `--layer` takes them."""
    return layer if pool in ("", "avg") else f"{layer}{COLON}{pool}"


def _layer_of(network: Sequence[Fingerprint]) -> str:
    return network[0].layer if len(network) == 1 else COMMA.join(block.node for block in network)


def with_views(fingerprint: Fingerprint, views: int) -> Fingerprint:
    """The fingerprint of the same features of so many views."""
    parts = tuple(replace(part, views=views) for part in fingerprint.parts)
    return replace(fingerprint, views=views, parts=parts)


def _joined(facts: Sequence[str]) -> str:
    return facts[0] if len(set(facts)) == 1 and facts[0] else PLUS.join(facts)


def _parts(record: Mapping[str, object]) -> tuple[Fingerprint, ...]:
    given = record.get("parts", [])
    if not isinstance(given, list) or any(isinstance(part, Mapping) and "parts" in part for part in given):
        raise _damaged("its `parts` are not a list of fingerprints")
    parts = tuple(Fingerprint.from_dict(part) for part in given)
    if parts and sum(part.width for part in parts) != record.get("width"):
        raise _damaged("its `parts` are not as wide as the whole")
    return parts


def _text(record: Mapping[str, object], field: str, default: str | None = None) -> str:
    value = record.get(field, default)
    if not isinstance(value, str):
        raise _damaged(f"its `{field}` is not text")
    return value


def _count(record: Mapping[str, object], field: str, default: int | None) -> int:
    value = record.get(field, default)
    if type(value) is not int or value < 1:
        raise _damaged(f"its `{field}` is not a positive whole number")
    return value


def _damaged(reason: str) -> FeatxError:
    return FeatxError("store-broken", f"the fingerprint of its features is damaged: {reason}")
