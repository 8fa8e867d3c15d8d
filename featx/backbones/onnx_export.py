"""The network of an encoder as an ONNX model, for programs without torch."""

from __future__ import annotations

import numpy as np
from PIL import Image

from featx.backbones.base import Encoder


def network_as_onnx(encoder: Encoder) -> bytes:
    """The network from the bytes of prepared photos to their features, for any number of photos."""
    from featx.backbones.engines.base import example_photos
    from featx.backbones.engines.onnx_engine import onnx_bytes

    prepared = np.asarray(encoder.prepare(Image.new("RGB", (256, 256))))
    return onnx_bytes(encoder.graph(), example_photos(prepared.shape, prepared.dtype, 2))
