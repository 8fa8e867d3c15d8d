"""Thumbnails: as large as asked, never larger; a photo that is gone is none."""

from __future__ import annotations

import base64
import io

from PIL import Image

from featx.images.thumbnails import data_uri, square_thumbnail, thumbnail, thumbnail_uri


def test_a_thumbnail_fits_and_keeps_its_shape(tmp_path):
    Image.new("RGB", (400, 200), "red").save(tmp_path / "wide.jpg")
    assert thumbnail(tmp_path / "wide.jpg", 50).size == (50, 25)
    Image.new("RGB", (8, 4), "red").save(tmp_path / "small.png")
    assert thumbnail(tmp_path / "small.png", 50).size == (8, 4)


def test_a_square_shows_the_middle_of_the_photo(tmp_path):
    image = Image.new("RGB", (300, 100), "red")
    image.paste("blue", (100, 0, 200, 100))
    image.save(tmp_path / "wide.png")
    square = square_thumbnail(tmp_path / "wide.png", 20)
    assert square.size == (20, 20)
    assert square.getpixel((1, 10)) == square.getpixel((18, 10)) == (0, 0, 255)


def test_a_photo_that_cannot_be_read_has_no_thumbnail(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    for path in (tmp_path / "broken.jpg", tmp_path / "gone.jpg"):
        assert thumbnail(path, 20) is square_thumbnail(path, 20) is thumbnail_uri(path, 20) is None


def test_an_address_holds_the_picture_itself(tmp_path):
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    head, data = thumbnail_uri(tmp_path / "a.png", 16).split(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (16, 16)
    assert data_uri(b"x", "webp") == "data:image/webp;base64,eA=="
