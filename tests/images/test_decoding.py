"""What the photo reader promises: the right picture, or a named reason, for any bytes."""

from __future__ import annotations

import io
import os
import pickle
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from featx.catalogue.suffixes import IMAGE_SUFFIXES
from featx.images import (
    UnreadablePhoto,
    colours,
    decode_photo,
    digest_of,
    formats,
    read_bytes,
    read_photo,
    reading,
    upright_rgb,
)
from tests.images import odd_images

# pytest undoes the reader's own filter for what Pillow says about odd metadata.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]

READABLE = odd_images.readable()
UNREADABLE = odd_images.unreadable()
REASONS = {"missing", "unreadable", "truncated", "not-an-image", "too-large"}


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode_photo(data)).astype(int)


def furthest(image: np.ndarray, other: np.ndarray) -> int:
    assert image.shape == other.shape
    return int(np.abs(image - other).max())


SCENE = np.asarray(odd_images.scene()).astype(int)


@pytest.mark.parametrize("name", sorted(READABLE))
def test_every_format_and_mode_comes_out_as_a_plain_rgb_picture(name):
    image = decode_photo(READABLE[name], name)
    assert image.mode == "RGB"
    image.load()
    assert Path(name).suffix in IMAGE_SUFFIXES


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("rgb.png", 0),
        ("animated.png", 0),
        ("lossless.webp", None),
        ("rgb.bmp", 0),
        ("rgb.tif", 0),
        ("lzw.tif", 0),
        ("deflate.tif", 0),
        ("jpeg.tif", 12),
        ("cmyk.tif", 1),
        ("baseline.jpg", 16),
        ("progressive.jpg", 16),
        ("cmyk.jpg", 12),
        ("mpo.jpg", 16),
        ("lossy.webp", 16),
        ("animated.webp", 16),
        ("animated.gif", 40),
        ("plain.avif", 16),
        ("photo.heic", 24),
    ],
)
def test_the_first_frame_shows_the_colours_that_were_stored(name, tolerance):
    if name not in READABLE:
        pytest.skip("pillow-heif is not installed")
    if tolerance is not None:
        assert furthest(pixels(READABLE[name]), SCENE) <= tolerance


@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_every_odd_file_is_refused_with_its_reason_and_its_name(name):
    data, reason = UNREADABLE[name]
    with pytest.raises(UnreadablePhoto) as refused:
        decode_photo(data, f"shop/{name}")
    assert (refused.value.path, refused.value.reason) == (f"shop/{name}", reason)
    assert str(refused.value).startswith(f"shop/{name}: {reason} (")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.jpg", "empty"),
        ("html.jpg", "HTML"),
        ("pdf.jpg", "PDF"),
        ("zip.jpg", "zip"),
        ("text.png", "text"),
        ("zeros.jpg", "zero bytes"),
        ("photoshop.jpg", "Photoshop"),
        ("comment.gif", "GIF comments"),
        ("directory.tif", "5,000,000"),
    ],
)
def test_the_reason_says_what_the_file_is_instead(name, words):
    with pytest.raises(UnreadablePhoto, match=words):
        decode_photo(UNREADABLE[name][0])


# --- opening ---------------------------------------------------------------------------------------------------------


def test_a_photo_read_from_disk_carries_the_digest_of_its_bytes(tmp_path):
    path = tmp_path / "näme 'x'.JPG"
    path.write_bytes(READABLE["baseline.jpg"])
    photo = read_photo(path)
    assert photo.digest == digest_of(READABLE["baseline.jpg"])
    assert photo.image.size == (48, 32)


def refusal(path: Path | str) -> UnreadablePhoto:
    with pytest.raises(UnreadablePhoto) as refused:
        read_bytes(path)
    assert refused.value.path == str(path)
    return refused.value


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_called_jpg_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    refusals: list[UnreadablePhoto] = []
    reader = threading.Thread(target=lambda: refusals.append(refusal(tmp_path / "pipe.jpg")), daemon=True)
    reader.start()
    reader.join(5)
    assert refusals and refusals[0].reason == "not-an-image" and "pipe" in refusals[0].detail


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_link_to_an_endless_device_is_refused(tmp_path):
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    refused = refusal(tmp_path / "endless.jpg")
    assert refused.reason == "not-an-image" and "device" in refused.detail


