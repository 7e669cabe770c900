"""Guarded reading: content of files, and the sentence for everything else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cifar_lab.core import files
from cifar_lab.core.files import UnsuitableFileError, open_file, read_file


def test_a_file_and_a_link_to_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "file") == read_file(tmp_path / "link", 7) == b"content"


def test_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    with pytest.raises(OSError, match="it has 1,099,511,627,776 bytes, at most 100 are read") as caught:
        open_file(path, 100)
    assert caught.value.errno == errno.EFBIG
    monkeypatch.setattr(files, "available_memory", lambda: 5 << 30)
    with pytest.raises(OSError, match="more than the free memory of 5,368,709,120 bytes"):
        read_file(path)
    open_file(path).close()  # to be read piece by piece


def test_folders_and_missing_files_are_those_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none")


def test_a_pipe_that_comes_between_the_two_looks_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(files, "require_file", lambda path: None)
    with pytest.raises(UnsuitableFileError, match="it is a named pipe, not a file"):
        open_file(tmp_path / "pipe")


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a proc file system")
def test_files_of_the_kernel_have_no_size_and_are_refused() -> None:
    with pytest.raises(OSError, match="it grew while it was read"):
        read_file(Path("/proc/version"))
