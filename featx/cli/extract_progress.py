"""How an extraction goes, for the person at the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from featx.cli.output import Advance, Output
from featx.views.quantities import pluralise

if TYPE_CHECKING:
    from pathlib import Path

    from featx.backbones import Encoder
    from featx.catalogue.items import Catalogue
    from featx.extraction import ExtractionEvents


def narrator(out: Output) -> ExtractionEvents:
    """Tells the person at the terminal how an extraction goes."""
    from featx.extraction import ExtractionEvents as Events

    class Narrator(Events):
        """Reports progress to the person at the terminal."""

        def chosen(self, catalogue: Catalogue, name: str, reason: str) -> None:
            out.say(catalogue.describe())
            if reason and reason != "as before":
                out.say(reason)

        @contextmanager
        def choosing_layers(self, total: int) -> Iterator[Advance]:
            with out.progress(total, "choose layers") as advance:
                yield advance

        def layers_chosen(self, reason: str) -> None:
            out.say(reason)

        def adding(self, store: Path, rows: int) -> None:
            out.say(f"adding to {store}, which holds {pluralise(rows, 'other photo')}")

        def opened(self, backbone: Encoder) -> None:
            spec = backbone.spec
            engine = {"openvino": ", OpenVINO", "onnxruntime": ", ONNX Runtime", "compile": ", compiled"}.get(
                spec.engine, ""
            )
            out.say(f"{spec.name} on {spec.device_reason}{engine} · {spec.width:,} numbers per photo")
            out.detail(f"weights: {backbone.fingerprint.weights} · layer: {backbone.fingerprint.layer}")

        def other_engine(self, why: str) -> None:
            out.detail(f"{why}; plain torch runs it instead")

        def resuming(self, done: int, total: int) -> None:
            out.say(f"resuming: {done:,} of {total:,} already done")

        def halved(self, batch_size: int) -> None:
            out.warn(f"out of memory: continuing with batches of {batch_size}")

        def stopping(self) -> None:
            out.say("stopping after this batch (Ctrl-C again to quit now)")

        @contextmanager
        def progress(self, total: int) -> Iterator[Advance]:
            with out.progress(total, "extract") as advance:
                yield advance

    return Narrator()