def test_what_is_not_there_is_called_missing(tmp_path):
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("none.jpg", "dangling.jpg", "file/x.jpg", "x" * 300 + ".jpg", "nul\0.jpg"):
        assert refusal(f"{tmp_path}/{name}").reason == "missing"


def test_a_folder_called_jpg_and_a_link_circle_are_refused(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    assert refusal(tmp_path / "folder.jpg").reason == "not-an-image"
    assert refusal(tmp_path / "circle.jpg").reason == "unreadable"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_one_may_not_read_is_unreadable(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "secret.jpg").chmod(0)
    assert "permission" in refusal(tmp_path / "secret.jpg").detail


def test_a_huge_file_is_refused_without_being_read(tmp_path, monkeypatch):
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(reading.MAX_BYTES + 1)
    monkeypatch.setattr(reading, "read_up_to", lambda *_: pytest.fail("the file was read"))
    assert refusal(tmp_path / "huge.jpg").reason == "too-large"


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, change):
    path = tmp_path / "busy.jpg"
    path.write_bytes(b"a" * 1000)
    os.utime(path, ns=(1, 1))
    read = reading.read_up_to

    def read_and_change(handle: int, most: int) -> bytes:
        if change == "shrink":
            path.write_bytes(b"b" * 10)
        data = read(handle, most)
        if change != "shrink":
            path.write_bytes(b"b" * (2000 if change == "grow" else 1000))
        return data

    monkeypatch.setattr(reading, "read_up_to", read_and_change)
    refused = refusal(path)
    assert refused.reason == "unreadable" and "changed" in refused.detail


# --- pixels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_all_eight_orientations_give_the_same_upright_picture(form):
    for orientation in range(1, 9):
        turned = pixels(odd_images.with_orientation(orientation, form, odd_images.scene()))
        assert furthest(turned, SCENE) <= (12 if form in ("JPEG", "AVIF") else 0), orientation


def test_broken_orientation_data_never_costs_the_photo():
    good = odd_images.with_orientation(6, "JPEG", odd_images.scene())
    start = good.index(b"Exif\0\0") + 6
    for junk in (b"\xff" * 8, b"II*\0\xff\xff\xff\x7f", bytes(8)):
        assert decode_photo(good[:start] + junk + good[start + 8 :]).size == (32, 48)


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    values = np.array([[0, 128, 257, 10_000, 32_768, 65_407, 65_535]], dtype=np.uint16)
    for data in (
        odd_images.png(values, depth=16, colour=0),
        odd_images.encode(Image.fromarray(values), "TIFF"),
        odd_images.encode(Image.fromarray(values.astype(np.int32)), "TIFF"),
        odd_images.encode(Image.fromarray((values / 65_535).astype(np.float32)), "TIFF"),
    ):
        assert pixels(data)[0, :, 0].tolist() == [0, 0, 1, 39, 128, 255, 255]


