"""Image folders of the user: `train/<class>/…` and `test/<class>/…` anywhere in a folder or a zip file."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cifar_lab.config import ImageFolder
from cifar_lab.core.errors import DataError
from cifar_lab.core.files import open_file, read_file
from cifar_lab.data.archives import read_member
from cifar_lab.data.listing import SPLITS, Entry, Layout, in_folder, in_zip, layout
from cifar_lab.data.splits import IMAGE_SHAPE, Images, Progress, Split

SIZE = (IMAGE_SHAPE[2], IMAGE_SHAPE[1])
"""(columns, rows), in PIL's order."""
DECODER = 1
"""Version of the decoding. Increased when the same file would give other pixels."""
MAX_FILE_BYTES = 64 * 2**20
MAX_PIXELS = 40_000_000
"""Rows × columns of one image: 120 MB as RGB."""
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that PIL may try. Its other decoders stay disabled."""
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""PIL modes of more than 8 bits, which a conversion would clip to white."""

_REPORT_EVERY = 250  # images


class ImageFolderSource:
    """A folder or a zip file, decoded to 32 × 32 RGB."""

    name = "imagefolder"
    synthetic = False

    def __init__(self, data: ImageFolder) -> None:
        self.root = Path(data.root).expanduser().resolve()

    def key(self) -> Mapping[str, Any]:
        return {"root": str(self.root), "decoder": DECODER}

    def state(self) -> dict[str, Any] | None:
        """Size and time of the zip, or a hash of path, size and time of every file of the folder."""
        try:
            if self.root.is_dir():
                listing = [[entry.path, entry.bytes, entry.changed] for entry in in_folder(self.root)]
                return {"listing": hashlib.sha256(json.dumps(listing).encode()).hexdigest()}
            facts = self.root.stat()
        except OSError:
            return None
        return {"bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns}

    def read(self, progress: Progress) -> Images:
        """Decode every image. Takes about 6 s for 60,000 of 32 × 32."""
        with ExitStack() as stack:
            if self.root.is_dir():
                found = layout(in_folder(self.root), str(self.root))
                return _decode_all(found, self._from_folder, str(self.root), progress)
            archive = self._open_zip(stack)
            found = layout(in_zip(archive, str(self.root)), str(self.root))

            def from_zip(entry: Entry) -> bytes:
                return _read_member(archive, entry, str(self.root))

            return _decode_all(found, from_zip, str(self.root), progress)

    def _from_folder(self, entry: Entry) -> bytes:
        try:
            return read_file(self.root / entry.path, MAX_FILE_BYTES)
        except OSError as error:
            raise DataError(f"{self.root}: {entry.path} cannot be read ({error.strerror}); check the file") from error

    def _open_zip(self, stack: ExitStack) -> zipfile.ZipFile:
        try:
            file = stack.enter_context(open_file(self.root))
            return stack.enter_context(zipfile.ZipFile(file))
        except FileNotFoundError as error:
            raise DataError(f"{self.root}: no such folder or zip file; check data.root") from error
        except OSError as error:
            raise DataError(f"{self.root}: cannot be read ({error.strerror or error}); check data.root") from error
        except zipfile.BadZipFile as error:
            raise DataError(f"{self.root}: not a zip file, or a broken one ({error}); fetch it again") from error


def _decode_all(found: Layout, read: Callable[[Entry], bytes], root: str, progress: Progress) -> Images:
    """Both splits, each ordered by class and path."""
    total = sum(len(files) for split in SPLITS for files in found.files[split].values())
    done = 0
    splits = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for split in SPLITS:
            files = [(label, entry) for label, name in enumerate(found.classes) for entry in found.files[split][name]]
            images = np.empty((len(files), *IMAGE_SHAPE), np.uint8)
            for index, (_, entry) in enumerate(files):
                images[index] = _decode(entry, read, root)
                done += 1
                if done % _REPORT_EVERY == 0 or done == total:
                    progress("decoding images", done, total)
            splits.append(Split(images, np.array([label for label, _ in files], np.int64)))
    return Images(found.classes, splits[0], splits[1])


def _decode(entry: Entry, read: Callable[[Entry], bytes], root: str) -> NDArray[np.uint8]:
    """One image as (3, 32, 32): the first frame, without alpha, resized to 32 × 32."""
    if entry.bytes > MAX_FILE_BYTES:
        raise DataError(f"{root}: {entry.path} has {entry.bytes:,} bytes, at most {MAX_FILE_BYTES:,} are read")
    content = read(entry)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"{root}: {entry.path} is {image.width} × {image.height}, at most {MAX_PIXELS:,} pixels are read"
                )
            if image.mode in DEEP_MODES:
                raise DataError(f"{root}: {entry.path} has more than 8 bits a channel; save it with 8")
            with_alpha = image.mode == "P" and "transparency" in image.info
            pixels = (image.convert("RGBA") if with_alpha else image).convert("RGB")
            if pixels.size != SIZE:
                pixels = pixels.resize(SIZE, Image.Resampling.BILINEAR)  # PIL smooths as it shrinks: no aliasing
            return np.asarray(pixels).transpose(2, 0, 1)  # (32, 32, 3) → (3, 32, 32)
    except DataError:
        raise
    except Exception as error:  # PIL's decoders raise whatever the broken bytes lead them to
        reason = " ".join(str(error).split()) or type(error).__name__
        if "cannot identify image file" in reason:
            reason = "not an image of a known format"
        raise DataError(f"{root}: {entry.path} is broken ({reason}); mend it or take it out") from error


def _read_member(archive: zipfile.ZipFile, entry: Entry, root: str) -> bytes:
    assert entry.member is not None
    try:
        return read_member(archive, entry.member, MAX_FILE_BYTES)
    except Exception as error:  # zipfile, zlib, lzma and bz2 each have their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{root}: {entry.path} cannot be unpacked ({reason}); make the zip again") from error
