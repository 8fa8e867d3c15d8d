"""How a store was made: the facts kept with its features, and the command that rebuilds it."""

from __future__ import annotations

import platform
import shlex
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from featx.backbones import Encoder, EncoderSpec
from featx.catalogue.items import Catalogue
from featx.catalogue.own_columns import checked_headings, joined_headings
from featx.extraction.options import ExtractionOptions, ExtractionReport


def equivalent_command(
    source: str | Path | Iterable[str] | Catalogue,
    options: ExtractionOptions,
    store: Path | None,
    flags: Iterable[str] = (),
) -> str:
    """The `featx extract` command that does the same as a call from Python; a list of paths is one on stdin."""
    if isinstance(source, Catalogue):
        images, flags = source.root, source.flags
    else:
        images = str(source) if isinstance(source, str | Path) else "-"
    where = ["--store", str(store)] if store is not None else []
    return shlex.join(["featx", "extract", images, *flags, *options.to_flags(), *where])


def made_how(
    command: str,
    catalogue: Catalogue,
    options: ExtractionOptions,
    report: ExtractionReport,
    backbone: Encoder | None,
    before: dict[str, Any],
    *,
    scaled: bool,
) -> dict[str, object]:
    """The provenance of a store that was just written; without a backbone its parts stay what they were before."""
    spec = backbone.spec if backbone is not None else None
    return {
        "command": command,
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "source": catalogue.root,
        # Stores of featx 0.1.0 remember the last one only.
        "first_source": before.get("first_source") if "source" in before else catalogue.root,
        "label_source": catalogue.label_source,
        "product_source": catalogue.product_source,
        "device": report.device,
        "engine": report.engine or before.get("engine"),
        "decoding": "scaled" if scaled else "exact",
        "weights_file": (spec.weights_file if spec else "") or before.get("weights_file", ""),
        **_weights_files(spec, before),
        **layer_choice_of(report, before),
        "batch_size": report.batch_size,
        "views": options.views,
        "seed": options.seed,
        **({"images_per_second": round(report.images_per_second, 1)} if report.images_per_second else {}),
        "versions": {
            "python": platform.python_version(),
            **(spec.versions if spec else {}),
        },
    }


def layer_choice_of(report: ExtractionReport, before: Mapping[str, Any]) -> dict[str, object]:
    """Why the store has the layers that `--layer auto` took, if it did."""
    choice = report.layer_choice.to_dict() if report.layer_choice else before.get("layer_choice")
    return {"layer_choice": choice} if choice else {}


def headings_after(catalogue: Catalogue, before: dict[str, Any]) -> dict[str, str]:
    """The headings of the tables whose ids, products, labels and splits a store holds, after one more catalogue."""
    now = catalogue.items[0].headings if catalogue.items else {}
    same = before.get("source") == catalogue.root
    known = {} if same and now else checked_headings(before.get("headings"))
    return joined_headings(known, now)


def _weights_files(spec: EncoderSpec | None, before: dict[str, Any]) -> dict[str, object]:
    """Where the weights of each part of a joined backbone were read from, if a person named any."""
    files = spec.weights_files if spec else before.get("weights_files")
    return {"weights_files": dict(files)} if files else {}
