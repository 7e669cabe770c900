from __future__ import annotations

import os
from pathlib import Path

import pytest

from cifar_lab.core.atomic_io import new_file
from cifar_lab.core.files import NotRegularError, read_regular


def test_a_file_is_read_and_a_missing_one_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert read_regular(tmp_path / "file") == b"content"
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "gone")


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe", "device"])
def test_nothing_but_a_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / "path", tmp_path / "target"
    target.write_bytes(b"not of this folder")
    makers = {
        "link": lambda: path.symlink_to(target),
        "dangling link": lambda: path.symlink_to(tmp_path / "gone"),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
    }
    makers[kind]()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(NotRegularError):
        read_regular(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"), new_file(tmp_path / "link"):
        pass
    assert (tmp_path / "target").read_bytes() == b"kept"
