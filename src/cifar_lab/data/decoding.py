"""Decoding of one image file to the pixels that a viewer shows, as 8-bit sRGB on a white ground."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from cifar_lab.data.findings import Kind, UnusableFileError

DECODER = 2
"""Version of the decoding. Increased when the same file would give other pixels.

1: orientation, colour profiles and transparency are ignored. 2: they are applied, and 16 bits are reduced to 8.
"""

MAX_PIXELS = 40_000_000
"""Rows × columns of one image: 120 MB as RGB."""
MIN_SIDE = 4
"""Rows or columns below which an image is noted."""
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that PIL may try. Its other decoders stay disabled."""

BROKEN = Kind(
    "{name} is damaged{because}; repair or remove it",
    "{count} files are damaged: {names}; repair or remove them",
)
EMPTY = Kind(
    "{name} is empty; fetch it again or remove it", "{count} files are empty: {names}; fetch them again or remove them"
)
WEB_PAGE = Kind(
    "{name} is a web page and not an image; fetch it again",
    "{count} files are web pages and not images: {names}; fetch them again",
)
POINTER = Kind(
    "{name} is a pointer of Git LFS; fetch the image with git lfs pull",
    "{count} files are pointers of Git LFS: {names}; fetch the images with git lfs pull",
)
TOO_LARGE = Kind(
    f"{{name}} has {{reason}}, at most {MAX_PIXELS:,} are read; remove it or save it smaller",
    f"{{count}} images have more than {MAX_PIXELS:,} pixels: {{names}}; remove them or save them smaller",
)
TOO_DEEP = Kind(
    "{name} has 32 bits per channel, whose range is not known; save it with 8",
    "{count} images have 32 bits per channel, whose range is not known: {names}; save them with 8",
)

TRANSPARENT = Kind(
    "{name} has transparent pixels; it is placed on a white background",
    "{count} images have transparent pixels; they are placed on a white background: {names}",
)
BLANK = Kind(
    "{name} has one colour on a white background, although its transparency varies; save it on another background",
    "{count} images have one colour on a white background, although their transparency varies: {names}; save them on a "
    "ground of another colour",
)
ANIMATED = Kind(
    "{name} has several frames; the first is used", "{count} images have several frames; the first is used: {names}"
)
SIXTEEN_BITS = Kind(
    "{name} has 16 bits per channel; it is reduced to the upper 8",
    "{count} images have 16 bits per channel; they are reduced to the upper 8: {names}",
)
PROFILE = Kind(
    "{name} has another colour profile than sRGB; it is converted to sRGB",
    "{count} images have another colour profile than sRGB; they are converted to sRGB: {names}",
)
BAD_PROFILE = Kind(
    "{name} has a colour profile that cannot be used; it is ignored",
    "{count} images have a colour profile that cannot be used; it is ignored: {names}",
)
NO_PROFILE = Kind(
    "{name} is in CMYK without a colour profile; its colours are approximate",
    "{count} images are in CMYK without a colour profile; their colours are approximate: {names}",
)
TINY = Kind(
    f"{{name}} has fewer than {MIN_SIDE} rows or columns and shows next to nothing",
    f"{{count}} images have fewer than {MIN_SIDE} rows or columns and show next to nothing: {{names}}",
)
RESIZED = Kind("{name} has another size; it is resized", "{count} images have another size; they are resized: {names}")
STRETCHED = Kind(
    "{name} is not square; resizing changes its proportions",
    "{count} images are not square; resizing changes their proportions: {names}",
)

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
_SIXTEEN_BIT_FORMATS = ("PNG", "PPM")
"""Formats in which PIL's 32-bit mode holds values of 16 bits."""


