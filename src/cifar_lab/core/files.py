"""Guarded reading of files that a user or a results folder names: by kind and by size.

A named pipe in place of a file would block for ever, a device would fill the memory. Both raise an `OSError` whose
text fits into the sentence of a reader: `{path}: cannot be read ({error.strerror})`. Files of a results folder are
read by `read_regular`, which follows no symbolic link: it could lead out of the folder.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

from cifar_lab.core.host import available_memory

DOCUMENT_BYTES = 256 * 2**20
"""Largest JSON, YAML or Python file. The record of a run with 1,000 classes has about 10 MB."""

UNCHECKED_BYTES = 64 * 2**20
"""Size in bytes below which a file fits into memory without a look at the free memory."""

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnsuitableFileError(OSError):
    """A pipe, a socket or a device where a file is expected."""


def open_file(path: Path, most: int | None = None) -> io.BufferedReader:
    """Open a regular file for reading, at once and whatever else has this name.

    Args:
        path: the file. Links are followed.
        most: largest size in bytes, None for any.

    Raises:
        UnsuitableFileError: a pipe, a socket or a device.
        OSError: as `open`, for a folder, and for a larger file.
    """
    require_file(path)  # before opening, because a device may act on it
    # Another file may have the name by now. Without O_NONBLOCK a pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        _require_regular(status, path)
        if most is not None and status.st_size > most:
            raise OSError(errno.EFBIG, f"it has {status.st_size:,} bytes, at most {most:,} are read", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_file(path: Path, most: int | None = None) -> bytes:
    """Content of a regular file. Arguments and errors as `open_file`, and the free memory is a limit too."""
    with open_file(path, most) as file:
        size = os.fstat(file.fileno()).st_size
        _require_memory(size, path)
        content = file.read(size + 1) or b""  # None: a file of /proc with nothing to read yet
    if len(content) > size:
        raise OSError(errno.EINVAL, "it grew while it was read", str(path))
    return content


def read_document(path: Path) -> bytes:
    """Content of a JSON, YAML or Python file. Errors as `open_file`."""
    return read_file(path, DOCUMENT_BYTES)


def require_file(path: Path) -> None:
    """Check that `path` is a regular file or a link to one, without opening it. Errors as `open_file`."""
    _require_regular(path.stat(), path)


def _require_regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    for is_kind, name in _KINDS:
        if is_kind(status.st_mode):
            raise UnsuitableFileError(errno.EINVAL, f"it is {name}, not a file", str(path))


def _require_memory(size: int, path: Path) -> None:
    if size > UNCHECKED_BYTES and (free := available_memory()) is not None and size > free:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than the free memory of {free:,} bytes", str(path))


class NotRegularError(OSError):
    """A symbolic link, a folder, a pipe or a device in the place of a file."""


def read_regular(path: Path) -> bytes:
    """Content of a regular file.

    Raises:
        NotRegularError: anything else has this name. It was not read.
        OSError: as `Path.read_bytes`.
    """
    try:
        # Without O_NONBLOCK the opening of a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, and a socket
            raise NotRegularError(error.errno, "not a regular file", str(path)) from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotRegularError(errno.EINVAL, "not a regular file", str(path))
        _require_memory(status.st_size, path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def is_regular(path: Path) -> bool:
    """Whether a path names a regular file and no symbolic link."""
    return path.is_file() and not path.is_symlink()


def no_follow(path: str, flags: int) -> int:
    """Opener for `open` that refuses a symbolic link and does not wait for the other end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
