"""Every write that must survive a crash: temporary file, flush, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cifar_lab.errors import EnvironmentFault


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` so that a reader, or a crash at any moment, sees the old file or the new one.

    The folder must exist: a results folder that was deleted in mid-run is not made again half empty.

    Raises:
        EnvironmentFault: the folder is gone, the disk is full or the file may not be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                sync_file(file)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def make_folder(path: Path) -> None:
    """Make `path` and its parents where they are missing.

    Raises:
        EnvironmentFault: it cannot be made.
    """
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def sync_file(file: BinaryIO) -> None:
    """Return when the bytes written to `file` would outlive a power cut."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Return when the renames in `folder` would outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one line that names the file."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise EnvironmentFault(
            f"{path}: cannot be written ({reason}); free space or choose another folder with --results, "
            "then give the same command again"
        ) from error