def decode(content: bytes, side: int) -> tuple[NDArray[np.uint8], list[Kind]]:
    """(pixels (3, side, side), kinds of notes) of an image file.

    Raises:
        UnusableFileError: it is broken, too large, or of more than 16 bits.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnusableFileError(TOO_LARGE, f"{image.width} × {image.height} pixels")
            notes = [*_notes_before_loading(image)]
            image.load()
            pixels = _on_white(_in_srgb(_in_eight_bits(_upright(image), notes), notes), notes)
            if min(pixels.size) < MIN_SIDE:
                notes.append(TINY)
            if pixels.size != (side, side):
                notes += [RESIZED] if pixels.width == pixels.height else [RESIZED, STRETCHED]
                pixels = pixels.resize((side, side), Image.Resampling.BILINEAR)  # PIL smooths as it shrinks
            return np.asarray(pixels).transpose(2, 0, 1), notes  # (side, side, 3) → (3, side, side)
    except UnusableFileError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # PIL's limit, before ours
        digits = re.search(r"\d+", str(error))
        raise UnusableFileError(TOO_LARGE, f"{int(digits[0]):,} pixels" if digits else "too many pixels") from error
    except Exception as error:  # PIL's decoders raise whatever the broken bytes lead them to
        reason = " ".join(str(error).split()) or type(error).__name__
        if "cannot identify image file" in reason:
            raise UnusableFileError(_other_kind(content), "not an image of a known format") from error
        raise UnusableFileError(BROKEN, reason) from error


def _other_kind(content: bytes) -> Kind:
    """Kind of a file that is no image."""
    start = content[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not content:
        return EMPTY
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return WEB_PAGE
    return POINTER if start.startswith(b"version https://git-lfs") else BROKEN


def _notes_before_loading(image: Image.Image) -> Iterator[Kind]:
    """Notes on what PIL discards when it loads the pixels."""
    with suppress(Exception):  # a broken second frame does not matter
        if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: a photograph and its previews
            yield ANIMATED
    tiles = getattr(image, "tile", ())
    if image.mode in ("RGB", "RGBA", "LA") and any("16" in str(tile[3]) for tile in tiles):
        yield SIXTEEN_BITS


def _upright(image: Image.Image) -> Image.Image:
    """Apply the orientation that a camera has stored. PIL does so itself for TIFF."""
    if "exif" in image.info or "xmp" in image.info or "XML:com.adobe.xmp" in image.info:
        with suppress(Exception):  # broken metadata do not turn an image
            turned = ImageOps.exif_transpose(image)
            turned.format = image.format
            return turned
    return image


def _in_eight_bits(image: Image.Image, notes: list[Kind]) -> Image.Image:
    if image.mode in _SIXTEEN_BIT_MODES or (image.mode == "I" and image.format in _SIXTEEN_BIT_FORMATS):
        notes.append(SIXTEEN_BITS)
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((values >> 8).clip(0, 255).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UnusableFileError(TOO_DEEP)
    return image


def _in_srgb(image: Image.Image, notes: list[Kind]) -> Image.Image:
    """RGB, or RGBA where pixels are transparent."""
    alpha = None
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode not in ("RGB", "L", "CMYK", "LAB"):
        image = image.convert("RGB")
    if profile or image.mode == "LAB":
        image = _converted(image, profile or b"", notes)
    elif image.mode == "CMYK":
        notes.append(NO_PROFILE)
    image = image.convert("RGB")
    if alpha is not None and np.asarray(alpha).min() < 255:
        image.putalpha(alpha)
    return image


def _converted(image: Image.Image, profile: bytes, notes: list[Kind]) -> Image.Image:
    """The image in sRGB, as its colour profile says."""
    try:
        transform = _transform(profile, image.mode)
        converted = None if transform is None else ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append(BAD_PROFILE)
        return image
    if converted is None:
        return image
    notes.append(PROFILE)
    return converted


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Transform from a profile to sRGB. None for sRGB itself."""
    if profile:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
    else:
        source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")


def _on_white(image: Image.Image, notes: list[Kind]) -> Image.Image:
    if image.mode != "RGBA":
        return image
    notes.append(TRANSPARENT)
    ground = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if _varies(image.getchannel("A")) and not _varies(ground):
        notes.append(BLANK)
    return ground


def _varies(image: Image.Image) -> bool:
    """Whether not all pixels are equal."""
    pixels = np.asarray(image)
    return bool((pixels != pixels[0, 0]).any())
