"""Libraries that would report how they are used, imported so that they cannot."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any


def import_without_telemetry(name: str) -> Any:
    """A library that runs or converts networks, without its telemetry.

    OpenVINO and NNCF bring `openvino_telemetry`, which asks nobody, writes into the home folder and calls a server from
    a process of its own; without it they do as well. ONNX Runtime gives the machine a number as soon as it is imported,
    keeps it in the home folder, and sends events with it. A program that loaded either before featx did keeps them.
    """
    # So that importing it is an ImportError, as if it were not installed.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    # Two versions of ONNX Runtime look for two names.
    os.environ.update(ORT_DISABLE_TELEMETRY="1", ORT_TELEMETRY_DISABLED="1")
    library = import_module(name)
    if name == "onnxruntime":
        # Its builds for Windows heed this alone.
        with suppress(AttributeError, RuntimeError):
            library.disable_telemetry_events()
    return library
