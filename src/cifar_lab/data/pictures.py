"""Images to classify: files, folders and archives, decoded as a data set is and resized to the sizes of networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cifar_lab.core.errors import DataError
from cifar_lab.core.files import open_file, read_file
from cifar_lab.data.archives import OTHER_ARCHIVES, open_archive
from cifar_lab.data.decoding import RESIZED, decode
from cifar_lab.data.file_tree import MAX_FILE_BYTES, Entry, FolderTree, Tree
from cifar_lab.data.findings import Findings, Kind, UnusableFileError, printable, reason_of
from cifar_lab.data.split_folders import IMAGE_SUFFIXES, is_image

ARCHIVE_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", *OTHER_ARCHIVES)
"""First bytes of compressed files and archives."""

TAR_MARK = slice(257, 262)

UNUSABLE = Kind("{name}")
TOO_BIG = Kind(f"{{name}} has {{reason}} bytes, at most {MAX_FILE_BYTES:,} are read")
UNREADABLE = Kind("{name} cannot be read{because}; check the file")
UNLISTED = Kind("{name} cannot be listed{because}; check the folder")


@dataclass(frozen=True)
class Picture:
    """A decoded image."""

    name: str
    pixels: dict[int, NDArray[np.uint8]]
    """(3, side, side) by side."""


@dataclass
class Pictures:
    """Images of several sources, decoded while they are iterated over. Faults and notes are complete after that."""

    sources: Sequence[Path]
    """Image files, folders and archives, in this order."""
    sides: Collection[int]
    """Sizes to which each image is decoded, in pixels."""
    faults: Findings = field(default_factory=Findings)
    """Files that cannot be used."""
    notes: Findings = field(default_factory=Findings)
    """Changes of images."""

    def __iter__(self) -> Iterator[Picture]:
        """Decode every image. A source that is missing, damaged as a whole or without images is a fault."""
        for source in self.sources:
            try:
                yield from self._of(source)
            except DataError as error:
                self.faults.add(UNUSABLE, str(error))

    def _of(self, source: Path) -> Iterator[Picture]:
        if not source.is_dir() and not _is_archive(source):
            yield from self._decoded(printable(str(source)), lambda: read_file(source, MAX_FILE_BYTES))
            return
        with _tree(source) as tree:
            entries = self._images(source, tree)
            for entry in entries:
                name = f"{printable(str(source))}/{printable(entry.path)}"
                yield from self._entry(name, tree, entry)

    def _images(self, source: Path, tree: Tree) -> list[Entry]:
        faults = Findings()
        entries = tree.entries(faults)
        for each in faults.found.values():
            for name, reason in each:
                self.faults.add(UNLISTED, f"{source}/{name}", reason)
        found = sorted(filter(is_image, entries), key=lambda entry: (entry.offset, entry.path))
        if not found and not faults.found:
            raise DataError(f"{source}: has no image file; expected files that end in {', '.join(IMAGE_SUFFIXES)}")
        return found

    def _entry(self, name: str, tree: Tree, entry: Entry) -> Iterator[Picture]:
        if entry.bytes > MAX_FILE_BYTES:
            self.faults.add(TOO_BIG, name, f"{entry.bytes:,}")
        else:
            yield from self._decoded(name, lambda: tree.read(entry))

    def _decoded(self, name: str, read: Callable[[], bytes]) -> Iterator[Picture]:
        try:
            content = read()
        except Exception as error:  # zipfile, tarfile, zlib, lzma and bz2 each have their own
            self.faults.add(UNREADABLE, name, reason_of(error))
            return
        try:
            pixels = {side: self._at(side, name, content) for side in sorted(self.sides)}
        except UnusableFileError as error:
            self.faults.add(error.kind, name, error.reason)
            return
        yield Picture(name, pixels)

    def _at(self, side: int, name: str, content: bytes) -> NDArray[np.uint8]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            pixels, kinds = decode(content, side)
        for kind in kinds:
            if kind is RESIZED:
                self.notes.add(_resized(side), name)
            elif (name, "") not in self.notes.found.get(kind, ()):
                self.notes.add(kind, name)
        return pixels


def _resized(side: int) -> Kind:
    return Kind(
        f"{{name}} has another size than the images of the run; it is resized to {side} × {side} pixels",
        f"{{count}} images have another size than those of the run; they are resized to {side} × {side} pixels: "
        "{names}",
    )


def _is_archive(source: Path) -> bool:
    """Whether a file is an archive by its first bytes.

    Raises:
        DataError: it does not exist or cannot be opened.
    """
    try:
        with open_file(source) as file:
            start = file.read(512)
    except FileNotFoundError as error:
        raise DataError(f"{source}: no such file or folder; give an image, a folder or a zip file") from error
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror or error}); check the file") from error
    return start.startswith(ARCHIVE_STARTS) or start[TAR_MARK] == b"ustar"


@contextmanager
def _tree(source: Path) -> Iterator[Tree]:
    if source.is_dir():
        yield FolderTree(source)
        return
    with open_archive(source, use="give") as tree:
        yield tree
