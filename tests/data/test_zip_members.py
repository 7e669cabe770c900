"""Zip files whose headers lie: nothing is unpacked beyond the limit, whatever the method."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from cifar_lab import data as images
from cifar_lab.config import ImageFolder
from cifar_lab.core.errors import DataError
from cifar_lab.data.zip_members import read_member

METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}

MOST = 1 << 20


def lying_zip(path: Path, method: int, size: int, declared: int, name: str = "pics/train/ant/00.png") -> Path:
    """A member of `size` zeros whose headers, local and central, declare `declared` bytes."""
    with zipfile.ZipFile(path, "w", method) as archive, archive.open(name, "w") as member:
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = content.find(signature)
        content[start + at : start + at + 4] = struct.pack("<I", declared)
    path.write_bytes(content)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("declared", [100, 256 << 20])
@pytest.mark.parametrize("method", [name for name in METHODS if name != "stored"])
def test_a_member_that_unpacks_to_more_takes_no_memory(method: str, declared: int, tmp_path: Path) -> None:
    path = lying_zip(tmp_path / "bomb.zip", METHODS[method], 256 << 20, declared)
    tracemalloc.start()
    try:
        with zipfile.ZipFile(path) as archive, pytest.raises((DataError, zipfile.BadZipFile)):
            read_member(archive, archive.infolist()[0], MOST)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [0, 1, 70_000, MOST])
def test_an_honest_member_is_read(method: str, size: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    with zipfile.ZipFile(tmp_path / "made.zip", "w", METHODS[method]) as archive:
        archive.writestr("member", content)
    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        assert read_member(archive, archive.infolist()[0], MOST) == content


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_member_is_refused(method: str, tmp_path: Path) -> None:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w", METHODS[method]) as archive:
        archive.writestr("member", bytes(range(256)) * 20)
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive, pytest.raises(Exception):  # noqa: B017, PT011, each method has its own
        read_member(archive, archive.infolist()[0], MOST)


def test_a_data_set_with_such_a_zip_is_refused(tmp_path: Path) -> None:
    path = lying_zip(tmp_path / "bomb.zip", zipfile.ZIP_DEFLATED, 128 << 20, 100)
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("train/bee/00.png", "test/ant/00.png", "test/bee/00.png"):
            archive.writestr(f"pics/{name}", b"")
    with pytest.raises(DataError, match=r"pics/train/ant/00.png cannot be unpacked \(.+\); create the archive again"):
        images.prepare(ImageFolder(dataset="imagefolder", root=str(path)))
