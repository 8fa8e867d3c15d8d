"""The graph in OpenVINO's own form, for programs that have OpenVINO and not ONNX Runtime."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from featx.backbones.engines.base import quiet_converter
from featx.backbones.engines.no_telemetry import import_without_telemetry
from featx.errors import FeatxError


def require_openvino() -> None:
    """Refuse in a sentence where the library is missing."""
    if find_spec("openvino") is None:
        raise FeatxError("extra-missing", "`--openvino` needs OpenVINO", "install it: pip install 'featx[openvino]'")


def write_openvino(model: Path, target: Path) -> None:
    """Write the graph of an .onnx file as `target` (.xml) and a .bin file beside it, in single precision."""
    openvino = import_without_telemetry("openvino")
    try:
        with quiet_converter():
            openvino.save_model(openvino.convert_model(model), target, compress_to_fp16=False)
    except RuntimeError as error:
        raise FeatxError(
            "bad-flag",
            "OpenVINO cannot run this classifier: it has no decision trees",
            "leave `--openvino` out, or train another classifier, such as `featx fit --clf svm`",
        ) from error
