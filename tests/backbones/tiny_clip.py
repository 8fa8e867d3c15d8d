"""A network of open_clip that is small enough for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

TINY, WIDTH = "open_clip:tiny", 24
# One whose texts are split by a file, as SigLIP's are.
TINY_SIGLIP, LENGTH = "open_clip:tiny-siglip", 8


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
    texts = {
        "context_length": LENGTH, "vocab_size": 40, "width": 32, "heads": 2, "layers": 2,
        "hf_tokenizer_name": "shop/tiny", "tokenizer_kwargs": {"clean": "canonicalize"},
        "no_causal_mask": True, "proj_bias": True, "pool_type": "last",
    }  # fmt: skip
    siglip = {**config, "custom_text": True, "text_cfg": texts}
    (folder / "tiny-siglip.json").write_text(json.dumps(siglip))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr(factory, "_MODEL_CONFIG_PATHS", [*factory._MODEL_CONFIG_PATHS, Path(folder)])
        factory._rescan_model_configs()
        assert "tiny" in open_clip.list_models()
        yield TINY
    for name in ("tiny", "tiny-siglip"):
        factory._MODEL_CONFIGS.pop(name)
    factory._rescan_model_configs()


WORDS = ["<pad>", "</s>", "<unk>", "red", "dress", "mug", "blue"]


def write_tokenizer(folder: Path, words: list[str] = WORDS) -> None:
    """A tokenizer of a few words that ends each text, in the two files in which publishers give theirs."""
    tokenizers = pytest.importorskip("tokenizers")
    numbers = {word: i for i, word in enumerate(words)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(numbers, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": {"content": "<pad>"}}))
