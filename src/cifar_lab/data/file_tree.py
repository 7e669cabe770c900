"""Files of a data set as a list of entries, and those of a folder."""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cifar_lab.core.files import read_file
from cifar_lab.data.findings import Findings, Kind

MAX_FILE_BYTES = 64 * 2**20
"""Largest file of a data set."""

UNLISTED = Kind(
    "{name} cannot be read{because}; check the folder of data.root",
    "{count} files or folders cannot be read: {names}; check the folder of data.root",
)
LOOP = Kind(
    "{name} is a link to a folder above it; remove it",
    "{count} links lead to folders above them: {names}; remove them",
)
_NOT_OURS = frozenset({"__macosx", "thumbs.db", "desktop.ini"})  # what desktops leave; with a leading dot, the rest


@dataclass(frozen=True)
class Entry:
    """A file or folder below the root."""

    path: str
    """Relative to the root, with slashes."""
    is_folder: bool
    bytes: int
    changed: int
    """Modification time in nanoseconds, 0 in an archive."""
    member: zipfile.ZipInfo | tarfile.TarInfo | None = None

    @property
    def offset(self) -> int:
        """Place in the archive. Reading in this order unpacks a compressed tar once."""
        return self.member.offset_data if isinstance(self.member, tarfile.TarInfo) else 0


class Tree(Protocol):
    """Files of a data set, wherever they are."""

    def entries(self, faults: Findings) -> list[Entry]:
        """All entries, in any order. Those that cannot be listed become faults.

        Raises:
            DataError: nothing can be listed.
        """
        ...

    def read(self, entry: Entry, most: int = MAX_FILE_BYTES) -> bytes:
        """Content of a file of at most `most` bytes.

        Raises:
            Exception: it is larger, damaged or cannot be read.
        """
        ...


class FolderTree:
    """Files below a folder. Links are followed, and a loop of them is refused."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self, faults: Findings) -> list[Entry]:
        facts = self._root.stat()
        return list(_walk(self._root, "", frozenset({(facts.st_dev, facts.st_ino)}), faults))

    def read(self, entry: Entry, most: int = MAX_FILE_BYTES) -> bytes:
        return read_file(self._root / entry.path, most)


def _walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]], faults: Findings) -> Iterator[Entry]:
    try:
        names = sorted(name for name in os.listdir(folder) if not is_hidden(name))  # noqa: PTH208, bytes stay escaped
    except OSError as error:
        faults.add(UNLISTED, prefix.rstrip("/") or ".", error.strerror or "")
        return
    for name in names:
        path, where = prefix + name, folder / name
        try:
            facts = where.stat()
        except OSError as error:
            faults.add(UNLISTED, path, error.strerror or "")
            continue
        is_folder = stat.S_ISDIR(facts.st_mode)
        identity = (facts.st_dev, facts.st_ino)
        if is_folder and identity in above:
            faults.add(LOOP, path)
            continue
        yield Entry(path, is_folder, 0 if is_folder else facts.st_size, 0 if is_folder else facts.st_mtime_ns)
        if is_folder:
            yield from _walk(where, f"{path}/", above | {identity}, faults)


def is_hidden(name: str) -> bool:
    """Whether a name is one that desktops and editors leave."""
    return name.startswith(".") or name.lower() in _NOT_OURS
