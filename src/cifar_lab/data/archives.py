"""Folders, zip files and tar archives as lists of entries. Files are unpacked in memory, within a limit of bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

from cifar_lab.core.errors import DataError
from cifar_lab.core.files import open_file
from cifar_lab.data.file_tree import MAX_FILE_BYTES, Entry, Tree, is_hidden
from cifar_lab.data.findings import Findings, Kind
from cifar_lab.data.zip_members import read_member

UTF8_NAME = 0x800
"""Flag of a zip member whose name is stated to be UTF-8."""

OTHER_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
}
"""First bytes of archives that Python does not read."""


TWICE = Kind(
    "contains {name} twice; create the zip file again",
    "contains {count} files twice: {names}; create the zip file again",
)

OUTSIDE = Kind(
    "{name} leads out of the archive; create the archive again",
    "{count} names lead out of the archive: {names}; create the archive again",
)


@contextmanager
def open_archive(root: Path, use: str = "set data.root to") -> Iterator[Tree]:
    """Open a zip file or a tar archive, compressed or not, by its content.

    Args:
        root: the archive.
        use: words of an error before the folder or file to use instead.

    Raises:
        DataError: it is missing, damaged or of another kind.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_file(root))
            yield stack.enter_context(_opened(file, str(root), use))
        except FileNotFoundError as error:
            raise DataError(f"{root}: no such folder or archive; check data.root") from error
        except OSError as error:
            raise DataError(f"{root}: cannot be read ({error.strerror or error}); check data.root") from error


@contextmanager
def _opened(file: io.BufferedReader, root: str, use: str) -> Iterator[Tree]:
    start = file.read(512)
    file.seek(0)
    for magic, kind in OTHER_ARCHIVES.items():
        if start.startswith(magic):
            raise DataError(f"{root}: is {kind}; unpack it and {use} the folder")
    try:
        if (unpacked := _tar_stream(file, start)) is not None:
            with tarfile.open(fileobj=cast(IO[bytes], unpacked), mode="r:") as tar:
                yield _TarTree(tar, root, use)
                return
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{root}: is a damaged tar archive ({_words(error)}); {use} a folder or a zip file") from error
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{root}: not a zip or tar archive, or a damaged one ({error}); {use} a folder or a zip file"
        ) from error
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


class _ZipTree:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def entries(self, faults: Findings) -> list[Entry]:
        found: dict[str, Entry] = {}
        for member in self._archive.infolist():
            path = clean_path(_zip_name(member))
            if is_outside(_zip_name(member)):
                faults.add(OUTSIDE, _zip_name(member))
            if path in found and not member.is_dir():
                faults.add(TWICE, path)
                continue
            if path and not any(map(is_hidden, path.split("/"))):
                found[path] = Entry(
                    path, member.is_dir() or member.filename.endswith("\\"), member.file_size, 0, member
                )
        return list(found.values())

    def read(self, entry: Entry, most: int = MAX_FILE_BYTES) -> bytes:
        assert isinstance(entry.member, zipfile.ZipInfo)
        return read_member(self._archive, entry.member, most)


class _TarTree:
    def __init__(self, tar: tarfile.TarFile, root: str, use: str) -> None:
        self._tar = tar
        self._root = root
        self._use = use

    def entries(self, faults: Findings) -> list[Entry]:
        """The last member of a name counts, as tar unpacks it."""
        found: dict[str, Entry] = {}
        try:
            for member in self._tar:
                is_file = member.isfile() or member.islnk() or member.issym()
                path = clean_path(member.name)
                if is_outside(member.name):
                    faults.add(OUTSIDE, member.name)
                if path and not any(map(is_hidden, path.split("/"))) and (is_file or member.isdir()):
                    found[path] = Entry(path, member.isdir(), member.size, 0, member)
        except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error, KeyError) as error:
            raise DataError(
                f"{self._root}: is a damaged tar archive ({_words(error)}); {self._use} a folder or a zip file"
            ) from error
        return list(found.values())

    def read(self, entry: Entry, most: int = MAX_FILE_BYTES) -> bytes:
        assert isinstance(entry.member, tarfile.TarInfo)
        file = self._tar.extractfile(entry.member)  # follows links within the archive
        if file is None:
            raise DataError("it is not a file")
        with file:
            content = file.read(most)
        if len(content) < entry.bytes:
            raise EOFError("it ends early")
        return content


def clean_path(name: str) -> str:
    """Path with slashes, relative to the root of the archive. Empty for the root itself and for paths outside."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return "" if ".." in parts else "/".join(parts)


def is_outside(name: str) -> bool:
    """Whether a name in an archive leads out of it. An absolute one is taken as relative, as tar does."""
    return ".." in name.replace("\\", "/").split("/")


def _zip_name(member: zipfile.ZipInfo) -> str:
    """Name of a member. Without a stated encoding it may be UTF-8, as on macOS, before code page 437."""
    if member.flag_bits & UTF8_NAME:
        return member.filename
    try:
        return member.orig_filename.encode("cp437").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return member.filename


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
