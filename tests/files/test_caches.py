"""Arrays that can be computed again: whole or not there."""

from __future__ import annotations

import numpy as np
import pytest

from featx.files.caches import read_arrays, write_arrays

ARRAYS = {"numbers": np.arange(6.0).reshape(2, 3), "names": np.array(["a", "b"]), "word": "t-SNE"}


def test_what_was_kept_is_read_again(tmp_path):
    path = tmp_path / "new" / "kept.npz"
    write_arrays(path, ARRAYS)
    kept = read_arrays(path, "numbers", "names", "word")
    assert np.array_equal(kept["numbers"], ARRAYS["numbers"])
    assert kept["names"].tolist() == ["a", "b"]
    assert str(kept["word"]) == "t-SNE"
    assert [file.name for file in path.parent.iterdir()] == ["kept.npz"]


def test_a_damaged_cache_is_no_cache_wherever_the_damage_is(tmp_path):
    path = tmp_path / "kept.npz"
    write_arrays(path, ARRAYS)
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        assert read_arrays(path, "numbers", "names") is None
    for offset in range(0, len(whole), 2):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0xFF]) + whole[offset + 1 :])
        read_arrays(path, "numbers", "names")


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x93NUMPY\x01\x00"])
def test_a_file_of_another_kind_is_no_cache(tmp_path, content):
    path = tmp_path / "kept.npz"
    path.write_bytes(content)
    assert read_arrays(path, "numbers") is None


def test_a_cache_of_an_earlier_version_lacks_a_name_and_is_no_cache(tmp_path):
    write_arrays(tmp_path / "kept.npz", {"numbers": [1]})
    assert read_arrays(tmp_path / "kept.npz", "numbers", "digests") is None
    assert read_arrays(None, "numbers") is None
    assert read_arrays(tmp_path / "none.npz", "numbers") is None


def test_objects_are_neither_kept_nor_read(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_arrays(tmp_path / "kept.npz", {"objects": np.array([object()], dtype=object)})
    np.savez(tmp_path / "other.npz", objects=np.array([{}], dtype=object))
    assert read_arrays(tmp_path / "other.npz", "objects") is None
