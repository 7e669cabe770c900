"""Durable, atomic changes on disk. No other module makes any.

A file appears by a temporary file, flush, fsync, rename and fsync of the folder: a reader, a crash or a power cut at
any moment leaves the old file or the new one. For tests, `CIFAR_LAB_CRASH_AT=N` kills the process before its N-th
operation, and `N:torn` amid a write, with half of the bytes in the file (after SQLite's crash tests,
https://www.sqlite.org/testing.html).
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.files import no_follow

CRASH_AT = "CIFAR_LAB_CRASH_AT"

DAMAGED_SUFFIX = ".damaged"
"""Suffix of a file that was set aside."""

DiskAct = Literal["make folder", "write", "sync file", "rename", "sync folder", "remove", "remove folder"]

_acts = itertools.count(1)
"""Numbers of the operations of this process."""


def write_bytes(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Replace `path` by `content` atomically: a reader, or a crash at any moment, sees the old file or the new one.

    The folder must exist, so a results folder that was deleted during a run is not created again half empty.

    Args:
        path: the file.
        content: the whole new content.
        mode: permission bits. None keeps those of the umask.

    Raises:
        EnvironmentFault: the folder is gone, the disk is full or the file may not be written.
    """
    with replacement(path, len(content)) as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.write(content)


@contextlib.contextmanager
def replacement(path: Path, size: int) -> Iterator[BinaryIO]:
    """`write_bytes` of what the block writes piece by piece, about `size` bytes. An exception keeps the old file.

    Raises:
        EnvironmentFault: as `write_bytes`.
    """
    temporary = temporary_path(path)
    with disk_errors(path, size):
        try:
            with new_file(temporary) as file:
                yield file
            rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def temporary_path(path: Path) -> Path:
    """Path of a file or folder of this process until it is renamed to `path`."""
    return path.with_name(f".{path.name[:40]}.{os.getpid()}.tmp")  # a name may be as long as the system allows


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode("utf-8", errors="surrogateescape"))  # a name as an ASCII locale gives it


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Write a new file piece by piece. Its bytes are durable when the block ends.

    For a temporary name: `rename` gives it the final one.

    Raises:
        OSError: the disk refuses.
    """
    torn = _is_torn(_count("write", path))
    with open(path, "wb", opener=no_follow) as file:
        yield file
        file.flush()
        if torn:
            os.truncate(path, os.fstat(file.fileno()).st_size // 2)
            _crash()
        _count("sync file", path)
        os.fsync(file.fileno())


def rename(old: Path, new: Path, *, sync: bool = True) -> None:
    """Rename `old` to `new` durably, replacing a file of that name.

    `sync=False` where the next operation in the folder syncs it and the old name is valid until then.

    Raises:
        OSError: the disk refuses.
    """
    _count("rename", old, new)
    old.replace(new)
    if sync:
        _sync_folder(new.parent)
        if old.parent != new.parent:
            _sync_folder(old.parent)


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that it is kept but no longer read. Returns its new path.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    aside = path.with_name(path.name + DAMAGED_SUFFIX)
    with disk_errors(path):
        rename(path, aside)
    return aside


def remove(*paths: Path) -> None:
    """Delete files of one folder, in this order. Missing files are skipped.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    removed = False
    for path in paths:
        with disk_errors(path), contextlib.suppress(FileNotFoundError):
            if os.path.lexists(path):
                _count("remove", path)
                path.unlink()
                removed = True
    if removed:
        with disk_errors(paths[0].parent), contextlib.suppress(FileNotFoundError):
            _sync_folder(paths[0].parent)


def remove_folder(path: Path) -> None:
    """Delete a folder and its content. A missing folder is skipped.

    Raises:
        OSError: the disk refuses.
    """
    if path.exists():
        _count("remove folder", path)
        shutil.rmtree(path)


def remove_empty(path: Path) -> None:
    """Delete a folder if it is empty. Any other is kept.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    with disk_errors(path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        _count("remove folder", path)
        try:
            path.rmdir()
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return
            raise
        _sync_folder(path.parent)


def make_folder(path: Path, *, inside: Path | None = None, mode: int = 0o777) -> None:
    """Create `path` and its missing parents durably.

    Args:
        path: the folder.
        inside: a parent that must exist, so a results folder that was deleted during a run is not created again.
        mode: permission bits of what is created, less those of the umask.

    Raises:
        EnvironmentFault: it cannot be created.
    """
    with disk_errors(path):
        if inside is not None and not inside.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(inside))
        missing = [each for each in (path, *path.parents) if not each.exists()]
        for each in reversed(missing):
            new_folder(each, mode)
        if not path.is_dir():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def new_folder(path: Path, mode: int = 0o777) -> None:
    """Create one folder durably. Does nothing where another process was faster.

    Raises:
        OSError: the disk refuses, or a file has this name.
    """
    _count("make folder", path)
    path.mkdir(mode, exist_ok=True)
    _sync_folder(path.parent)


@contextlib.contextmanager
def disk_errors(path: Path, size: int | None = None) -> Iterator[None]:
    """Convert an OSError to a one-line message that names the file and, on a full disk, the bytes needed."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if size is not None and error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason += f" for {size:,} bytes"
        raise EnvironmentFault(
            f"{path}: cannot be written ({reason}); free space or choose another folder with --results, "
            "then run the same command again"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    _count("sync folder", folder)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _count(act: DiskAct, path: Path, new: Path | None = None) -> int:
    """Number the next operation. A crash that a test requests happens here."""
    number = next(_acts)
    if os.environ.get(CRASH_AT) == str(number):
        _crash()
    return number


def _is_torn(number: int) -> bool:
    return os.environ.get(CRASH_AT) == f"{number}:torn"


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
