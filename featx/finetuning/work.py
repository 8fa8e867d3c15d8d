"""What one tuning is about, for everything that takes part in it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.backbones import Encoder
from featx.backbones.fingerprint import Fingerprint
from featx.finetuning.cut.fill import Views
from featx.finetuning.events import TuneEvents
from featx.finetuning.judgement.division import Photos
from featx.finetuning.judgement.judge import Judgement, judged_tuned
from featx.finetuning.judgement.unlabelled import Extra
from featx.finetuning.options import TuneOptions
from featx.finetuning.training.levels import Level


@dataclass(frozen=True)
class Work:
    """The network to begin from, the photos, and the recipe; `parent` is the network that the outcome comes from.

    The two networks differ where norms were adapted. `weights` are those that somebody named.
    """

    name: str
    parent: Fingerprint
    encoder: Encoder
    weights: str | None
    photos: Photos
    options: TuneOptions
    events: TuneEvents
    # Where finished networks go.
    folder: Path
    begun: float
    extra: Extra
    level: Level | None

    @property
    def unfinished(self) -> Path:
        """Where an interrupted run leaves what it has."""
        return self.folder / f"{self.name}.unfinished"

    @property
    def seconds_left(self) -> float:
        """Until the time of `--minutes` is over."""
        return self.options.minutes * 60 - (time.monotonic() - self.begun)

    @property
    def views(self) -> Views:
        """How photos are altered."""
        return Views.of(self.options.augment, self.options.seed)

    @cached_property
    def prepared(self) -> NDArray[np.generic]:
        """A grey photo as the network takes it."""
        return np.asarray(self.encoder.prepare(Image.new("RGB", (256, 256))))

    @property
    def paths(self) -> Mapping[str, str]:
        """Where each photo is, by its digest."""
        photos = self.photos
        return {**dict(zip(photos.digests, photos.store.paths, strict=True)), **self.extra.paths}

    def wanted(self, views: int) -> dict[str, int]:
        """How many altered views of each photo are wanted, by its digest: none of those that only judge."""
        photos = self.photos
        learned = {photos.digests[i] for i in photos.learn} | set(self.extra.digests)
        return {digest: views if digest in learned else 0 for digest in [*photos.digests, *self.extra.digests]}

    def judged(self, rows: NDArray[np.float32], fingerprint: Fingerprint | None = None) -> Judgement:
        """How rows of all photos do; those of a tuned network by default."""
        store = self.photos.with_features(rows, fingerprint or self.parent)
        return judged_tuned(self.photos, store, self.options)
