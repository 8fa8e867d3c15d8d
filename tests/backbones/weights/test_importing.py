"""A weights file that was brought in is known by its content, and a damaged one is refused."""

from __future__ import annotations

import pytest

from featx.backbones import weights
from featx.errors import FeatxError
from tests.backbones.weights.serving import BODY, NAME, SHA, left_over, put

KNOWN = [weights.PublishedWeights("net", "IMAGENET1K_V1", f"https://host/{NAME}", len(BODY))]


@pytest.mark.parametrize("name", [NAME, f"net-{SHA[:8]} (1).pth", "download.bin"])
def test_a_file_brought_in_is_known_by_its_content(folder, tmp_path, name):
    path = weights.add_weights(put(tmp_path, name, BODY), KNOWN)
    assert path == folder / NAME
    assert path.read_bytes() == BODY
    assert left_over(folder) == []


def test_a_file_of_another_publisher_is_kept_under_its_own_checked_name(folder, tmp_path):
    assert weights.add_weights(put(tmp_path, f"other-{SHA[:8]}.pth", BODY), []) == folder / f"other-{SHA[:8]}.pth"


def test_a_file_in_place_already_may_be_added_again(folder):
    path = put(folder, NAME, BODY)
    assert weights.add_weights(path, KNOWN) == path
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("name", [NAME, "other.pth"])
def test_a_damaged_file_is_not_brought_in(folder, tmp_path, name):
    with pytest.raises(FeatxError) as caught:
        weights.add_weights(put(tmp_path, name, BODY + b"!"), KNOWN)
    assert caught.value.code == "weights-broken"
    assert weights.weights_here() == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FeatxError) as caught:
        weights.add_weights(tmp_path / "none.pth", KNOWN)
    assert caught.value.code == "no-such-file"
