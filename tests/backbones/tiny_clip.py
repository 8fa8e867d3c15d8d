"""A network of open_clip that is small enough for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

TINY, WIDTH = "open_clip:tiny", 24


@pytest.fixture
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its name; open_clip knows it as long as the test runs, and the cache of its hub is empty."""
    open_clip = pytest.importorskip("open_clip")
    from huggingface_hub import constants
    from open_clip import factory

    config = {
        "embed_dim": WIDTH,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    folder = tmp_path_factory.mktemp("configs")
    (folder / "tiny.json").write_text(json.dumps(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr(factory, "_MODEL_CONFIG_PATHS", [*factory._MODEL_CONFIG_PATHS, Path(folder)])
        factory._rescan_model_configs()
        assert "tiny" in open_clip.list_models()
        yield TINY
    factory._MODEL_CONFIGS.pop("tiny")
    factory._rescan_model_configs()
