"""Locks of the kernel on files: one holder each, free as soon as it dies. Readers never wait.

The text in a lock file names the holder for messages, and exists only while the lock is held. flock also works across
the machines of an NFS mount (Linux 2.6.12 and later).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from cifar_lab.core.atomic_io import disk_errors
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.files import no_follow
from cifar_lab.core.host import utc_now

PATIENCE_SECONDS = 0.5
"""Retries of a lock: a process that only looks at it holds it for an instant, as does one that was just killed."""


class HeldError(EnvironmentFault):
    """A run that another process holds."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(f"{folder}: held by {holder}; wait for it, or end it, then run the same command again")
        self.holder = holder


@contextlib.contextmanager
def hold(path: Path, patience: float = PATIENCE_SECONDS, *, trust_name: bool = False) -> Iterator[None]:
    """Hold the folder of the lock file `path`, which names this process meanwhile.

    Args:
        path: the lock file.
        patience: seconds to wait for another holder.
        trust_name: do not wait for a holder that the file names, because it keeps the lock for long.

    Raises:
        HeldError: another process holds it, and is named.
        EnvironmentFault: the folder cannot be written, or its file system has no locks.
    """
    with locked_file(path, patience, lambda holder: HeldError(path.parent, holder), trust_name=trust_name) as file:
        name_holder(file, path)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # a folder that is gone needs no lock
                if os.path.samestat(
                    os.fstat(file.fileno()), path.lstat()
                ):  # a new folder of this name has a lock of another process
                    path.unlink()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file `path`. False where the file cannot be opened or locked."""
    return holder_of(path) is not None


def holder_of(path: Path) -> str | None:
    """Description of the process that holds the lock file `path`. None where `is_held` is false."""
    try:
        with open(path, encoding="utf-8", errors="replace", opener=no_follow) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(file)
    except OSError:  # no such file, a folder, a link, no permission, or a file system without locks
        return None
    return None


def locked_file(
    path: Path,
    patience: float,
    refusal: Callable[[str], EnvironmentFault],
    mode: int = fcntl.LOCK_EX,
    *,
    trust_name: bool = False,
) -> IO[str]:
    """Open and lock the lock file, retrying for `patience` seconds.

    The previous holder may unlink the file between open and lock. Another process could then lock a new file of that
    name, and this lock would protect nothing: such a file is opened again.

    Args:
        mode: `fcntl.LOCK_SH` for a lock that several processes share.
        refusal: makes the exception from the holder's description.
        trust_name: see `hold`. Names that a killed process left are seldom met while another only looks at the lock,
            and the caller must look again.

    Raises:
        EnvironmentFault: from `refusal`, or the file cannot be made or locked.
    """
    give_up = time.monotonic() + patience
    while True:
        with disk_errors(path.parent):
            # The text of a lock is replaced, so a link would cost the file that it names.
            if path.is_symlink():
                path.unlink()
            file = _opened(path)
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                if time.monotonic() > give_up or (trust_name and _named_holder(file)):
                    raise refusal(_holder(file)) from None
            time.sleep(0.02)
            continue
        except OSError as error:
            file.close()
            raise not_supported(path.parent, error) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def not_supported(folder: Path, error: OSError) -> EnvironmentFault:
    """Fault of a file system without locks, such as some network mounts."""
    return EnvironmentFault(
        f"{folder}: cannot be locked ({error.strerror}), and without a lock two commands could write there; choose a "
        "folder on another file system with --results (`list`, `show` and `report` read this one)"
    )


def _opened(path: Path) -> IO[str]:
    """Lock file, created if it is missing. Neither a link, whose target would be emptied, nor a pipe.

    Raises:
        EnvironmentFault: another kind of file has this name.
        OSError: it cannot be created.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise EnvironmentFault(f"{path}: it is a link or a socket, not a file; remove it") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise EnvironmentFault(f"{path}: it is not a file; remove it")
    return os.fdopen(descriptor, "a+", encoding="utf-8", errors="backslashreplace")


def _holder(file: IO[str]) -> str:
    return _named_holder(file) or "another process"


def _named_holder(file: IO[str]) -> str:
    """Text of a lock file, which names its holder. Empty before the holder has written it."""
    file.seek(0)
    return file.read(1000).strip()


def name_holder(file: IO[str], path: Path, command: str = "") -> None:
    """Write who holds the lock into its file."""
    with disk_errors(path):
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()} since {utc_now()}{command}")
        file.flush()