def test_sixteen_bit_colour_is_scaled():
    row = np.array([[0, 32_768, 65_535, 10_000, 257, 60_000]], dtype=np.uint16)
    assert furthest(pixels(odd_images.png(row, depth=16, colour=2)).reshape(1, 6), row // 257) <= 1


def test_cmyk_is_not_inverted_and_ink_free_paper_is_white():
    inks = {(0, 0, 0, 0): (255, 255, 255), (255, 0, 0, 0): (0, 255, 255), (0, 0, 0, 255): (0, 0, 0)}
    inks[(0, 255, 255, 0)] = (255, 0, 0)
    for ink, seen in inks.items():
        for form, options in (("JPEG", {"quality": 95}), ("TIFF", {})):
            stored = odd_images.encode(Image.new("CMYK", (16, 16), ink), form, **options)
            assert furthest(pixels(stored)[8, 8], np.array(seen)) <= 4


def test_adobe_jpegs_with_transformed_inks_show_the_right_colours():
    stored = bytearray(odd_images.encode(Image.new("CMYK", (16, 16), (0, 200, 200, 0)), "JPEG", quality=95))
    assert b"Adobe" in stored
    assert furthest(pixels(bytes(stored))[8, 8], np.array((255, 55, 55))) <= 4


def test_cmyk_with_a_profile_is_converted_by_the_profile():
    profile = odd_images.cmyk_profile()
    for form in ("JPEG", "TIFF"):
        cyan = odd_images.encode(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), form, icc_profile=profile)
        assert furthest(pixels(cyan)[8, 8], np.array((255, 0, 0))) <= 30
        blank = odd_images.encode(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), form, icc_profile=profile)
        assert furthest(pixels(blank)[8, 8], np.array((255, 255, 255))) <= 2


@pytest.mark.parametrize("columns", [odd_images.ADOBE_RGB, odd_images.DISPLAY_P3])
def test_wide_profiles_make_colours_stronger_and_leave_greys(columns):
    profile = odd_images.rgb_profile(columns)
    red = pixels(odd_images.encode(Image.new("RGB", (4, 4), (180, 80, 60)), "PNG", icc_profile=profile))[0, 0]
    assert red[0] > 188 and red[1] < 80
    grey = pixels(odd_images.encode(Image.new("RGB", (4, 4), (128, 128, 128)), "PNG", icc_profile=profile))[0, 0]
    assert furthest(grey, np.array((128, 128, 128))) <= 3


def test_a_palette_is_converted_by_its_profile_as_well():
    profile = odd_images.rgb_profile(odd_images.ADOBE_RGB)
    flat = Image.new("RGB", (4, 4), (180, 80, 60))
    direct = pixels(odd_images.encode(flat, "PNG", icc_profile=profile))
    assert furthest(pixels(odd_images.encode(flat.quantize(4), "PNG", icc_profile=profile)), direct) <= 1


def test_an_srgb_profile_changes_no_pixel():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert furthest(pixels(odd_images.encode(odd_images.scene(), "PNG", icc_profile=profile)), SCENE) == 0


def test_a_grey_profile_sets_the_mid_tones():
    stored = odd_images.encode(Image.new("L", (4, 4), 128), "PNG", icc_profile=odd_images.grey_profile(1.0))
    assert furthest(pixels(stored)[0, 0], np.array((188, 188, 188))) <= 2


@pytest.mark.parametrize(
    "profile",
    [b"junk", bytes(200), odd_images.rgb_profile(odd_images.ADOBE_RGB)[:200], odd_images.cmyk_profile()],
    ids=["junk", "zeros", "cut", "of other inks"],
)
def test_a_broken_profile_is_ignored(profile):
    assert furthest(pixels(odd_images.encode(odd_images.scene(), "PNG", icc_profile=profile)), SCENE) == 0


def half_clear(mode: str) -> bytes:
    """Black pixels: the left one clear, the right one solid."""
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    return odd_images.encode(image.convert(mode), "PNG")


def transparent_colour(values: list[int], depth: int, colour: int, clear: tuple[int, ...]) -> bytes:
    mark = (b"tRNS", b"".join(part.to_bytes(2, "big") for part in clear))
    return odd_images.png(np.array([values]), depth=depth, colour=colour, extra=(mark,))


