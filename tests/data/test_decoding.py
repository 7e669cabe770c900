"""What a viewer shows is what a network gets: orientation, transparency, colour profiles, depth, frames."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from cifar_lab.data import decoding
from cifar_lab.data.decoding import decode
from cifar_lab.data.findings import Findings, UnusableFileError


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(picture: Image.Image) -> np.ndarray:
    """(3, 32, 32) of a picture."""
    return np.asarray(picture.convert("RGB")).transpose(2, 0, 1)


def quarters() -> Image.Image:
    """Four colours, so that every orientation differs."""
    picture = Image.new("RGB", (32, 32), (200, 0, 0))
    picture.paste((0, 200, 0), (16, 0, 32, 16))
    picture.paste((0, 0, 200), (0, 16, 16, 32))
    picture.paste((200, 200, 0), (16, 16, 32, 32))
    return picture


STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""EXIF orientation, and what turns the upright picture into the stored one."""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED_AS)
def test_a_camera_that_was_held_otherwise(orientation: int, kind: str) -> None:
    how = STORED_AS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    stored = quarters() if how is None else quarters().transpose(how)
    pixels, notes = decode(encoded(stored, kind, exif=exif, **options), 32)
    assert np.abs(pixels.astype(int) - corners(quarters())).max() <= (3 if kind == "JPEG" else 0)
    assert notes == []


def test_broken_metadata_turn_nothing() -> None:
    content = encoded(quarters(), "WEBP", lossless=True, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode(content, 32)[0], corners(quarters()))


def drawing(mode: str) -> Image.Image:
    """A black disc whose shape is in the alpha channel alone."""
    x, y = np.meshgrid(np.arange(32), np.arange(32))
    alpha = np.where((x - 16) ** 2 + (y - 16) ** 2 < 100, 255, 0).astype(np.uint8)
    return Image.fromarray(np.stack([alpha * 0] * (1 if mode == "LA" else 3) + [alpha], axis=2), mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_black_drawings_on_a_transparent_ground(mode: str) -> None:
    pixels, notes = decode(encoded(drawing(mode)), 32)
    np.testing.assert_array_equal(pixels[0], 255 - np.asarray(drawing(mode).getchannel("A")))
    assert notes == [decoding.TRANSPARENT]


def test_half_transparent_pixels_are_mixed() -> None:
    pixels, _ = decode(encoded(Image.new("RGBA", (32, 32), (100, 0, 200, 128))), 32)
    assert np.abs(pixels[:, 0, 0].astype(int) - [177, 127, 227]).max() <= 1


def test_white_drawings_are_noticed() -> None:
    white = Image.new("RGBA", (32, 32), (255, 255, 255, 0))
    white.paste((255, 255, 255, 255), (8, 8, 20, 20))
    assert decode(encoded(white), 32)[1] == [decoding.TRANSPARENT, decoding.BLANK]


@pytest.mark.parametrize(("mode", "colour", "transparent"), [("RGB", (7, 8, 9), (7, 8, 9)), ("L", 7, 7)])
def test_one_transparent_colour(mode: str, colour: Any, transparent: Any) -> None:
    picture = Image.new(mode, (32, 32), colour)
    pixels, notes = decode(encoded(picture, transparency=transparent), 32)
    assert (pixels == 255).all()
    assert decoding.TRANSPARENT in notes


def test_an_alpha_channel_that_hides_nothing_is_no_transparency() -> None:
    picture = quarters()
    picture.putalpha(255)
    pixels, notes = decode(encoded(picture), 32)
    np.testing.assert_array_equal(pixels, corners(quarters()))
    assert notes == []


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_keep_their_upper_half(kind: str) -> None:
    values = (np.arange(32 * 32, dtype=np.uint16) * 64).reshape(32, 32)
    pixels, notes = decode(encoded(Image.fromarray(values), kind), 32)
    np.testing.assert_array_equal(pixels, np.broadcast_to((values >> 8).astype(np.uint8), (3, 32, 32)))
    assert notes == [decoding.SIXTEEN_BITS]


def png_of_sixteen_bits() -> bytes:
    """A colour PNG of 16 bits, which PIL reads as 8."""
    rows = b"".join(b"\0" + bytes([200, 1, 100, 2, 50, 3]) * 32 for _ in range(32))
    parts = b"\x89PNG\r\n\x1a\n"
    for kind, content in (
        (b"IHDR", struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        parts += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return parts


def test_colours_of_sixteen_bits_are_said_too() -> None:
    pixels, notes = decode(png_of_sixteen_bits(), 32)
    assert pixels[:, 0, 0].tolist() == [200, 100, 50]
    assert notes == [decoding.SIXTEEN_BITS]


@pytest.mark.parametrize("values", [np.ones((32, 32), np.int32), np.ones((32, 32), np.float32)])
def test_thirty_two_bits_are_refused(values: np.ndarray) -> None:
    with pytest.raises(UnusableFileError) as caught:
        decode(encoded(Image.fromarray(values), "TIFF"), 32)
    assert caught.value.kind is decoding.TOO_DEEP


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_counts(kind: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    options = {"WEBP": {"lossless": True}}.get(kind, {})
    pixels, notes = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options), 32)
    assert pixels[:, 0, 0].tolist() == [255, 0, 0]
    assert notes == [decoding.ANIMATED]


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels, notes = decode(encoded(quarters(), icc_profile=profile), 32)
    np.testing.assert_array_equal(pixels, corners(quarters()))
    assert notes == []


def test_a_profile_that_cannot_be_used_is_ignored_and_said() -> None:
    pixels, notes = decode(encoded(quarters(), icc_profile=b"no profile at all" * 20), 32)
    np.testing.assert_array_equal(pixels, corners(quarters()))
    assert notes == [decoding.BAD_PROFILE]


def test_lab_is_converted() -> None:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(quarters(), to_lab)
    pixels, notes = decode(encoded(lab, "TIFF"), 32)
    assert np.abs(pixels.astype(int) - corners(quarters())).max() < 30
    assert notes == [decoding.PROFILE]


def test_cmyk_without_a_profile_is_approximate() -> None:
    _, notes = decode(encoded(quarters().convert("CMYK"), "JPEG"), 32)
    assert notes == [decoding.NO_PROFILE]


@pytest.mark.parametrize("side", [16, 48])
def test_the_size_is_that_of_the_settings(side: int) -> None:
    pixels, notes = decode(encoded(quarters()), side)
    expected = quarters().resize((side, side), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(pixels, corners(expected))
    assert notes == [decoding.RESIZED]


def test_what_is_not_square_is_said() -> None:
    assert decode(encoded(Image.new("RGB", (40, 20))), 32)[1] == [decoding.RESIZED, decoding.STRETCHED]


def test_findings_are_counted_and_the_first_are_named() -> None:
    found = Findings()
    for number in range(12):
        found.add(decoding.BROKEN, f"{number}.png", "cut")
    found.add(decoding.TOO_DEEP, "caf\udce9.tif")
    assert list(found.sentences(2)) == [
        "12 files are damaged: 0.png (cut), 1.png (cut) and 10 more; repair or remove them",
        "caf\\xe9.tif has 32 bits per channel, whose range is not known; save it with 8",
    ]
