"""Files and folders that no other user can change, judged by owner and mode as `ssh` does with its keys."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
"""Write permission of the group or of all users. With an access control list the group's bits are its mask."""

_MAX_LINKS = 40
"""Symbolic links that Linux follows in one path."""


def is_private(status: os.stat_result) -> bool:
    """Whether only this user and root can change a file or folder. The mode of a symbolic link says nothing."""
    others_write = not stat.S_ISLNK(status.st_mode) and bool(status.st_mode & OTHERS_MAY_WRITE)
    return status.st_uid in (os.geteuid(), 0) and not others_write


def exposed_part(folder: Path, *, is_sticky_enough: bool = False) -> Path | None:
    """First folder or link on the way to `folder` that lets another user replace it. None if there is none.

    All parts count, from the root on, and those of the links' targets. A folder above may be writable for others if it
    is sticky, as /tmp is: there only the owner of an entry can rename it. Missing parts are skipped.

    Args:
        folder: the folder.
        is_sticky_enough: `folder` itself may be sticky too, because names in it are made anew.

    Raises:
        OSError: a part cannot be examined, or the links form a loop.
    """
    here, links = Path("/"), 0
    waiting = list(reversed(Path(os.path.abspath(folder)).parts[1:]))  # noqa: PTH100, resolve() would hide links
    if not _keeps_entries(here.lstat(), is_last=not (waiting or is_sticky_enough)):
        return here
    while waiting:
        name = waiting.pop()
        here = here.parent if name == ".." else here / name
        try:
            status = here.lstat()
        except FileNotFoundError:
            return None
        if not _keeps_entries(status, is_last=not (waiting or is_sticky_enough)):
            return here
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
            target = here.readlink()
            here = Path("/") if target.is_absolute() else here.parent
            waiting += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return None


def _keeps_entries(status: os.stat_result, *, is_last: bool) -> bool:
    """Whether no other user can replace what a folder holds."""
    is_sticky = stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)
    return is_private(status) or (is_sticky and not is_last and status.st_uid in (os.geteuid(), 0))
