"""Opens a graph: a .onnx file with ONNX Runtime, a .xml file with OpenVINO. A file that changed is refused."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

# Settings of glibc's allocator, by their numbers in malloc.h: from which size an array gets pages of its own, and how
# many free bytes are kept. Once set they no longer adapt, so both end where they would have come to by themselves.
OWN_PAGES_FROM, KEPT_FREE = -3, -1


class Graph:
    """A graph that runs on the CPU: arrays by name in, arrays by name out; several threads may call it at once.

    `threads` is how many compute one batch; 0: all cores.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        for file in [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]:
            refuse_if_changed(path.parent, file.name)
        self._run, self.contract = (_openvino if path.suffix == ".xml" else _onnxruntime)(path, threads)

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for a batch."""
        outputs: dict[str, np.ndarray] = self._run(inputs)
        return outputs


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def manifest_of(folder: Path) -> dict[str, Any]:
    """What the folder holds; the program ends where the list is missing or damaged."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no JSON"
        sys.exit(f"{folder / 'manifest.json'} cannot be read: {why}; copy the whole folder again")
    return manifest


def refuse_if_changed(folder: Path, name: str) -> None:
    """End the program if a file of a deployment is not the one that was deployed."""
    files, file = manifest_of(folder)["files"], folder / name
    if name not in files:
        graphs = [own for own in files if own.endswith((".onnx", ".xml")) and "/" not in own]
        sys.exit(f"{file} is not part of this deployment, which has {' and '.join(graphs)}")
    if not file.is_file():
        sys.exit(f"{file} is missing; copy the whole folder again")
    with file.open("rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != files[name]:
            sys.exit(f"{file} is damaged: its SHA-256 is not the one in manifest.json; copy the folder again")


def _onnxruntime(path: Path, threads: int) -> tuple[Any, dict[str, Any]]:
    # Else it gives this machine a number and sends events home; two versions of it look for two names.
    os.environ.update(ORT_DISABLE_TELEMETRY="1", ORT_TELEMETRY_DISABLED="1")
    try:
        import onnxruntime  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        sys.exit(f"{path.name} needs ONNX Runtime: pip install -r {path.parent / 'requirements.txt'}")
    if sys.platform == "win32":
        onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    # Threads that wait in a busy loop would take the cores from those that read photos.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with freed_at_once():
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, inputs), strict=True))

    return run, json.loads(session.get_modelmeta().custom_metadata_map["featx"])


@contextmanager
def freed_at_once() -> Iterator[None]:
    """Give the memory of large arrays back once they are freed: opening a graph copies its weights more than once.

    The C library of most Linux systems keeps such memory, which pays later, when one batch follows another.
    """
    try:
        # Looked up in the process itself; only glibc has it.
        set_limit = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        yield
        return
    set_limit(OWN_PAGES_FROM, 2**16)
    try:
        yield
    finally:
        set_limit(OWN_PAGES_FROM, 2**25)
        set_limit(KEPT_FREE, 2**26)


def _openvino(path: Path, threads: int) -> tuple[Any, dict[str, Any]]:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would call a server
    try:
        import openvino  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        sys.exit(f"{path.name} needs OpenVINO: pip install openvino")
    network = openvino.Core().read_model(path)
    # Some processors would compute with half the digits.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    settings["PERFORMANCE_HINT"] = "THROUGHPUT" if threads == 1 else "LATENCY"
    if threads > 1:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = openvino.Core().compile_model(network, "CPU", settings)

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        # A request of its own for each thread.
        answers = compiled.create_infer_request().infer(inputs)
        return {output.get_any_name(): np.array(answers[output]) for output in compiled.outputs}

    return run, json.loads(network.get_rt_info(["framework", "featx"]).astype(str))
