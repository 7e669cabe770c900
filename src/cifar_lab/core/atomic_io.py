"""Every act on the disk that must survive a crash, and the only module that does any.

A file appears by a temporary file, flush, fsync, rename and fsync of the folder: a reader, a crash or a power cut at
any moment leaves the old file or the new one. For tests, `CIFAR_LAB_CRASH_AT=N` kills the process before its N-th act,
and `N:torn` amid it where it is a write, with half of the bytes in the file (after SQLite's crash tests,
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

CRASH_AT = "CIFAR_LAB_CRASH_AT"

DAMAGED_SUFFIX = ".damaged"
"""Ends the name of a file that was set aside."""

KernelOp = Literal["make folder", "write", "sync file", "rename", "sync folder", "remove", "remove folder"]

_acts = itertools.count(1)
"""Numbers of the acts of this process."""


def write_bytes(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Replace `path` by `content` so that a reader, or a crash at any moment, sees the old file or the new one.

    The folder must exist: a results folder that was deleted in mid-run is not made again half empty.

    Args:
        path: the file.
        content: all of it.
        mode: who may do what with it; None is what the umask leaves.

    Raises:
        EnvironmentFault: the folder is gone, the disk is full or the file may not be written.
    """
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}.tmp")  # a name may be as long as the system allows
    with disk_errors(path, len(content)):
        try:
            with new_file(temporary) as file:
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                file.write(content)
            rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode("utf-8", errors="surrogateescape"))  # a name as an ASCII locale gives it


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to be written piece by piece; when the block is left its bytes would outlive a power cut.

    For a name that nobody reads yet: `rename` puts it in its place.

    Raises:
        OSError: the disk refuses.
    """
    torn = _is_torn(_count("write", path))
    with path.open("wb") as file:
        yield file
        file.flush()
        if torn:
            os.truncate(path, os.fstat(file.fileno()).st_size // 2)
            _crash()
        _count("sync file", path)
        os.fsync(file.fileno())


def rename(old: Path, new: Path, *, sync: bool = True) -> None:
    """Give `old` the name `new`, of which a file is replaced; the new name would outlive a power cut.

    `sync=False` where the next act in the folder syncs it anyway and the old name is as good as the new one until then.

    Raises:
        OSError: the disk refuses.
    """
    _count("rename", old, new)
    old.replace(new)
    if sync:
        _sync_folder(new.parent)


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that nothing reads it again and a person still can; its new name.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    aside = path.with_name(path.name + DAMAGED_SUFFIX)
    with disk_errors(path):
        rename(path, aside)
    return aside


def remove(*paths: Path) -> None:
    """Delete files of one folder, in this order; those that are not there are passed over.

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
    """Delete a folder with all that is in it; nothing where it is not there.

    Raises:
        OSError: the disk refuses.
    """
    if path.exists():
        _count("remove folder", path)
        shutil.rmtree(path)


def make_folder(path: Path, *, inside: Path | None = None) -> None:
    """Make `path` and its parents where they are missing; they would outlive a power cut.

    Args:
        path: the folder.
        inside: a parent that must be there: a results folder that was deleted in mid-run is not made again half empty.

    Raises:
        EnvironmentFault: it cannot be made.
    """
    with disk_errors(path):
        if inside is not None and not inside.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(inside))
        missing = [each for each in (path, *path.parents) if not each.exists()]
        for each in reversed(missing):
            new_folder(each)
        if not path.is_dir():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def new_folder(path: Path) -> None:
    """Make one folder; nothing where another process was faster. It would outlive a power cut.

    Raises:
        OSError: the disk refuses, or a file has this name.
    """
    _count("make folder", path)
    path.mkdir(exist_ok=True)
    _sync_folder(path.parent)


@contextlib.contextmanager
def disk_errors(path: Path, size: int | None = None) -> Iterator[None]:
    """Turn the operating system's refusals into one line that names the file, and the bytes that found no place."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if size is not None and error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason += f" for {size:,} bytes"
        raise EnvironmentFault(
            f"{path}: cannot be written ({reason}); free space or choose another folder with --results, "
            "then give the same command again"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Return when the names in `folder` would outlive a power cut."""
    _count("sync folder", folder)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _count(act: KernelOp, path: Path, new: Path | None = None) -> int:
    """The number of the act that is about to happen; a test's crash comes here."""
    number = next(_acts)
    if os.environ.get(CRASH_AT) == str(number):
        _crash()
    return number


def _is_torn(number: int) -> bool:
    return os.environ.get(CRASH_AT) == f"{number}:torn"


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
