"""int8: a network whose convolutions compute with integers, calibrated on images that travel with featx.

The features must not depend on whose photos come first, so the same images serve everyone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.backbones.engines.base import quiet_converter
from featx.backbones.engines.conversion_cache import ConvertedNetwork
from featx.backbones.engines.int8_images import calibration_images
from featx.backbones.engines.no_telemetry import import_without_telemetry
from featx.backbones.engines.openvino_engine import opened, written
from featx.errors import FeatxError

if TYPE_CHECKING:
    from PIL import Image


# Averages, spreads and sums of maps are sensitive and cost next to nothing.
_IN_FLOAT = ["ReduceMean", "Subtract", "Multiply", "Divide", "Power", "Sqrt", "Maximum", "Clamp", "Concat"]


def needs_nncf() -> None:
    """Refuse in a sentence if the library that quantises is missing."""
    if find_spec("nncf") is None:
        raise FeatxError("extra-missing", "int8 needs nncf, which quantises networks", 'pip install "featx[int8]"')


def quantised(graph: ConvertedNetwork, prepare: Callable[[Image.Image], Any]) -> ConvertedNetwork:
    """The network with integers in its convolutions; takes some ten seconds."""
    needs_nncf()
    with quiet_converter():
        nncf = import_without_telemetry("nncf")
        logging.getLogger("nncf").setLevel(logging.ERROR)
        photos = [np.asarray(prepare(photo))[None] for photo in calibration_images()]
        network = nncf.quantize(
            opened(graph),
            nncf.Dataset(photos),
            subset_size=len(photos),
            preset=nncf.QuantizationPreset.MIXED,
            target_device=nncf.TargetDevice.CPU,
            ignored_scope=nncf.IgnoredScope(types=_IN_FLOAT, validate=False),
        )
    return written(network)
