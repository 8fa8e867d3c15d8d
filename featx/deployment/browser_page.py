"""A page that classifies in a browser: graph and ONNX Runtime are scripts beside it, so a double click opens it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from featx.backbones.weights.download import offline
from featx.backbones.weights.http import CutOff, NoAnswer, Refused, open_url
from featx.classifiers.columns.learning import ColumnsEncoder
from featx.deployment.browser_columns import learned_columns
from featx.deployment.model import contract_of
from featx.errors import FeatxError
from featx.files.atomic import write_atomic

PAGE = Path(__file__).parent / "browser"
VERSION = "1.30.0"
ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"
SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
REGISTRY = "https://registry.npmjs.org"
# A registry that sends more does not send this archive.
MOST_BYTES = 64 * 2**20
SCRIPT, WASM = "package/dist/ort.wasm.bundle.min.mjs", "package/dist/ort-wasm-simd-threaded.wasm"
EXPORTS = re.compile(r"export\{([^}]*)\};")


def write_page(folder: Path, graph: Path, golden: Path, expected: Path, encoder: ColumnsEncoder | None = None) -> None:
    """Write the page into a new folder, with a graph, the golden photos, and what makes numbers of their columns."""
    folder.mkdir()
    for file in PAGE.iterdir():
        shutil.copyfile(file, folder / file.name)
    script, wasm = _members(runtime_archive())
    (folder / "runtime.js").write_text(_as_plain_script(script), encoding="utf-8")
    (folder / "wasm.js").write_text(f'self.WASM = "{_base64(wasm)}";\n', encoding="ascii")
    (folder / "model.js").write_text(f'self.MODEL = "{_base64(graph.read_bytes())}";\n', encoding="ascii")
    contract = contract_of(onnx.load(graph))
    records = f"const CONTRACT = {_json(contract)};\nconst GOLDEN = {_json(_golden(golden, expected))};\n"
    (folder / "golden.js").write_text(records, encoding="utf-8")
    (folder / "learned.js").write_text(f"const LEARNED = {_json(learned_columns(encoder))};\n", encoding="utf-8")


def runtime_archive() -> bytes:
    """The package onnxruntime-web: kept in the cache folder, else from npm's registry; held to its SHA-512."""
    kept = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "featx" / ARCHIVE
    if kept.is_file() and _is_ours(data := kept.read_bytes()):
        return data
    registry = (os.environ.get("NPM_CONFIG_REGISTRY") or REGISTRY).rstrip("/")
    url = f"{registry}/onnxruntime-web/-/{ARCHIVE}"
    by_hand = f"run `npm pack onnxruntime-web@{VERSION}` elsewhere, and put the file at {kept}"
    if offline():
        raise FeatxError("extra-missing", f"`--browser` needs {ARCHIVE}, and `FEATX_OFFLINE` forbids it", by_hand)
    try:
        with open_url(urllib.request.Request(url), 10.0) as answer:
            data = answer.read(MOST_BYTES)
    except (NoAnswer, Refused, CutOff, OSError) as error:
        raise FeatxError("extra-missing", f"{url} cannot be fetched: {error}", by_hand) from error
    if not _is_ours(data):
        raise FeatxError("extra-missing", f"{url} is not the file that featx knows (SHA-512)", by_hand)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(kept, data)
    return data


def _is_ours(data: bytes) -> bool:
    return hashlib.sha512(data).hexdigest() == SHA512


def _members(archive: bytes) -> tuple[str, bytes]:
    """The script and the WebAssembly of the archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        script, wasm = (files.extractfile(name) for name in (SCRIPT, WASM))
        assert script is not None and wasm is not None
        return script.read().decode(), wasm.read()


def _as_plain_script(module: str) -> str:
    """A module as a script that names itself `ort`: browsers open no module from a folder."""
    plain, count = EXPORTS.subn(_as_global, module)
    assert count == 1
    plain = plain.replace("import.meta.url", "document.baseURI").partition("//# sourceMappingURL")[0]
    return f"(() => {{\n{plain}\n}})();\n"


def _as_global(exports: re.Match[str]) -> str:
    pairs = [pair.split(" as ") for pair in exports.group(1).split(",")]
    return "self.ort={" + ",".join(f"{public}:{own}" for own, public in pairs) + "};"


def _golden(folder: Path, expected: Path) -> list[dict[str, Any]]:
    """The golden photos with their answers."""
    with np.load(expected, allow_pickle=False) as file:
        names, labels, shares = file["files"].tolist(), file["label"].tolist(), file["probabilities"].tolist()
        rows = file["columns"].tolist() if "columns" in file else ["{}"] * len(names)
    return [
        {
            "name": name,
            "data": _base64((folder / name).read_bytes()),
            "columns": json.loads(columns),
            "label": label,
            "shares": row,
        }
        for name, columns, label, row in zip(names, rows, labels, shares, strict=True)
    ]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)
