"""Reading of files that others may have placed: regular files alone, never through a symbolic link.

A link could lead out of the results folder, and a pipe or a device would block or never end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


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
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError(errno.EINVAL, "not a regular file", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def no_follow(path: str, flags: int) -> int:
    """Opener for `open` that refuses a symbolic link and does not wait for the other end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
