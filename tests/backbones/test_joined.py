"""Joined backbones: each block is what its part alone gives, at length 1."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from featx.backbones import Encoder, EncoderSpec, Fingerprint, open_backbone
from featx.backbones.joined import JoinedEncoder, KnownBlock
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError


def photos(n: int = 3) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (90, 70, 3), dtype=np.uint8)) for _ in range(n)]


class Sums(Encoder):
    """Means of the channels, times a factor; counts the photos it was shown."""

    def __init__(self, name: str, factor: float, decode_size: tuple[int, int] | None = None) -> None:
        self.factor, self.shown = factor, 0
        self.fingerprint = Fingerprint.from_dict({"backbone": name, "weights_sha256": name, "width": 3})
        self._spec = EncoderSpec(name, 3, decode_size=decode_size, engine="torch", parallel_calls=2)

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    def prepare(self, source):
        return np.asarray(source, dtype=np.float32)

    def features(self, batch):
        self.shown += len({photo.tobytes() for photo in batch})
        return np.stack([photo.mean((0, 1)) * self.factor for photo in batch])


def test_each_block_is_what_its_part_gives_alone_at_length_one():
    joined = open_backbone("builtin+colour+resnet18", weights="random")
    batch = [joined.prepare(photo) for photo in photos()]
    rows = joined.features(batch)
    for block, part in zip(joined.fingerprint.blocks, joined.parts, strict=True):
        alone = part.features([part.prepare(photo) for photo in photos()])
        np.testing.assert_allclose(rows[:, block.columns], unit_rows(alone), atol=1e-6)
    assert rows.shape == (3, joined.spec.width) and joined.spec.name == "builtin+colour+resnet18"


def test_the_fingerprint_is_those_of_the_parts_and_is_read_back():
    joined = open_backbone("builtin+colour")
    made = joined.fingerprint
    assert Fingerprint.from_dict(made.to_dict(), width=made.width) == made
    assert [block.name for block in made.blocks] == ["builtin", "colour"]
    # Rows of the built-in network have length 1 anyway, so its block is its own features.
    assert made.parts[0] == open_backbone("builtin").fingerprint
    assert made.parts[1].difference(open_backbone("colour").fingerprint, "classify") == "length"
    assert made.difference(open_backbone("builtin").fingerprint, "search") == "backbone"


def test_a_record_of_one_backbone_is_written_as_before():
    assert not {"parts", "length"} & open_backbone("colour").fingerprint.to_dict().keys()


@pytest.mark.parametrize("parts", ["x", [{"backbone": "a"}], [{"backbone": "a", "width": 2, "parts": []}]])
def test_damaged_parts_of_a_record_are_refused(parts):
    with pytest.raises(FeatxError) as caught:
        Fingerprint.from_dict({"backbone": "a+b", "width": 5, "parts": parts})
    assert caught.value.code == "store-broken"


def test_other_weights_of_one_part_keep_joined_features_apart():
    first = JoinedEncoder([Sums("a", 1), Sums("b", 1)]).fingerprint
    other = JoinedEncoder([Sums("a", 1), Sums("b2", 1)]).fingerprint
    assert first.difference(other, "append") == "backbone"


def test_photos_are_decoded_once_as_large_as_the_most_demanding_part_wants():
    small, large = Sums("a", 1, (100, 100)), Sums("b", 1, (300, 200))
    assert JoinedEncoder([small, large]).spec.decode_size == (300, 200)
    assert JoinedEncoder([small, Sums("c", 1)]).spec.decode_size is None


def test_a_known_block_is_taken_and_only_the_missing_part_computes():
    a, b = Sums("a", 1), Sums("b", 5)
    joined = JoinedEncoder([a, b])
    first, second, third = photos()
    known = np.array([0.6, 0.8, 0.0], dtype=np.float32)
    batch = [
        joined.prepare_missing(first, {0: known}),
        joined.prepare(second),
        joined.prepare_missing(third, {0: known}),
    ]
    assert isinstance(batch[0][0], KnownBlock)
    rows = joined.features(batch)
    assert (a.shown, b.shown) == (1, 3)
    np.testing.assert_array_equal(rows[[0, 2], :3], [known, known])
    np.testing.assert_allclose(rows[1], joined.features([joined.prepare(second)])[0])


def test_a_query_of_one_photo_gives_the_row_of_a_batch():
    joined = open_backbone("builtin+colour")
    batch = [joined.prepare(photo) for photo in photos()]
    np.testing.assert_allclose(joined.features(batch)[1:2], joined.features(batch[1:2]), atol=1e-5)


@pytest.mark.parametrize("name", ["builtin+", "colour+colour", "a+b+c+d+e"])
def test_names_that_join_nothing_are_refused(name):
    with pytest.raises(FeatxError) as caught:
        open_backbone(name)
    assert caught.value.code == "unknown-backbone" and "builtin+efficientnet_lite2" in caught.value.hint


def test_a_mistyped_part_is_recognised():
    with pytest.raises(FeatxError, match="no backbone called `resnet5O`"):
        open_backbone("builtin+resnet5O")


@pytest.mark.parametrize("flags", [{"weights": "x.pth"}, {"layer": "layer3"}, {"pool": "max"}])
def test_a_flag_that_does_not_say_which_part_it_is_for_is_refused(flags):
    with pytest.raises(FeatxError) as caught:
        open_backbone("builtin+resnet18", **flags)
    assert caught.value.code == "bad-flag"
