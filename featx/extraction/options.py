"""The options of an extraction, its report, and its events meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from featx.backbones import Encoder
from featx.catalogue.items import Catalogue, Skipped
from featx.catalogue.photos_by_sku import Unmatched
from featx.compute.machine import multiplies_bf16
from featx.embedding.stream import MOST_IN_A_BATCH
from featx.errors import FeatxError
from featx.metrics.block_choice import BlockChoice
from featx.views.quantities import percent

Progress = Callable[..., object]


@dataclass(frozen=True)
class ExtractionOptions:
    """The options of `featx extract` and `featx.extract`; None: featx chooses, or keeps the store's setting."""

    backbone: str | None = None
    weights: str | None = None
    layer: str | None = None
    pool: str | None = None
    device: str = "auto"
    precision: str = "auto"
    engine: str = "auto"
    exact_decode: bool = False
    batch_size: int | None = None
    workers: int | None = None
    views: int = 1
    seed: int = 0
    dtype: str = "float32"
    prune: bool = False
    force: bool = False
    replace: bool = False
    strict: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        for name, value, most in (("batch-size", self.batch_size, MOST_IN_A_BATCH), ("workers", self.workers, 256)):
            if value is not None and not 1 <= value <= most:
                raise FeatxError(
                    "bad-flag", f"`--{name} {value}` is not between 1 and {most:,}", "choose a value in between"
                )

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> ExtractionOptions:
        """The options among the arguments of a function, by their names."""
        return cls(**{option.name: arguments[option.name] for option in fields(cls) if option.name in arguments})

    def to_flags(self) -> list[str]:
        """The flags that give `featx extract` the same options."""
        words: list[str] = []
        for option in fields(self):
            value, flag = getattr(self, option.name), f"--{option.name.replace('_', '-')}"
            if value == option.default:
                continue
            if option.name == "dtype":
                words.append("--half")
            else:
                words += [flag] if value is True else [flag, str(value)]
                words += ["--yes"] if option.name == "replace" else []
        return words


@dataclass(frozen=True)
class CopiedBlocks:
    """A part of a joined backbone that was not computed: how many photos another store had its block of."""

    block: str
    store: str
    photos: int


