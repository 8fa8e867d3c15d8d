"""A photo is a photo in whatever form a caller has it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.errors import FeatxError
from featx.images import PhotoLike, UnreadablePhoto, holds_a_photo, open_photo, read_photo
from featx.images.photos import name_of
from tests.conftest import photo


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return photo(tmp_path / "photo.png")


@pytest.fixture
def forms(path: Path) -> Iterator[dict[str, PhotoLike]]:
    """One photo in every form that a caller may have it in."""
    data = path.read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("photo.png", data)
    with path.open("rb") as file, Image.open(path) as image, zipfile.ZipFile(archive) as members:
        yield {
            "path": path,
            "name": str(path),
            "bytes": data,
            "bytearray": bytearray(data),
            "memoryview": memoryview(data),
            "file": file,
            "in memory": io.BytesIO(data),
            "in an archive": members.open("photo.png"),
            "image": image,
            "array": np.asarray(image),
        }


def test_every_form_of_a_photo_gives_the_same_pixels_and_every_encoded_one_the_same_digest(forms):
    photos = {form: read_photo(value) for form, value in forms.items()}
    assert len({photo.image.tobytes() for photo in photos.values()}) == 1
    assert len({photo.digest for form, photo in photos.items() if form not in ("image", "array")}) == 1
    assert photos["image"].digest == photos["array"].digest


def test_names_of_folders_and_features_are_no_photos_by_themselves(forms):
    assert [form for form, value in forms.items() if not holds_a_photo(value)] == ["path", "name"]
    assert not holds_a_photo(np.zeros((3, 4), np.float32))


def test_a_photo_is_called_by_the_file_it_came_from(forms, path):
    names = {form: name_of(value, "the photo") for form, value in forms.items()}
    assert {names[form] for form in ("path", "name", "file", "image")} == {str(path)}
    assert {names[form] for form in ("bytes", "in memory", "array")} == {"the photo"}


def test_a_file_that_the_caller_opened_stays_open(forms):
    read_photo(forms["file"])
    assert not forms["file"].closed


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3.5, "photo 7 is of type float"),
        (np.zeros((4, 4), float), "photo 7 is an array of float64"),
        (np.zeros((4, 4, 7), np.uint8), r"shape \(4, 4, 7\)"),
        (io.StringIO("no photo"), "photo 7 is opened for reading text"),
    ],
)
def test_what_is_no_photo_is_refused_in_words(value, words):
    with pytest.raises(FeatxError, match=words) as refused:
        open_photo(value, "photo 7")
    assert refused.value.hint


@pytest.mark.parametrize("value", [b"", b"<html>", io.BytesIO(b"GIF89a"), np.zeros((0, 4), np.uint8)])
def test_a_photo_without_pixels_is_named(value):
    with pytest.raises(UnreadablePhoto, match="photo 7"):
        open_photo(value, "photo 7").decode(None)


def test_a_file_that_was_read_before_is_not_called_empty(path):
    with path.open("rb") as file:
        read_photo(file)
        with pytest.raises(UnreadablePhoto, match=r"read to its end before: file\.seek\(0\)"):
            read_photo(file)
        file.seek(0)
        assert read_photo(file).image.size


def test_a_file_that_is_too_large_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr("featx.images.photos.MAX_BYTES", 10)
    file = io.BytesIO(b"\xff" * 100)
    with pytest.raises(UnreadablePhoto, match="too-large"):
        open_photo(file, "photo 7")
    assert file.tell() == 11
