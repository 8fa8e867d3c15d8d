"""open_clip's networks: photos and texts in one space, weights from a file alone, and nothing fetched."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.backbones import open_backbone
from featx.backbones.adding import add_from
from featx.backbones.open_clip_networks import CONFIG, KnownNetwork
from featx.errors import FeatxError
from tests.backbones.tiny_clip import TINY, TINY_SIGLIP, WIDTH, WORDS, tiny_clip, write_tokenizer
from tests.conftest import Run

__all__ = ["tiny_clip"]
pytestmark = pytest.mark.usefixtures("tiny_clip")


def photos(count: int) -> list[Image.Image]:
    values = np.random.default_rng(5).integers(0, 256, (count, 50, 70, 3), dtype=np.uint8)
    return [Image.fromarray(photo) for photo in values]


def test_a_photo_alone_and_among_others_has_the_same_features():
    encoder = open_backbone(TINY, weights="random")
    prepared = [encoder.prepare(photo) for photo in photos(4)]
    together = encoder.features(prepared)
    assert together.shape == (4, WIDTH) and encoder.spec.width == WIDTH
    np.testing.assert_allclose(encoder.features(prepared[2:3])[0], together[2], atol=1e-5)


def test_photos_and_texts_come_out_as_open_clip_has_them():
    import open_clip
    import torch

    encoder = open_backbone(TINY, weights="random")
    whole = encoder.whole  # type: ignore[attr-defined]
    form = open_clip.transform.PreprocessCfg(size=32)
    transform = open_clip.transform.image_transform_v2(form, is_train=False)
    photo = photos(1)[0]
    with torch.inference_mode():
        theirs = whole.encode_image(transform(photo)[None]).numpy()
        words = whole.encode_text(open_clip.get_tokenizer("tiny")(["red dress"]), normalize=True).numpy()
    ours = encoder.features([encoder.prepare(photo)])
    # A few pixels of a byte differ by one step of rounding.
    assert (ours * theirs).sum() / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.9999
    np.testing.assert_allclose(encoder.text_features(["red dress"]), words, atol=1e-6)


def test_a_file_gives_both_networks_their_weights_and_the_fingerprint_its_digest(tmp_path):
    from safetensors.torch import save_file

    whole = KnownNetwork.of(TINY).build()
    save_file({name: tensor.contiguous() for name, tensor in whole.state_dict().items()}, tmp_path / "mine.safetensors")
    encoder = open_backbone(TINY, weights=tmp_path / "mine.safetensors")
    assert encoder.fingerprint.weights == "file mine.safetensors" and len(encoder.fingerprint.weights_sha256) == 64
    other = open_backbone(TINY, weights="random")
    assert abs(encoder.text_features(["mug"]) - other.text_features(["mug"])).max() > 1e-3


def test_a_file_of_another_network_is_refused_by_the_tensors_it_lacks(tmp_path):
    import torch
    from safetensors.torch import save_file

    save_file({"visual.proj": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(FeatxError, match=r"does not hold weights of open_clip:tiny") as refused:
        open_backbone(TINY, weights=tmp_path / "other.safetensors")
    assert refused.value.code == "weights-misfit"


def test_without_weights_the_error_names_every_place_and_nothing_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATX_WEIGHTS_PATH", str(tmp_path))
    monkeypatch.setattr("open_clip.pretrained.download_pretrained", lambda *_, **__: pytest.fail("fetched"))
    with pytest.raises(FeatxError, match=r"featx does not fetch them") as refused:
        open_backbone("open_clip:ViT-B-32")
    assert refused.value.code == "weights-missing" and "--weights FILE" in refused.value.hint
    assert str(tmp_path) in refused.value.message and "open_clip_model.safetensors" in refused.value.message


def test_weights_of_the_other_activation_are_not_offered():
    plain, quick = (KnownNetwork.of(f"open_clip:{name}") for name in ("ViT-B-32", "ViT-B-32-quickgelu"))
    assert "openai" in quick.tags and "openai" not in plain.tags and "laion2b_s34b_b79k" in plain.tags


@pytest.mark.parametrize("name", ["tiny", "ViT-S-32-alt", "coca_base"])
def test_a_network_is_built_as_open_clip_builds_it_and_says_nothing(name, monkeypatch):
    import open_clip
    import torch

    records = []
    with torch.device("meta"):
        theirs = open_clip.create_model(name, device="meta")
        monkeypatch.setattr(logging.Logger, "callHandlers", lambda self, record: records.append(record))
        mine = KnownNetwork.of(f"open_clip:{name}").build()
    shapes = [{key: value.shape for key, value in whole.state_dict().items()} for whole in (mine, theirs)]
    assert type(mine) is type(theirs) and shapes[0] == shapes[1] and not records


def test_a_file_named_as_the_network_is_found_on_the_path_of_weights(tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("FEATX_WEIGHTS_PATH", str(tmp_path))
    torch.save(KnownNetwork.of(TINY).build().state_dict(), tmp_path / "tiny.pth")
    assert open_backbone(TINY).spec.weights_file == str(tmp_path / "tiny.pth")


def test_photos_are_prepared_as_the_weights_want_them(tmp_path):
    clip, siglip = (KnownNetwork.of(f"open_clip:{name}").photo_form(None) for name in ("ViT-B-32", "ViT-B-16-SigLIP"))
    assert str(clip).startswith("ImageClassification( crop_size=[224] resize_size=[224] mean=[0.48145466,")
    assert str(siglip).startswith("Squeezed( side=224 mean=[0.5, 0.5, 0.5]")
    wide = Image.new("RGB", (90, 30))
    assert siglip(wide).shape == clip(wide).shape == (224, 224, 3)
    wanted = {"preprocess_cfg": {"mean": [0.1] * 3, "std": [0.2] * 3, "resize_mode": "squash", "size": [40, 40]}}
    (tmp_path / CONFIG).write_text(json.dumps(wanted))
    beside = KnownNetwork.of("open_clip:ViT-B-32").photo_form(tmp_path / "any.safetensors")
    assert str(beside).startswith("Squeezed( side=40 mean=[0.1, 0.1, 0.1]")
    (tmp_path / CONFIG).write_text("[]")
    with pytest.raises(FeatxError, match="does not say how its weights want a photo"):
        KnownNetwork.of("open_clip:ViT-B-32").photo_form(tmp_path / "any.safetensors")


def test_weights_that_want_another_form_than_most_are_known_by_their_path():
    known = KnownNetwork.of("open_clip:ViT-L-14")
    cached = Path("models--laion--CLIP-ViT-L-14-laion2B-s32B-b82K/snapshots/a/open_clip_model.safetensors")
    assert "mean=[0.5, 0.5, 0.5]" in str(known.photo_form(cached))
    assert "mean=[0.48145466" in str(known.photo_form(Path("mine.safetensors")))


def test_open_clip_is_listed_by_a_pattern_and_a_mistyped_name_leads_there(featx: Run):
    rows = [json.loads(line) for line in featx("backbones", "open_clip", "vit-b-32", "--json").stdout.splitlines()]
    assert {"open_clip:ViT-B-32", "open_clip:ViT-B-32-quickgelu"} <= {row["name"] for row in rows}
    assert all("ViT-B-32" in row["name"] and row["width"] for row in rows)
    with pytest.raises(FeatxError, match="no network called `ViT-B-33`") as refused:
        open_backbone("open_clip:ViT-B-33")
    assert "ViT-B-32" in refused.value.hint


def test_a_network_whose_parts_would_have_to_be_fetched_is_refused():
    with pytest.raises(FeatxError, match="transformers, which would have to fetch it"):
        open_backbone("open_clip:roberta-ViT-B-32", weights="random")
    with pytest.raises(FeatxError, match="featx does not fetch it") as refused:
        KnownNetwork.of("open_clip:ViT-B-16-SigLIP").tokenizer()
    assert "tokenizer_config.json of timm/ViT-B-16-SigLIP" in refused.value.hint


@pytest.fixture
def siglip(tmp_path: Path) -> Path:
    """The weights of a network whose texts are split by a file, and that file beside them."""
    from safetensors.torch import save_file

    whole = KnownNetwork.of(TINY_SIGLIP).build()
    folder = tmp_path / "siglip"
    write_tokenizer(folder)
    tensors = {name: tensor.contiguous().clone() for name, tensor in whole.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    return folder / "open_clip_model.safetensors"


def test_texts_are_split_by_the_file_beside_the_weights(siglip):
    import torch

    encoder = open_backbone(TINY_SIGLIP, weights=siglip)
    numbers = torch.tensor([[3, 4, 1, 0, 0, 0, 0, 0], [5] * 7 + [1]])
    with torch.inference_mode():
        theirs = encoder.whole.encode_text(numbers, normalize=True).numpy()  # type: ignore[attr-defined]
    np.testing.assert_allclose(encoder.text_features(["Red, DRESS!", "mug " * 20]), theirs, atol=1e-6)


def test_a_tokenizer_that_is_damaged_or_of_another_network_is_refused_in_a_sentence(siglip):
    beside, config = siglip.with_name("tokenizer.json"), siglip.with_name("tokenizer_config.json")
    write_tokenizer(siglip.parent, [*WORDS, *(f"w{i}" for i in range(90))])
    with pytest.raises(FeatxError, match="more pieces of texts than the network"):
        open_backbone(TINY_SIGLIP, weights=siglip).text_features(["w80"])
    for file, content, code in ((config, "{}", "weights-broken"), (beside, "{]", "weights-broken")):
        file.write_text(content)
        with pytest.raises(FeatxError) as refused:
            open_backbone(TINY_SIGLIP, weights=siglip).text_features(["red"])
        assert refused.value.code == code and "both in one folder" in refused.value.hint
    config.unlink()
    with pytest.raises(FeatxError, match="with what short texts are filled"):
        open_backbone(TINY_SIGLIP, weights=siglip).text_features(["red"])


def test_added_weights_bring_what_stands_beside_them_and_need_no_flag_afterwards(siglip, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("featx.backbones.weights.importing.published_weights", list)
    monkeypatch.delenv("FEATX_WEIGHTS_PATH", raising=False)
    wanted = {"preprocess_cfg": {"mean": [0.1] * 3, "std": [0.2] * 3, "resize_mode": "squash", "size": [32, 32]}}
    siglip.with_name(CONFIG).write_text(json.dumps(wanted))
    with pytest.raises(FeatxError, match="does not hold weights of open_clip:tiny"):
        add_from(str(siglip), TINY)
    (added,) = add_from(str(siglip), TINY_SIGLIP)
    assert added.backbone == TINY_SIGLIP and added.file.name.startswith("open_clip-tiny-siglip-")
    before = open_backbone(TINY_SIGLIP, weights=siglip).text_features(["red"])
    shutil.rmtree(siglip.parent)
    encoder = open_backbone(TINY_SIGLIP)
    np.testing.assert_array_equal(encoder.text_features(["red"]), before)
    assert "mean=[0.1" in encoder.fingerprint.preprocessing


def test_other_backbones_refuse_texts_in_a_sentence():
    with pytest.raises(FeatxError, match="`colour` backbone knows no texts"):
        open_backbone("colour").text_features(["red"])


def test_without_open_clip_the_command_that_installs_it_is_named(featx: Run, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    ran = featx("backbones", "open_clip")
    assert (ran.returncode, 'pip install "featx[clip]"' in ran.stderr) == (4, True)
