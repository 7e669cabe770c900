"""One results folder, one command that writes to it; who only reads is never kept waiting.

The lock is the kernel's (flock), so it is free at once when its holder dies. What stands in the file is for people: it
says who holds the folder, and only while somebody does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cifar_lab.core.atomic_io import disk_errors, make_folder
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.host import utc_now

LOCK_NAME = ".writer"

PATIENCE_SECONDS = 0.3
"""A process that was killed a moment ago may still hold its files."""


class WriterLock:
    """The right to write to a results folder: `look` changes nothing on disk, `take` comes before the first write."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._path = results / LOCK_NAME
        self._file: IO[str] | None = None
        self._made = False
        """Whether the folder was missing."""

    def take(self) -> None:
        """Make the folder where it is missing, and hold it from now on; holding it already is fine.

        Raises:
            EnvironmentFault: another process holds it, and is named; or the folder cannot be written.
        """
        if self._file is not None:
            return
        self._made = not self._results.exists()
        make_folder(self._results)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            with disk_errors(self._results):
                file = self._path.open("a+", encoding="utf-8", errors="backslashreplace")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with file:
                    if time.monotonic() > give_up:
                        raise self._refusal(file) from None
                time.sleep(0.02)
                continue
            with contextlib.suppress(FileNotFoundError):  # the holder before may have removed it under our hands
                if os.path.samestat(os.fstat(file.fileno()), self._path.stat()):
                    break
            file.close()
        self._file = file
        with disk_errors(self._path):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()} since {utc_now()} ({_command()})")
            file.flush()

    def look(self) -> None:
        """Refuse at once where another process holds the folder.

        Raises:
            EnvironmentFault: it does; as in `take`.
        """
        give_up = time.monotonic() + PATIENCE_SECONDS
        while self._file is None:
            try:
                with self._path.open(encoding="utf-8", errors="replace") as file:
                    try:
                        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    except BlockingIOError:
                        if time.monotonic() > give_up:
                            raise self._refusal(file) from None
                        time.sleep(0.02)
                        continue
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                pass
            return

    def _refusal(self, file: IO[str]) -> EnvironmentFault:
        file.seek(0)
        holder = file.read(1000).strip() or "another process"
        return EnvironmentFault(
            f"{self._results}: {holder} writes there; wait for it, end it, or choose another folder with --results "
            "(`list`, `show` and `report` may read meanwhile)"
        )

    def release(self) -> None:
        """Let others write; a folder that was made and in which nothing came to stand goes again."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
                if self._made:
                    self._results.rmdir()
            self._file.close()
            self._file = None


class _Held(threading.local):
    """What this thread holds: a command that makes several sets of runs holds its folder through all of them."""

    def __init__(self) -> None:
        self.locks: dict[Path, WriterLock] = {}


_HELD = _Held()


@contextlib.contextmanager
def one_writer(results: Path) -> Iterator[WriterLock]:
    """Be the only writer of a results folder inside, from `take` on; inside another block of this thread it is that
    block's lock.

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


def _command() -> str:
    """The command of this process as a person would type it, in part where it is long."""
    program = Path(sys.argv[0]).name
    words = ["cifar-lab" if program == "__main__.py" else program, *sys.argv[1:]]
    text = " ".join(map(shlex.quote, words))
    return text if len(text) <= 200 else text[:199] + "…"