@dataclass
class ExtractionReport:
    """What an extraction did; every count is of items."""

    store: Path
    backbone: str
    # Why this backbone, where nobody named one.
    backbone_reason: str = ""
    width: int = 0
    total: int = 0
    listed: int = 0
    new: int = 0
    changed: int = 0
    renamed: int = 0
    copied: int = 0
    refreshed: int = 0
    unchanged: int = 0
    resumed: int = 0
    # Ids of rows: those under a new id by their old one, those that were pruned, those whose photo is gone from disk,
    # and those whose photo is there, but that their table does not list any more.
    renames: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    blocks_copied: list[CopiedBlocks] = field(default_factory=list)
    # What `--layer auto` measured; None where the layers were named, or kept.
    layer_choice: BlockChoice | None = None
    seconds: float = 0.0
    images_per_second: float = 0.0
    waiting_share: float = 0.0
    device: str = ""
    engine: str = ""
    precision: str = ""
    batch_size: int = 0
    halved: bool = False
    stopped: bool = False
    dry_run: bool = False
    skipped_list: str = ""
    # Where photos were matched to the rows of a table by name: what is left over, and the list of it.
    unmatched: Unmatched | None = None
    unmatched_list: str = ""
    # The store that commands go on to use, where it is another one.
    current: str = ""

    @property
    def changes(self) -> int:
        """Items that are not as they were before."""
        return self.new + self.changed + self.renamed + self.copied + self.refreshed + self.pruned

    @property
    def computed(self) -> int:
        """Items whose features went through the network in this run, or would in a dry run."""
        return self.new + self.changed

    @property
    def pruned(self) -> int:
        """How many rows `--prune` removed, or would remove in a dry run."""
        return len(self.removed)

    @property
    def bottleneck(self) -> str:
        """A sentence on the bottleneck of the run, and the remedy."""
        waited = percent(self.waiting_share, 0)
        if self.waiting_share > 0.4:
            return (
                f"reading and decoding photos was the bottleneck (the network waited {waited} of the time): put them"
                " on a local disk, or raise --workers"
            )
        return f"the network was the bottleneck (it waited {waited} of the time): {self._remedies()} would help"

    def _remedies(self) -> str:
        """What makes the network faster here."""
        if not self.device.startswith("cpu"):
            return "a smaller backbone"
        if self.engine == "openvino" and self.precision == "fp32" and multiplies_bf16():
            return "a GPU, `--precision bf16` or a smaller backbone"
        return "a GPU or a smaller backbone"

    def _unmatched(self) -> dict[str, object] | None:
        left = self.unmatched
        if left is None:
            return None
        counts = {"skus": len(left.skus), "photos": len(left.photos), "ambiguous": len(left.ambiguous)}
        return {**counts, "list": self.unmatched_list or None}

    def to_dict(self) -> dict[str, object]:
        """The JSON document of `featx extract --json`."""
        reasons = Counter(skip.reason for skip in self.skipped)
        return {
            "version": 1,
            "store": str(self.store),
            "backbone": self.backbone,
            "backbone_reason": self.backbone_reason or None,
            "width": self.width,
            "n": self.total,
            "listed": self.listed,
            "new": self.new,
            "changed": self.changed,
            "renamed": self.renamed,
            "copied": self.copied,
            "refreshed": self.refreshed,
            "unchanged": self.unchanged,
            "resumed": self.resumed,
            "pruned": self.pruned,
            "gone": len(self.gone),
            "left": len(self.left),
            "ids": {"renamed": self.renames, "removed": self.removed, "gone": self.gone, "left": self.left},
            "skipped": len(self.skipped),
            "skipped_reasons": dict(reasons),
            "blocks_copied": [asdict(copied) for copied in self.blocks_copied],
            "layer_choice": self.layer_choice.to_dict() if self.layer_choice else None,
            "skipped_list": self.skipped_list or None,
            "unmatched": self._unmatched(),
            "seconds": round(self.seconds, 2),
            "images_per_second": round(self.images_per_second, 1),
            "waiting_share": round(self.waiting_share, 3),
            "device": self.device,
            "engine": self.engine or None,
            "precision": self.precision or None,
            "batch_size": self.batch_size,
            "current": self.current or str(self.store),
            "stopped": self.stopped,
            "dry_run": self.dry_run,
        }


class ExtractionEvents:
    """Called while an extraction runs; the command line prints, the Python API stays quiet."""

    def chosen(self, catalogue: Catalogue, name: str, reason: str) -> None:
        """The catalogue is read and the backbone is chosen."""

    @contextmanager
    def choosing_layers(self, total: int) -> Iterator[Progress]:
        """`--layer auto` looks at so many of the photos."""
        yield lambda done: None

    def layers_chosen(self, reason: str) -> None:
        """The layers are chosen, for this reason."""

    def adding(self, store: Path, rows: int) -> None:
        """The store holds so many photos, and none of this catalogue."""

    def opened(self, backbone: Encoder) -> None:
        """The network is loaded and about to run."""

    def other_engine(self, why: str) -> None:
        """The engine that would be fastest cannot run this network; plain torch does."""

    def resuming(self, done: int, total: int) -> None:
        """An earlier run was interrupted; its rows are kept."""

    def halved(self, batch_size: int) -> None:
        """The device ran out of memory; the batch is smaller now."""

    def stopping(self) -> None:
        """Ctrl-C was pressed once."""

    @contextmanager
    def progress(self, total: int) -> Iterator[Progress]:
        """Progress over the items of the catalogue."""
        yield lambda done, note="": None


class WatchedExtraction(ExtractionEvents):
    """Tells a function how many items are done of how many."""

    def __init__(self, watch: Callable[[int, int], object]) -> None:
        self.watch = watch

    @contextmanager
    def progress(self, total: int) -> Iterator[Progress]:
        """Progress over the items of the catalogue."""
        yield lambda done, note="": self.watch(done, total)
