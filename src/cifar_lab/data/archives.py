"""Folders, zip files and tar archives as lists of entries. Files are unpacked in memory, within a limit of bytes."""

from __future__ import annotations

import bz2
import copy
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from cifar_lab.core.errors import DataError
from cifar_lab.core.files import open_file, read_file
from cifar_lab.data.findings import Findings, Kind

MAX_FILE_BYTES = 64 * 2**20
"""Largest file of a data set."""

PIECE_BYTES = {zipfile.ZIP_LZMA: 1 << 12}
"""Packed bytes read at a time, by method. LZMA grows up to ten-thousandfold in one call."""

OTHER_PIECE_BYTES = 1 << 16
"""The same for other methods. zlib stops at the number of bytes that is asked for."""

UTF8_NAME = 0x800
"""Flag of a zip member whose name is stated to be UTF-8."""

OTHER_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
}
"""First bytes of archives that Python does not read."""


UNLISTED = Kind(
    "{name} cannot be read{because}; check the folder of data.root",
    "{count} files or folders cannot be read: {names}; check the folder of data.root",
)
LOOP = Kind(
    "{name} is a link to a folder above it; take it out",
    "{count} links lead to folders above them: {names}; take them out",
)
TWICE = Kind("holds {name} twice; make the zip again", "holds {count} files twice: {names}; make the zip again")

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

    def read(self, entry: Entry) -> bytes:
        """Content of a file of at most MAX_FILE_BYTES.

        Raises:
            Exception: it is larger, damaged or cannot be read.
        """
        ...


@contextmanager
def open_archive(root: Path) -> Iterator[Tree]:
    """Open a zip file or a tar archive, compressed or not, by its content.

    Raises:
        DataError: it is missing, damaged or of another kind.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_file(root))
            yield stack.enter_context(_opened(file, str(root)))
        except FileNotFoundError as error:
            raise DataError(f"{root}: no such folder or archive; check data.root") from error
        except OSError as error:
            raise DataError(f"{root}: cannot be read ({error.strerror or error}); check data.root") from error


@contextmanager
def _opened(file: io.BufferedReader, root: str) -> Iterator[Tree]:
    start = file.read(512)
    file.seek(0)
    for magic, kind in OTHER_ARCHIVES.items():
        if start.startswith(magic):
            raise DataError(f"{root}: is {kind}; unpack it and set data.root to the folder")
    try:
        if (unpacked := _tar_stream(file, start)) is not None:
            with tarfile.open(fileobj=cast(IO[bytes], unpacked), mode="r:") as tar:
                yield _TarTree(tar, root)
                return
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{root}: is a broken tar archive ({_words(error)}); fetch it again") from error
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise DataError(f"{root}: not a zip or tar archive, or a broken one ({error}); fetch it again") from error
    with archive:
        yield _ZipTree(archive)


class _Unpacked(io.RawIOBase):
    """Unpacked bytes of a tar archive, never more than a file's limit at a time: headers may lie about sizes too."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_FILE_BYTES:
            raise tarfile.ReadError(f"a header of more than {MAX_FILE_BYTES:,} bytes")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def _tar_stream(file: io.BufferedReader, start: bytes) -> _Unpacked | None:
    """Unpacked bytes of a tar archive. None for another file."""
    if start.startswith(b"\x1f\x8b"):
        return _Unpacked(cast(IO[bytes], gzip.GzipFile(fileobj=file, mode="rb")))
    if start.startswith(b"BZh"):
        return _Unpacked(bz2.BZ2File(file))
    if start.startswith(b"\xfd7zXZ\0"):
        return _Unpacked(lzma.LZMAFile(file))
    is_tar = start[257:262] == b"ustar" or (len(start) == 512 and _has_tar_checksum(start))
    return _Unpacked(file) if is_tar else None


def _has_tar_checksum(header: bytes) -> bool:
    """Whether a block is the header of an old tar archive, which has no magic number."""
    try:
        tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


