"""A run's folder held by one process, by a lock of the kernel's (flock): free at once when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cifar_lab.core.atomic_io import disk_errors
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.host import utc_now

PATIENCE_SECONDS = 0.5
"""Who only looks holds a lock for an instant."""


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the folder of the lock file `path`, which names this process meanwhile.

    Raises:
        EnvironmentFault: another process holds it; names the process, or the folder cannot be written.
    """
    with _locked_file(path) as file:
        with disk_errors(path):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()} since {utc_now()}")
            file.flush()
        yield
        with contextlib.suppress(OSError):  # a folder that is gone needs no lock
            path.unlink()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file `path`."""
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _locked_file(path: Path) -> IO[str]:
    """The lock file, opened and locked.

    The holder before may have unlinked it between our opening and our locking: then another process can lock a new
    file of that name, and ours holds nothing. A refusal is tried again for a while.
    """
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        with disk_errors(path.parent):
            file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                if time.monotonic() < give_up:
                    time.sleep(0.05)
                    continue
                file.seek(0)
                holder = file.read(200).strip() or "another process"
            raise EnvironmentFault(
                f"{path.parent}: held by {holder}; wait for it, or end it, then give the same command again"
            ) from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()