@pytest.mark.parametrize(
    "data",
    [
        half_clear("RGBA"),
        half_clear("LA"),
        odd_images.encode(Image.frombytes("P", (2, 1), b"\0\1"), "PNG", transparency=0),
        odd_images.png(np.array([[0, 1]]), depth=8, colour=3, extra=((b"PLTE", bytes(6)), (b"tRNS", b"\x00\xff"))),
        transparent_colour([7, 0], 8, 0, (7,)),
        transparent_colour([1, 0], 1, 0, (1,)),
        transparent_colour([1, 0], 2, 0, (1,)),
        transparent_colour([5, 0], 4, 0, (5,)),
        transparent_colour([700, 0], 16, 0, (700,)),
        transparent_colour([7, 8, 9, 0, 0, 0], 8, 2, (7, 8, 9)),
        transparent_colour([7000, 8000, 9000, 0, 0, 0], 16, 2, (7000, 8000, 9000)),
        odd_images.png(np.array([[0, 0, 0, 65_535]]), depth=16, colour=4),
        odd_images.encode(Image.frombytes("P", (2, 1), b"\0\1"), "GIF", transparency=0),
        odd_images.encode(Image.frombytes("RGBA", (2, 1), b"\0\0\0\0\0\0\0\xff"), "WEBP", lossless=True, exact=True),
        odd_images.encode(Image.frombytes("RGBA", (2, 1), b"\0\0\0\0\0\0\0\xff"), "TIFF"),
        odd_images.encode(Image.frombytes("LA", (2, 1), b"\0\0\0\xff"), "TIFF"),
    ],
)
def test_transparent_parts_become_white_and_solid_ones_stay(data):
    row = pixels(data)[0]
    assert row[0].tolist() == [255, 255, 255]
    assert row[1].max() <= 5


def test_every_in_memory_mode_with_opacity_lands_on_white():
    for mode in ("La", "RGBa", "PA"):
        clear = upright_rgb(Image.new(mode, (2, 1)))
        assert (clear.mode, clear.getpixel((0, 0))) == ("RGB", (255, 255, 255)), mode


def test_half_clear_pixels_are_mixed_with_white():
    assert pixels(odd_images.encode(Image.new("RGBA", (1, 1), (0, 0, 0, 128)), "PNG"))[0, 0].tolist() == [127] * 3


def test_a_jpeg_can_be_drafted_smaller_but_never_below_the_asked_size():
    data = odd_images.with_orientation(6, "JPEG", odd_images.scene(480, 320))
    whole, draft = decode_photo(data), decode_photo(data, draft_size=(120, 70))
    assert whole.size == (480, 320) and draft.size == (120, 80)
    near = np.asarray(whole.resize((120, 80), Image.Resampling.BOX)).astype(int)
    assert np.abs(near - np.asarray(draft)).mean() < 3
    assert decode_photo(READABLE["rgb.png"], draft_size=(4, 4)).size == (48, 32)
    with pytest.raises(ValueError, match="draft_size"):
        decode_photo(data, draft_size=(0, 5))


def test_a_picture_in_memory_is_made_upright_and_white_like_one_from_a_file():
    stored = odd_images.with_orientation(8, "PNG", odd_images.scene())
    opened = Image.open(io.BytesIO(stored))
    assert furthest(np.asarray(upright_rgb(opened)).astype(int), SCENE) == 0
    assert upright_rgb(Image.new("RGBA", (1, 1))).getpixel((0, 0)) == (255, 255, 255)
    assert opened.size == (32, 48)


# --- limits and neighbours -------------------------------------------------------------------------------------------


def test_a_jpeg_of_two_hundred_scans_is_still_read():
    assert decode_photo(odd_images.jpeg_of_scans(200)).size == (48, 32)
    with pytest.raises(UnreadablePhoto, match="scans"):
        decode_photo(odd_images.jpeg_of_scans(201))


def test_scan_marks_in_an_appended_video_do_not_count():
    assert decode_photo(READABLE["progressive.jpg"] + b"\xff\xda" * 5000).size == (48, 32)