class FolderTree:
    """Files below a folder. Links are followed, and a loop of them is refused."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self, faults: Findings) -> list[Entry]:
        facts = self._root.stat()
        return list(_walk(self._root, "", frozenset({(facts.st_dev, facts.st_ino)}), faults))

    def read(self, entry: Entry) -> bytes:
        return read_file(self._root / entry.path, MAX_FILE_BYTES)


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


class _ZipTree:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def entries(self, faults: Findings) -> list[Entry]:
        found: dict[str, Entry] = {}
        for member in self._archive.infolist():
            path = clean_path(_zip_name(member))
            if path in found and not member.is_dir():
                faults.add(TWICE, path)
                continue
            if path and not any(map(is_hidden, path.split("/"))):
                found[path] = Entry(
                    path, member.is_dir() or member.filename.endswith("\\"), member.file_size, 0, member
                )
        return list(found.values())

    def read(self, entry: Entry) -> bytes:
        assert isinstance(entry.member, zipfile.ZipInfo)
        return read_member(self._archive, entry.member, MAX_FILE_BYTES)


class _TarTree:
    def __init__(self, tar: tarfile.TarFile, root: str) -> None:
        self._tar = tar
        self._root = root

    def entries(self, faults: Findings) -> list[Entry]:
        """The last member of a name counts, as tar unpacks it."""
        found: dict[str, Entry] = {}
        try:
            for member in self._tar:
                is_file = member.isfile() or member.islnk() or member.issym()
                path = clean_path(member.name)
                if path and not any(map(is_hidden, path.split("/"))) and (is_file or member.isdir()):
                    found[path] = Entry(path, member.isdir(), member.size, 0, member)
        except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error, KeyError) as error:
            raise DataError(f"{self._root}: is a broken tar archive ({_words(error)}); fetch it again") from error
        return list(found.values())

    def read(self, entry: Entry) -> bytes:
        assert isinstance(entry.member, tarfile.TarInfo)
        file = self._tar.extractfile(entry.member)  # follows links within the archive
        if file is None:
            raise DataError("it is no file")
        with file:
            content = file.read(MAX_FILE_BYTES)
        if len(content) < entry.bytes:
            raise EOFError("it ends early")
        return content


def clean_path(name: str) -> str:
    """Path with slashes, relative to the root of the archive. Empty for the root itself and for paths outside."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return "" if ".." in parts else "/".join(parts)


def _zip_name(member: zipfile.ZipInfo) -> str:
    """Name of a member. Without a stated encoding it may be UTF-8, as on macOS, before code page 437."""
    if member.flag_bits & UTF8_NAME:
        return member.filename
    try:
        return member.orig_filename.encode("cp437").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return member.filename


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """Content of a member of at most `most` bytes.

    `ZipFile.read` unpacks a member as a whole before it compares the size with its header: 2 MB of zeros give 2 GB.

    Raises:
        DataError: it has more bytes.
        Exception: it is damaged. zipfile, zlib, lzma and bz2 have their own exceptions.
    """
    if member.compress_type == zipfile.ZIP_BZIP2:
        content = _read_bzip2(archive, member, most)
    else:
        content = _read_pieces(archive, member, most)
    if len(content) > most:
        raise DataError(f"it unpacks to more than {most:,} bytes")
    return content


def _read_pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """At most `most + 1` bytes."""
    piece = PIECE_BYTES.get(member.compress_type, OTHER_PIECE_BYTES)
    parts, size = [], 0
    with archive.open(member) as file:
        while size <= most and (part := file.read(min(piece, most + 1 - size))):
            parts.append(part)
            size += len(part)
    return b"".join(parts)


def _read_bzip2(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """At most `most + 1` bytes. `zipfile` sets no limit here, and 40 bytes of bzip2 may be a block of 45 MB."""
    packed = copy.copy(member)
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, member.compress_size
    del packed.CRC  # of the content, which is compared below
    unpack = bz2.BZ2Decompressor()
    content = unpack.decompress(_read_pieces(archive, packed, most), max_length=most + 1)
    if len(content) <= most and (not unpack.eof or zlib.crc32(content) != member.CRC):
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {member.filename!r}")
    return content


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
