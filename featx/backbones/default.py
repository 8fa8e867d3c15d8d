"""The backbone to use when none is named; chosen without importing torch and within seconds."""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from featx.backbones import weights
from featx.backbones.registry import family_of
from featx.errors import FeatxError
from featx.files.atomic import write_atomic
from featx.files.regular import read_json
from featx.workspace import Workspace

PREFERRED = weights.find_published("resnet50")
PATIENCE = 3.0
# A laptop that was offline yesterday may be online today, so a failure is remembered for one day.
_BELIEVED_SECONDS = 24 * 3600


def choose_backbone() -> tuple[str, str]:
    """A backbone's name, and one line on why it was chosen and how to get the other.

    resnet50 where its weights are here or can be downloaded; else the best that needs no download.
    """
    if (weights.weights_folder() / PREFERRED.file_name).is_file():
        return PREFERRED.backbone, f"{PREFERRED.backbone}: its weights are on this machine"
    why_not = "FEATX_OFFLINE is set" if weights.offline() else network_trouble(weights.source_url(PREFERRED.url))
    megabytes = f"{PREFERRED.size / 1e6:.0f} MB"
    if not why_not:
        host = urlsplit(weights.source_url(PREFERRED.url)).hostname
        instead = f"; without a download: --backbone {weights.fallback_backbone()}"
        return (
            PREFERRED.backbone,
            f"{PREFERRED.backbone}: its weights can be downloaded from {host} ({megabytes}, once){instead}",
        )
    spare = weights.fallback_backbone()
    what = "a baseline rather than a choice" if family_of(spare).is_baseline else "ships with featx"
    better = f"for {PREFERRED.backbone}: featx weights get {PREFERRED.backbone} ({megabytes})"
    return spare, f"{spare}: {what}. No weights for {PREFERRED.backbone} here, and {why_not}; {better}"


def backbone_at_hand() -> str:
    """The name of the best backbone that needs no download."""
    here = (weights.weights_folder() / PREFERRED.file_name).is_file()
    return PREFERRED.backbone if here else weights.fallback_backbone()


@cache
def network_trouble(source: str) -> str:
    """Why weights cannot be downloaded from there, "" if they can; tried once per process, daily after a failure."""
    noted = _noted(source)
    if noted is None:
        noted = weights.probe_url(PREFERRED.url, timeout=PATIENCE)
        if noted:
            _note(source, noted)
    return noted


def _stamp() -> Path:
    return Workspace.here().root / ".no-network.json"


def _noted(source: str) -> str | None:
    try:
        noted = read_json(_stamp())
        age = time.time() - float(noted["at"])
        fresh = noted["url"] == source and 0 <= age < _BELIEVED_SECONDS
        return str(noted["why"]) if fresh else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(source: str, why: str) -> None:
    stamp = _stamp()
    try:
        Workspace.here().make()
        write_atomic(stamp, (json.dumps({"url": source, "why": why, "at": time.time()}) + "\n").encode())
    except (OSError, FeatxError):  # commands that need the folder report it; here it only costs three more seconds
        return