def test_bombs_are_refused_before_any_pixel_is_decoded(monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoding began"))
    for name in ("bomb.jpg", "bomb.png", "bomb.gif", "bomb.webp", "strip.jpg", "scans.jpg"):
        with pytest.raises(UnreadablePhoto, match="too-large"):
            decode_photo(UNREADABLE[name][0])


def test_a_cut_photo_is_refused_even_when_another_library_allows_half_pictures(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(UnreadablePhoto, match="truncated"):
        decode_photo(UNREADABLE["cut.jpg"][0])


def test_any_surprise_in_the_decoder_still_names_the_file(monkeypatch):
    for surprise, reason in ((KeyError("odd"), "unreadable"), (MemoryError(), "too-large")):

        def fail(*_: object, error: Exception = surprise, **__: object) -> None:
            raise error

        monkeypatch.setattr(Image, "open", fail)
        with pytest.raises(UnreadablePhoto) as refused:
            decode_photo(READABLE["baseline.jpg"], "x.jpg")
        assert (refused.value.path, refused.value.reason) == ("x.jpg", reason)


def test_heic_without_its_decoder_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    formats.register_heic.cache_clear()
    with pytest.raises(UnreadablePhoto, match=re.escape("featx[heic]")):
        decode_photo(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50))
    formats.register_heic.cache_clear()


def test_a_refusal_survives_the_way_between_processes():
    refused = pickle.loads(pickle.dumps(UnreadablePhoto("a.jpg", "truncated", "why")))
    assert (refused.path, refused.reason, refused.detail) == ("a.jpg", "truncated", "why")


def test_threads_decoding_at_once_get_the_pictures_one_thread_gets():
    names = sorted(READABLE)
    alone = {name: decode_photo(READABLE[name]).tobytes() for name in names}
    colours.transform_to_srgb.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        many = list(pool.map(lambda name: (name, decode_photo(READABLE[name]).tobytes()), names * 6))
    assert all(alone[name] == got for name, got in many)


# --- mutations -------------------------------------------------------------------------------------------------------


def mutated(data: bytes, seed: int) -> bytes:
    chance = np.random.default_rng(seed)
    out = bytearray(data)
    for _ in range(int(chance.integers(1, 6))):
        at = int(chance.integers(0, max(len(out), 1)))
        match int(chance.integers(0, 6)):
            case 0:
                out[at : at + 1] = bytes([int(chance.integers(0, 256))])
            case 1:
                if out:
                    out[at % len(out)] ^= 1 << int(chance.integers(0, 8))
            case 2:
                del out[at:]
            case 3:
                del out[at : at + int(chance.integers(1, 64))]
            case 4:
                out[at:at] = chance.bytes(int(chance.integers(1, 64)))
            case _:
                out[at : at + 4] = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"][int(chance.integers(0, 3))]
    return bytes(out)


def only_a_picture_or_a_refusal(data: bytes) -> None:
    try:
        image = decode_photo(data, "mutant")
    except UnreadablePhoto as refused:
        assert refused.reason in REASONS and refused.path == "mutant"
    else:
        assert image.mode == "RGB"
        assert len(image.tobytes()) == image.width * image.height * 3


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(sorted(READABLE)), seed=st.integers(0, 2**32 - 1))
def test_a_damaged_file_gives_a_picture_or_a_refusal_and_nothing_else(name, seed):
    only_a_picture_or_a_refusal(mutated(READABLE[name], seed))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_picture_or_a_refusal_and_nothing_else(data):
    only_a_picture_or_a_refusal(data)


@pytest.mark.long
def test_twenty_thousand_damaged_files_give_a_picture_or_a_refusal():
    names = sorted(READABLE)
    for seed in range(20_000):
        only_a_picture_or_a_refusal(mutated(READABLE[names[seed % len(names)]], seed))


@pytest.mark.reality
def test_real_photos_decode_to_the_same_pixels_as_plain_pillow():
    shared = Path(__file__).resolve().parents[2] / "../shared/data"
    photos = sorted(shared.rglob("*.jpg"))[:40]
    if not photos:
        pytest.skip("the shared photos are not here")
    for path in photos:
        with Image.open(io.BytesIO(path.read_bytes())) as plain:
            if plain.getexif().get(0x0112, 1) == 1 and not plain.info.get("icc_profile"):
                assert read_photo(path).image.tobytes() == plain.convert("RGB").tobytes()
