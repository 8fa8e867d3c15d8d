"""A joined store: its blocks are those of its parts, and what another store holds already is not computed again."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import featx
from featx.backbones.builtin import BuiltinEncoder
from featx.backbones.colour import ColourEncoder
from featx.compute.vectors import unit_rows
from featx.embedding.reopen import reopen_backbone
from featx.errors import FeatxError
from featx.extraction import check_store
from featx.store import open_store
from tests.conftest import photo


@pytest.fixture
def counted(monkeypatch):
    """How many photos each part was shown."""
    seen = {"builtin": 0, "colour": 0}
    for name, kind in (("builtin", BuiltinEncoder), ("colour", ColourEncoder)):

        def prepare(self, source, name=name, real=kind.prepare):
            seen[name] += 1
            return real(self, source)

        monkeypatch.setattr(kind, "prepare", prepare)
    return seen


def test_adding_a_part_computes_only_that_part(workplace, folder, counted):
    alone = featx.extract(folder, backbone="builtin")
    photo(folder / "mugs" / "new.jpg", seed=99)
    counted.update(builtin=0, colour=0)
    joined = featx.extract(folder, backbone="builtin+colour")
    assert counted["colour"] == 13 and counted["builtin"] <= 2  # the new photo, and one to see the shape of a photo
    rows = {digest: joined.features[i] for i, digest in enumerate(joined.digests)}
    for digest, row in zip(alone.digests, alone.features, strict=True):
        np.testing.assert_allclose(rows[digest][: alone.width], row, atol=1e-6)


def test_what_was_copied_is_said_and_counted(workplace, folder):
    from featx.catalogue.reading import read_catalogue
    from featx.extraction import ExtractionOptions, run_extraction

    featx.extract(folder, backbone="colour")
    report = run_extraction(read_catalogue(folder), ExtractionOptions(backbone="builtin+colour"))
    assert [(copied.block, copied.photos) for copied in report.blocks_copied] == [("colour", 12)]
    assert report.to_dict()["blocks_copied"][0]["store"].endswith("colour.h5")
    assert report.computed == 12


def test_forced_photos_and_other_bytes_are_computed(workplace, folder, counted):
    featx.extract(folder, backbone="colour")
    counted.update(builtin=0, colour=0)
    featx.extract(folder, backbone="builtin+colour", force=True)
    assert counted["colour"] >= 12


def test_the_blocks_of_a_store_can_be_used_alone(workplace, folder):
    joined = featx.extract(folder, backbone="builtin+colour")
    colour = featx.extract(folder, backbone="colour", store="colour.h5")
    part = joined.with_blocks(["colour"])
    np.testing.assert_allclose(part.features, unit_rows(colour.features), atol=1e-6)
    assert part.width == colour.width and part.fingerprint.backbone == "colour"
    np.testing.assert_array_equal(part.features_map(), part.features)
    assert joined.with_blocks([]) is joined and joined.with_blocks(["colour", "builtin"]) is joined
    assert part.with_blocks(["colour"]) is part
    with pytest.raises(FeatxError, match="no block `color`") as caught:
        open_store(joined.path, ["color"])
    assert "colour" in caught.value.hint


def test_a_store_finds_the_blocks_that_a_classifier_was_trained_on(workplace, folder):
    joined = featx.extract(folder, backbone="builtin+colour")
    for names in (["colour"], ["builtin"]):
        part = joined.with_blocks(names)
        assert joined.suited_to(part.fingerprint).fingerprint == part.fingerprint
    turned = featx.extract(folder, backbone="colour+builtin", store="turned.h5")
    np.testing.assert_allclose(turned.suited_to(joined.fingerprint).features, joined.features, atol=1e-6)
    plain = featx.extract(folder, backbone="builtin", store="plain.h5")
    assert joined.suited_to(plain.fingerprint).fingerprint == plain.fingerprint


def test_a_part_of_a_store_opens_only_its_own_backbone(workplace, folder):
    joined = featx.extract(folder, backbone="builtin+colour")
    encoder = reopen_backbone(joined.with_blocks(["colour"]))
    assert encoder.spec.name == "colour" and encoder.spec.width == joined.with_blocks(["colour"]).width
    assert check_store(joined) == []


def test_a_joined_store_is_brought_up_to_date_like_any_other(workplace, folder):
    featx.extract(folder, backbone="builtin+colour")
    photo(folder / "mugs" / "new.jpg", seed=99)
    assert len(featx.extract(folder)) == 13


def test_a_joined_store_is_described_in_its_file(workplace, folder):
    h5py = pytest.importorskip("h5py")
    path = featx.extract(folder, backbone="builtin+colour").path
    with h5py.File(path) as file:
        made = json.loads(file.attrs["fingerprint"])
    assert [(part["backbone"], part["width"]) for part in made["parts"]] == [("builtin", 2176), ("colour", 688)]


def test_a_classifier_made_on_a_block_predicts_with_that_block_alone(workplace, folder, counted):
    from featx.prediction.predict import predict

    joined = featx.extract(folder, backbone="builtin+colour")
    model = featx.fit(joined.with_blocks(["colour"]), "lda", folds=2)
    assert model.fingerprint.backbone == "colour"
    new = photo(workplace / "new.jpg", seed=5)
    counted.update(builtin=0, colour=0)
    (answer,) = predict([str(new)], model, store=joined)
    assert answer.label in model.classes and (counted["builtin"], counted["colour"]) == (0, 1)


def test_look_alikes_by_a_block_are_those_of_its_part_alone(workplace, folder):
    joined = featx.extract(folder, backbone="builtin+colour")
    colour = featx.extract(folder, backbone="colour", store="colour.h5")
    query = joined.ids[0]
    by_block = featx.similar(query, 3, store=joined.path, blocks=["colour"], copies=True)
    alone = featx.similar(query, 3, store=colour.path, copies=True)
    assert [(neighbour.item_id, round(neighbour.similarity, 4)) for neighbour in by_block] == [
        (neighbour.item_id, round(neighbour.similarity, 4)) for neighbour in alone
    ]
    new = shutil.copy(joined.paths[0], workplace / "same.jpg")
    assert len(featx.similar(new, 3, store=joined.path, blocks=["colour"], copies=True)) == 3


def test_photos_to_be_decoded_exactly_take_no_block_of_scaled_ones(workplace, folder, counted):
    featx.extract(folder, backbone="builtin")
    counted.update(builtin=0, colour=0)
    featx.extract(folder, backbone="builtin+colour", exact_decode=True)
    assert counted["builtin"] >= 12
