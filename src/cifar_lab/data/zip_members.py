"""Members of a zip file, unpacked within a limit of bytes whatever their headers say."""

from __future__ import annotations

import bz2
import copy
import zipfile
import zlib

from cifar_lab.core.errors import DataError

PIECE_BYTES = {zipfile.ZIP_LZMA: 1 << 12}
"""Packed bytes read at a time, by method. LZMA grows up to ten-thousandfold in one call."""

OTHER_PIECE_BYTES = 1 << 16
"""The same for other methods. zlib stops at the number of bytes that is asked for."""


ENCRYPTED = 0x1
"""Flag of a member that needs a password."""


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """Content of a member of at most `most` bytes.

    `ZipFile.read` unpacks a member as a whole before it compares the size with its header: 2 MB of zeros give 2 GB.

    Raises:
        DataError: it has more bytes, or is encrypted.
        Exception: it is damaged. zipfile, zlib, lzma and bz2 have their own exceptions.
    """
    if member.flag_bits & ENCRYPTED:
        raise DataError("it is encrypted")
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
