"""Locks on a results folder and on the folder of a run: one writer each, and readers never wait.

The locks are the kernel's (flock), so they are free as soon as the holder dies. The text in a lock file names the
holder for messages, and exists only while the lock is held.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import shlex
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from cifar_lab.core.atomic_io import disk_errors, make_folder
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.files import no_follow
from cifar_lab.core.host import utc_now

LOCK_NAME = ".writer"

PATIENCE_SECONDS = 0.3
"""Retries of the results lock: a process that was just killed may still hold its files."""
RUN_PATIENCE_SECONDS = 0.5
"""Retries of a run's lock: a process that only looks at it holds it for an instant."""


class WriterLock:
    """Write lock of a results folder. `look` changes nothing on disk, `take` precedes the first write."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._path = results / LOCK_NAME
        self._file: IO[str] | None = None
        self._made = False
        """Whether the folder was missing."""

    def take(self) -> None:
        """Create the folder if it is missing, and hold it from now on. Does nothing if it is held already.

        Raises:
            EnvironmentFault: another process holds it, and is named. Or the folder cannot be written.
        """
        if self._file is not None:
            return
        self._made = not self._results.exists()
        make_folder(self._results)
        self._file = _locked_file(self._path, PATIENCE_SECONDS, self._refusal)
        _name_holder(self._file, self._path, f" ({_command()})")

    def look(self) -> None:
        """Check that no other process holds the folder.

        Raises:
            EnvironmentFault: another process holds it, and is named.
        """
        give_up = time.monotonic() + PATIENCE_SECONDS
        while self._file is None:
            try:
                with open(self._path, encoding="utf-8", errors="replace", opener=no_follow) as file:
                    try:
                        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    except BlockingIOError:
                        if time.monotonic() > give_up:
                            raise self._refusal(_holder(file)) from None
                        time.sleep(0.02)
                        continue
                    except OSError as error:
                        raise _not_supported(self._results, error) from error
            except OSError:
                pass  # `take` reports what cannot be written
            return

    def _refusal(self, holder: str) -> EnvironmentFault:
        return EnvironmentFault(
            f"{self._results}: {holder} is using this folder; wait for it, end it, or choose another folder with "
            "--results (`list`, `show` and `report` still work)"
        )

    def release(self) -> None:
        """Release the lock and remove the results folder if it was created and is still empty."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
                if self._made:
                    self._results.rmdir()
            self._file.close()
            self._file = None


class _Held(threading.local):
    """Locks of this thread: a command that makes several batches of runs keeps its lock for all of them."""

    def __init__(self) -> None:
        self.locks: dict[Path, WriterLock] = {}


_HELD = _Held()


@contextlib.contextmanager
def one_writer(results: Path) -> Iterator[WriterLock]:
    """Be the only writer of a results folder from `take` on. A nested block of the same thread shares the outer lock.

    Raises:
        EnvironmentFault: another process holds it now, or when it is taken.
    """
    key = results.resolve()
    if (held := _HELD.locks.get(key)) is not None:
        yield held
        return
    lock = WriterLock(results)
    lock.look()
    _HELD.locks[key] = lock
    try:
        yield lock
    finally:
        del _HELD.locks[key]
        lock.release()


@contextlib.contextmanager
def hold(path: Path, patience: float = RUN_PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the folder of the lock file `path`, which names this process meanwhile.

    Args:
        path: the lock file.
        patience: seconds to wait for another holder.

    Raises:
        EnvironmentFault: another process holds it, and is named. Or the folder cannot be written.
    """

    def refusal(holder: str) -> EnvironmentFault:
        return EnvironmentFault(
            f"{path.parent}: held by {holder}; wait for it, or end it, then run the same command again"
        )

    with _locked_file(path, patience, refusal) as file:
        _name_holder(file, path)
        yield
        with contextlib.suppress(OSError):  # a folder that is gone needs no lock
            path.unlink()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file `path`. False where the file cannot be opened or locked."""
    try:
        with open(path, opener=no_follow) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file, a folder, a link, no permission, or a file system without locks
        return False
    return False


def _locked_file(path: Path, patience: float, refusal: Callable[[str], EnvironmentFault]) -> IO[str]:
    """Open and lock the lock file, retrying for `patience` seconds.

    The previous holder may unlink the file between open and lock. Another process could then lock a new file of that
    name, and this lock would protect nothing: such a file is opened again.

    Raises:
        EnvironmentFault: from `refusal`, which gets the holder's description.
    """
    give_up = time.monotonic() + patience
    while True:
        with disk_errors(path.parent):
            # The text of a lock is replaced, so a link would cost the file that it names.
            if path.is_symlink():
                path.unlink()
            file = _opened(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                if time.monotonic() > give_up:
                    raise refusal(_holder(file)) from None
            time.sleep(0.02)
            continue
        except OSError as error:
            file.close()
            raise _not_supported(path.parent, error) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def _not_supported(folder: Path, error: OSError) -> EnvironmentFault:
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
    file.seek(0)
    return file.read(1000).strip() or "another process"


def _name_holder(file: IO[str], path: Path, command: str = "") -> None:
    with disk_errors(path):
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()} since {utc_now()}{command}")
        file.flush()


def _command() -> str:
    """Command line of this process, shortened to 200 characters."""
    program = Path(sys.argv[0]).name
    words = ["cifar-lab" if program == "__main__.py" else program, *sys.argv[1:]]
    text = " ".join(map(shlex.quote, words))
    return text if len(text) <= 200 else text[:199] + "…"
