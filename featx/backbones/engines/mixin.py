"""What every backbone with a network has in common once an engine runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from featx.backbones.engines.base import Engine


class EngineMixin:
    """A backbone whose engine may change; None until the first photo comes where a network has to be made for it."""

    _engine: Engine | None
    versions: Mapping[str, str]

    def use_engine(self, asked: str, *, photos: int, batch_size: int) -> str:
        """Compute with another engine from now on; returns why not, where `auto` could not have the one it wanted."""
        raise NotImplementedError

    @property
    def engine(self) -> str:
        """What computes the features: torch, compile, openvino or onnxruntime."""
        return self._engine.name if self._engine is not None else "openvino"

    @property
    def photos_at_once(self) -> int:
        """How many photos keep all cores busy, where the engine knows; 0: any number."""
        return int(getattr(self._engine, "photos_at_once", 0))

    @property
    def calls_at_once(self) -> int:
        """From how many threads `features` may be called, so that the cores never wait between two batches."""
        return int(getattr(self._engine, "calls_at_once", 1))

    def _run_on(self, engine: Engine) -> None:
        self._engine = engine
        kind, _, number = engine.version.partition(" ")
        self.versions = {**self.versions, kind: number}

    def _computed(self, batch: np.ndarray) -> np.ndarray:
        if self._engine is None:
            self.use_engine("openvino", photos=len(batch), batch_size=len(batch))
        assert self._engine is not None
        return self._engine(batch)
