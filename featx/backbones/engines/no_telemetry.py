"""Libraries that would report how they are used, imported so that they cannot."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import Any


def import_without_telemetry(name: str) -> Any:
    """A library that runs or converts networks, without its telemetry.

    OpenVINO and NNCF bring `openvino_telemetry`, which asks nobody, writes into the home folder and calls a server from
    a process of its own; without it they do as well. A program that loaded it before featx did keeps it.
    """
    # So that importing it is an ImportError, as if it were not installed.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    library = import_module(name)
    if name == "onnxruntime":
        # Its builds for Windows record events.
        with suppress(AttributeError, RuntimeError):
            library.disable_telemetry_events()
    return library
